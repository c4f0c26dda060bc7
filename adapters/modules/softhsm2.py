"""SoftHSM 2, a token in files: two initialised tokens and the free slot that the library always keeps after them."""

from pathlib import Path
from shutil import rmtree

from ..base import Binding, ModuleUnusable
from ..private import private_directory
from .module import Module, initialize_tokens, pins, snapshot

LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
"""Where distributions put the library."""

LABELS = ("p11conform-1", "p11conform-2")
_SO, _USER, _OTHER, _WRONG = b"12345678", b"1234", b"567890", b"99999999"


def find() -> str | None:
    """The library's path, None where it is not installed."""
    return next((path for path in LIBRARIES if Path(path).is_file()), None)


def provision() -> Module:
    """SoftHSM with fresh tokens in a private temporary directory. Nothing of the user's own SoftHSM is touched.

    Raises:
        ModuleUnusable: if the library is not installed, or refuses to initialise the tokens.
    """
    library = find()
    if library is None:
        raise ModuleUnusable("SoftHSM is not installed; install softhsm2")
    home = private_directory("softhsm2")
    try:
        return _provision(library, home)
    except BaseException:
        rmtree(home, ignore_errors=True)
        raise


def _provision(library: str, home: Path) -> Module:
    tokens, conf = home / "tokens", home / "softhsm2.conf"
    tokens.mkdir()
    conf.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
    )
    environment = {"SOFTHSM2_CONF": str(conf)}
    slots = initialize_tokens(library, environment, LABELS, _SO, _USER).slots
    by_label = {slot.label: slot for slot in slots if slot.initialized}
    free = next(slot for slot in slots if not slot.initialized)
    first, second = (by_label[label] for label in LABELS)
    return Module(
        name="softhsm2",
        library=library,
        environment=environment,
        binding=Binding(
            slots=(first.id, second.id, free.id),
            labels=LABELS,
            pins=pins(first, _SO, _USER, _OTHER, _WRONG),
        ),
        owned=True,
        restore=snapshot(tokens),
        discard=lambda: rmtree(home, ignore_errors=True),
    )
