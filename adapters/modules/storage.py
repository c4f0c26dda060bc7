"""What holds a token, taken away from the module and given back."""

from pathlib import Path


class Storage:
    """A directory that can be away for a while: whatever looks for files in it finds none, and can make none."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._elsewhere = directory.with_name(f"{directory.name}.away")

    def take(self) -> None:
        """Put it elsewhere, and a file in its place, so that nobody makes another one there."""
        if not self._elsewhere.exists():
            self._directory.rename(self._elsewhere)
            self._directory.touch()

    def give_back(self) -> None:
        """Put it back, if it is away."""
        if self._elsewhere.exists():
            self._directory.unlink()
            self._elsewhere.rename(self._directory)
