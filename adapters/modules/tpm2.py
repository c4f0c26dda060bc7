"""tpm2-pkcs11 on a software TPM, behind a resource manager, which frees what a killed client held in the TPM."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from ..base import Binding
from .access import Access
from .daemon import Daemon
from .module import NEW_TOKEN, Module, pins, snapshot
from .provider import CHANGED, FORKED, PATH, STOPPED, Need, Provider, Site, libraries

_LABEL: Final = "p11conform-1"
_SO, _USER, _OTHER, _WRONG = b"so pin", b"user pin", b"another one", b"a wrong one"

_BUS: Final = """\
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
"""A bus that starts no services."""

_NEVER_LOCK: Final = (
    "--setup-parameters --clear-lockout --max-tries=4294967295 --recovery-time=1 --lockout-recovery-time=1"
)
"""Wrong PINs count for the whole TPM, and most checks guess many."""


def _build(library: str, site: Site) -> Module:
    store = site.home / "store"
    store.mkdir()
    daemons, found = _resource_manager(site)
    access = Access(library, _CLIENT | found | {"TPM2_PKCS11_STORE": str(store)}, daemons=daemons)
    (free,) = access.measure().slots
    known = pins(free, _SO, _USER, _OTHER, _WRONG)
    access.perform(Binding((free.id,), (_LABEL,), known), NEW_TOKEN)
    slots = access.measure().slots
    binding = Binding(tuple(slot.id for slot in slots), (_LABEL,), known)
    _, tpm, _ = daemons
    return access.module(binding, snapshot(store), {**access.others(binding), **access.stops(tpm.kill)})


def _resource_manager(site: Site) -> tuple[Sequence[Daemon], dict[str, str]]:
    """A bus, a TPM and its resource manager; the environment in which clients find it."""
    state, bus, conf, tpm = site.home / "tpm", site.socket("bus"), site.home / "bus.conf", site.socket("tpm.sock")
    control = site.socket(f"{tpm.name}.ctrl")  # where the resource manager looks for it
    state.mkdir()
    conf.write_text(_BUS.format(socket=bus))
    found = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}"}
    dbus = Daemon(site, (_DBUS.path, f"--config-file={conf}", "--nofork", "--nopidfile"), makes=(bus,))
    command = (_SWTPM.path, "socket", "--tpm2", "--tpmstate", f"dir={state}", "--flags", "not-need-init,startup-clear")
    ends = ("--server", f"type=unixio,path={tpm}", "--ctrl", f"type=unixio,path={control}")
    swtpm = Daemon(site, (*command, *ends), makes=(tpm, control))
    as_root = ("--allow-root",) if os.geteuid() == 0 else ()
    manager = Daemon(
        site,
        (_ABRMD.path, "--session", "--flush-all", "--max-transients=100", f"--tcti=swtpm:path={tpm}", *as_root),
        found,
        ready=lambda: _ran((_TOOL.path, *_NEVER_LOCK.split()), _TOOLS | found),
    )
    return (dbus, swtpm, manager), found


def _ran(command: tuple[str, ...], environment: Mapping[str, str]) -> bool:
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


_TCTI: Final = "tabrmd:bus_type=session"
_TOOLS: Final = {"PATH": PATH, "TPM2TOOLS_TCTI": _TCTI, "TSS2_LOG": "all+none"}
_CLIENT: Final = {
    "TPM2_PKCS11_TCTI": _TCTI,
    "TPM2_PKCS11_BACKEND": "esysdb",
    "TPM2_PKCS11_LOG_LEVEL": "0",
    "TSS2_LOG": "all+none",
}

_SWTPM, _DBUS = Need("swtpm", ("swtpm",)), Need("dbus-daemon", ("dbus-daemon",))
_ABRMD, _TOOL = Need("tpm2-abrmd", ("tpm2-abrmd",)), Need("tpm2-tools", ("tpm2_dictionarylockout",))

PROVIDER: Final = Provider(
    "tpm2",
    "tpm2-pkcs11 on a software TPM",
    Need("libtpm2-pkcs11-1", (*libraries("pkcs11/libtpm2_pkcs11.so"), *libraries("libtpm2_pkcs11.so.1"))),
    _build,
    others=(
        *(_SWTPM, _DBUS, _ABRMD, _TOOL),
        Need("libtss2-tcti-tabrmd0", libraries("libtss2-tcti-tabrmd.so.0")),
        Need("libtss2-tcti-swtpm0", libraries("libtss2-tcti-swtpm.so.0")),
    ),
    events=CHANGED | STOPPED | FORKED,
)
