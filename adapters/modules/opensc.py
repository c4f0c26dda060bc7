"""OpenSC on a software card in a virtual reader, with a pcscd of its own that sees no other readers."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..base import Binding, ModuleUnusable
from ..isolated import Happen
from ..output import one_line
from .access import Access
from .daemon import Daemon, Namespace
from .module import Module, pins, snapshot
from .provider import CHANGED, FORKED, LOCKED, PATH, Need, Provider, Site, libraries
from .softcard import Mishap, left_of, mishap_of

_LABEL: Final = "p11conform-1"
_USER, _OTHER, _WRONG = b"123456", b"24682468", b"999999"
_PUK: Final = b"1234567890123456"

_PORT: Final = 0x8C7B
"""Where the reader listens, in a network of its own."""

_READER: Final = """\
FRIENDLYNAME "Virtual PCD"
DEVICENAME /dev/null:{port:#x}
LIBPATH {driver}
CHANNELID {port:#x}
"""

_CONFIGURATION: Final = """\
app default {{
  card_drivers = isoApplet;
  profile_dir = {profiles};
  reader_driver pcsc {{ disconnect_action = reset; }}
}}
"""
"""Other drivers would only ask the card whether it is theirs. After a reset nobody is logged in."""

_PROFILES: Final = Path("/usr/share/opensc")
_LISTS: Final = re.compile(r"\b((?:prk|puk|c|do)df-size\s*=\s*)\d+")
_LIST_SIZE: Final = 1536
"""Bytes of the file that lists a kind of object: enough for a dozen, where the usual ones are full with three."""


def _build(library: str, site: Site) -> Module:
    configuration, memory = site.home / "opensc.conf", site.home / "memory"
    configuration.write_text(_CONFIGURATION.format(profiles=_profiles(site)))
    memory.mkdir()
    socket = site.socket("run/pcscd/pcscd.comm")
    daemons = _with_card(site, socket, memory / "card")
    environment = {"OPENSC_CONF": str(configuration), "PCSCLITE_CSOCK_NAME": str(socket)}
    _personalized(environment)
    access = Access(library, environment, daemons=daemons)
    slots = access.measure().slots
    card, empty = sorted(slots, key=lambda slot: not slot.token_present)
    binding = Binding((card.id, empty.id), (card.label,), pins(card, None, _USER, _OTHER, _WRONG))
    reader, in_reader = daemons
    left = left_of(memory / "card")
    events = {**access.others(binding, locks=True), **_events(in_reader, memory / "card", socket)}
    module = access.module(binding, snapshot(memory), events)

    def restore() -> bool | None:
        if left.exists():
            # A reader that a card left in the midst of commands takes no other one.
            for daemon in (in_reader, reader):
                daemon.stop()
            left.unlink()
        return module.restore()

    return replace(module, restore=restore)


def _events(card: Daemon, memory: Path, socket: Path) -> Mapping[str, Happen]:
    """What becomes of the card: it goes and comes, or another one does, and what goes wrong in it."""

    def removed(_label: bytes) -> bool:
        card.stop()
        until = time.monotonic() + _PATIENCE
        while _inserted(socket):
            time.sleep(_LOOK)
            if time.monotonic() > until:
                return False
        return True

    def inserted(_label: bytes) -> bool:
        card.stop()
        try:
            card.start()
        except ModuleUnusable:
            card.stop()  # so that it is started again, with its reader, when the token is put back
            return False
        return True

    def another(label: bytes) -> bool:
        card.stop()
        memory.unlink(missing_ok=True)
        return inserted(label)

    def befalls(mishap: Mishap) -> Happen:
        def happens(_label: bytes) -> bool:
            mishap_of(memory).write_text(mishap.value, encoding="ascii")
            return True

        return happens

    return {
        "token-removed": removed,
        "token-inserted": inserted,
        "unknown-token-inserted": another,
        "token-removed-in-next-call": befalls(Mishap.LEAVES),
        "device-fails-in-next-call": befalls(Mishap.FAILS),
        "device-out-of-memory-in-next-call": befalls(Mishap.FULL),
    }


_LOOK: Final = 0.05

_PATIENCE: Final = 5.0
"""Seconds in which the reader notices that the card is gone."""


def _profiles(site: Site) -> Path:
    """How cards are laid out, with room for more objects."""
    profiles = site.home / "profiles"
    profiles.mkdir()
    for name in ("pkcs15.profile", "isoApplet.profile"):
        roomy = _LISTS.sub(rf"\g<1>{_LIST_SIZE}", (_PROFILES / name).read_text(encoding="utf-8"))
        (profiles / name).write_text(roomy, encoding="utf-8")
    return profiles


def _with_card(site: Site, socket: Path, memory: Path) -> tuple[Daemon, Daemon]:
    """The daemon of a reader, which listens on a socket, and the card in it."""
    run, drivers, readers = (site.home / name for name in ("run", "drivers", "readers"))
    for directory in (run / "pcscd", drivers, readers):
        directory.mkdir(parents=True)
    driver = shutil.copy(_VPCD.path, site.home)
    (readers / "vpcd").write_text(_READER.format(port=_PORT, driver=driver))
    # No driver but the one that the readers name: those of the machine's own readers are out of sight.
    namespace = Namespace(site, {"/run": run, "/usr/lib/pcsc/drivers": drivers}, network=True)
    command = (_PCSCD.path, "--foreground", "--config", str(readers))
    reader = Daemon(site, command, inside=namespace, makes=(socket,))
    program = (sys.executable, "-m", f"{__package__}.softcard", str(_PORT), str(memory))
    card = Daemon(
        site,
        program,
        {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        inside=namespace,
        ready=lambda: _inserted(socket),
        free=lambda: not _inserted(socket),
    )
    return reader, card


def _inserted(socket: Path) -> bool:
    """Whether the reader says that it holds a card."""
    return _INSERTED in _output((_LIST.path, "--list-readers"), {"PCSCLITE_CSOCK_NAME": str(socket)})


def _personalized(environment: Mapping[str, str]) -> None:
    """Have the card hold an empty token with its PIN and PUK, which stand in no argument list."""
    command = (_INIT.path, "--create-pkcs15", "--profile", "pkcs15+onepin", "--label", _LABEL)
    secrets = {"PIN": _USER.decode(), "PUK": _PUK.decode()}
    _output((*command, "--pin", "env:PIN", "--puk", "env:PUK"), {**environment, **secrets})


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a program prints.

    Raises:
        ModuleUnusable: if it fails.
    """
    ran = subprocess.run(
        command,
        env={"PATH": PATH, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise ModuleUnusable(f"{Path(command[0]).name} fails: {one_line(ran.stderr.encode())}; see that it runs here")
    return ran.stdout


_INSERTED: Final = "  Yes  "
"""In the line of a reader that holds a card."""

_PCSCD, _VPCD = Need("pcscd", ("pcscd",)), Need("vsmartcard-vpcd", ("/usr/lib/pcsc/drivers/serial/libifdvpcd.so",))
_LIST, _INIT = Need("opensc", ("opensc-tool",)), Need("opensc", ("pkcs15-init",))

PROVIDER: Final = Provider(
    "opensc",
    "OpenSC on a software card",
    Need("opensc-pkcs11", libraries("opensc-pkcs11.so")),
    _build,
    others=(_PCSCD, _VPCD, _LIST, _INIT, Need("iproute2", ("ip",))),
    root=True,
    events=CHANGED
    | LOCKED
    | FORKED
    | {
        *("token-removed", "token-inserted", "unknown-token-inserted", "token-removed-in-next-call"),
        *("device-fails-in-next-call", "device-out-of-memory-in-next-call"),
    },
)
