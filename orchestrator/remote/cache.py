"""Where fetched stack files are kept: below the user's cache, each under what it is for good."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import PyorchError


class Cache:
    """Folders by kind, place and version; one is there as a whole or not at all.

    Nothing is ever thrown away: containers may have files of it mounted.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        base = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self._root = Path(base, "pyorch", "remote")

    def place(self, kind: str, place: str, version: str) -> Path:
        """Return where a version of something is, or would be."""
        return self._root / kind / hashlib.sha256(place.encode()).hexdigest()[:32] / version

    def has(self, path: Path) -> bool:
        """Whether a folder is there, and nobody else's."""
        return path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.geteuid()

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """Yield a folder that is gone afterwards, on the same disk as everything that is kept.

        Raises PyorchError where nothing can be written.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._root.stat().st_uid != os.geteuid():
                raise PermissionError(None, "it belongs to another user")
            folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
        except OSError as error:
            hint = "XDG_CACHE_HOME says where it may be kept"
            raise PyorchError(f"{self._root}: {error.strerror}", hint=hint) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, folder: Path, path: Path) -> None:
        """Move a finished folder to its place, unless somebody else was faster."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            folder.rename(path)
        except OSError:
            if not self.has(path):
                raise
