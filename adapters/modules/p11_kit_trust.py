"""The trust module of p11-kit: certificates in a directory as objects of a token without users."""

from typing import Final

from ..base import Binding
from .access import Access
from .module import Module, snapshot
from .provider import FORKED, Need, Provider, Site, libraries

_LABEL: Final = "p11conform-1"
"""The token is named after its directory."""

_CERTIFICATE: Final = """\
-----BEGIN CERTIFICATE-----
MIIBxDCCAWmgAwIBAgIUMY7sshoPspH4+KWVGKpGjoOnLgowCgYIKoZIzj0EAwIw
NjETMBEGA1UECgwKcDExY29uZm9ybTEfMB0GA1UEAwwWYW4gYXV0aG9yaXR5IGZv
ciB0ZXN0czAgFw0yNjExMjgwOTA4MDVaGA8yMTI2MTEwNDA5MDgwNVowNjETMBEG
A1UECgwKcDExY29uZm9ybTEfMB0GA1UEAwwWYW4gYXV0aG9yaXR5IGZvciB0ZXN0
czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDhRHTxaQPE8LCuaRjbt7B2frIQj
oD/QMfccGyMqOtBQ2jEkVtfnrTu4ulSnryJeJEAfN1X2FY2cyjtbKM9MK8ijUzBR
MB0GA1UdDgQWBBR52GfcGKrVJKxdBdnuO/qC/mAbOTAfBgNVHSMEGDAWgBR52Gfc
GKrVJKxdBdnuO/qC/mAbOTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kA
MEYCIQCjGeGTlo1Az2RJQROhS0yNF0y3EjFdEem328xZZRp7CwIhAItcruftaur6
GUN8b5ZZRqAphAauLuONDdPx23E2Rh3E
-----END CERTIFICATE-----
"""
"""An authority that nobody has the key of."""


def _build(library: str, site: Site) -> Module:
    anchors = site.home / _LABEL
    anchors.mkdir()
    (anchors / "authority.pem").write_text(_CERTIFICATE, encoding="ascii")
    access = Access(library, init_reserved=f"paths='{anchors}'")
    (slot,) = access.measure().slots
    return access.module(Binding((slot.id,), (_LABEL,), init_reserved=access.init_reserved), snapshot(anchors))


PROVIDER: Final = Provider(
    "p11-kit-trust",
    "p11-kit's store of trusted certificates",
    Need("p11-kit-modules", libraries("pkcs11/p11-kit-trust.so")),
    _build,
    events=FORKED,
)
