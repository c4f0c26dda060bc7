"""OpenSC on a software card in a virtual reader, with a pcscd of its own that sees no other readers."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ..base import Binding, ModuleUnusable
from ..output import one_line
from .access import Access
from .daemon import Daemon, Namespace
from .module import Module, pins, snapshot
from .provider import PATH, Need, Provider, Site, libraries

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
    card, reader = sorted(slots, key=lambda slot: not slot.token_present)
    binding = Binding((card.id, reader.id), (card.label,), pins(card, None, _USER, _OTHER, _WRONG))
    return access.module(binding, snapshot(memory))


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
        ready=lambda: _INSERTED in _output((_LIST.path, "--list-readers"), {"PCSCLITE_CSOCK_NAME": str(socket)}),
    )
    return reader, card


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
)
