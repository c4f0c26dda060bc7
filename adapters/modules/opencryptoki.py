"""openCryptoki with its software token, in namespaces of its own, as all of its paths are compiled in."""

import shutil
from pathlib import Path
from typing import Final

from ...model.call import Args, Call
from ...model.state import Pin
from ..base import Binding
from .access import Access
from .daemon import Daemon, Namespace
from .module import NEW_TOKEN, Module, pins, snapshot
from .provider import CHANGED, FORKED, LOCKED, STOPPED, Need, Provider, Site, libraries

_LABEL: Final = "p11conform-1"
_SO, _USER, _OTHER, _WRONG = b"87654321", b"13571357", b"24682468", b"99999999"
"""The SO PIN is the one that tokens are made with: C_InitToken sets it again. It is no PIN of a user for long."""

_GROUP: Final = "pkcs11"
_SLOT: Final = 'version opencryptoki-3.8\nslot 0\n{\nstdll = libpkcs11_sw.so\ndescription = "p11conform"\n}\n'

_OWN_PIN: Final = (
    Call("C_OpenSession"),
    Call("C_Login"),
    Call("C_SetPIN", Args(pin=Pin.USER, new_pin=Pin.OTHER)),
    Call("C_SetPIN", Args(pin=Pin.OTHER, new_pin=Pin.USER)),
    Call("C_Finalize"),
)
"""The user changes the PIN that the SO gave, as the token wants it before all else."""


def _build(library: str, site: Site) -> Module:
    etc, run, data, log, shm = (_directory(site.home / name) for name in ("etc", "run", "data", "log", "shm"))
    (etc / "opencryptoki.conf").write_text(_SLOT)
    _directory(run / "lock/opencryptoki/swtok")
    _directory(log / "opencryptoki")
    token = _directory(data / "swtok")
    _directory(token / "TOK_OBJ")
    covered = {
        "/etc/opencryptoki": etc,
        "/run": run,
        "/var/lib/opencryptoki": data,
        "/var/log": log,
        "/dev/shm": shm,
    }
    namespace = Namespace(site, covered)
    daemon = Daemon(site, (_DAEMON.path, "-f"), inside=namespace, makes=(run / "pkcsslotd.socket",))
    access = Access(library, namespaces=namespace.files, daemons=(daemon,))
    (slot,) = access.measure().slots
    binding = Binding((slot.id,), (_LABEL,), pins(slot, _SO, _USER, _OTHER, _WRONG))
    access.perform(binding, (*NEW_TOKEN, binding.initialize, *_OWN_PIN))
    token_as_it_was = snapshot(token)

    def restore() -> None:
        token_as_it_was()
        for cached in shm.iterdir():
            cached.unlink()

    events = {**access.others(binding, locks=True), **access.stops(daemon.kill)}
    return access.module(binding, restore, events)


def _directory(path: Path) -> Path:
    path.mkdir(parents=True)
    shutil.chown(path, group=_GROUP)
    path.chmod(0o770)
    return path


_DAEMON: Final = Need("opencryptoki", ("pkcsslotd",))

PROVIDER: Final = Provider(
    "opencryptoki",
    "openCryptoki with its software token",
    Need("opencryptoki", libraries("pkcs11/PKCS11_API.so")),
    _build,
    others=(_DAEMON,),
    root=True,
    events=CHANGED | LOCKED | STOPPED | FORKED,
)
