"""p11-kit's client, which reaches SoftHSM 2 through a p11-kit server: what is remote answers as what is behind it."""

from typing import Final

from . import softhsm2
from .access import Access
from .daemon import Daemon
from .module import Module
from .provider import CHANGED, FORKED, STOPPED, Need, Provider, Site, libraries


def _build(library: str, site: Site) -> Module:
    tokens, environment = softhsm2.configured(site.home)
    behind = softhsm2.NEED.path
    direct = Access(behind, environment)
    socket = site.socket("p11.sock")
    command = (_SERVER.path, "--foreground", "--name", str(socket), "--provider", behind, "pkcs11:")
    server = Daemon(site, command, environment, makes=(socket,))
    through = Access(library, {"P11_KIT_SERVER_ADDRESS": f"unix:path={socket}"}, daemons=(server,))
    return softhsm2.with_tokens(direct, tokens, through, server.kill_children)


_SERVER: Final = Need("p11-kit", ("/usr/libexec/p11-kit/p11-kit-server", "/usr/lib/p11-kit/p11-kit-server"))

PROVIDER: Final = Provider(
    "p11-kit",
    "p11-kit's client, its server, and SoftHSM 2 behind them",
    Need("p11-kit-modules", libraries("pkcs11/p11-kit-client.so")),
    _build,
    others=(_SERVER, softhsm2.NEED),
    events=CHANGED | STOPPED | FORKED,
)
