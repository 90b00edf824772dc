"""The contents of secrets: files of mode 0600 below a folder of mode 0700, never in the database.

One folder a generation. A model without its contents names the file each of them is in.
"""

import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path


class SecretFiles:
    """The files below one folder, by stack and generation."""

    def __init__(self, folder: Path) -> None:
        """Keep them below ``folder``, which is made."""
        self._folder = folder
        folder.mkdir(exist_ok=True, mode=0o700)

    def take_out(self, stack: str, number: int, model: Mapping[str, object]) -> dict[str, object]:
        """Write the contents in ``model`` down, and return it without them."""
        bare = dict(model)
        secrets = model.get("secrets")
        if not isinstance(secrets, dict) or not secrets:
            return bare
        folder = self._folder / stack / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        kept: dict[str, object] = {}
        for index, (name, secret) in enumerate(sorted(secrets.items())):
            entry = dict(secret)
            payload = entry.pop("payload", None)
            if payload is not None:
                entry["payload_file"] = str(index)
                path = folder / str(index)
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(str(payload))
                    file.flush()
                    os.fsync(file.fileno())
            kept[name] = entry
        bare["secrets"] = kept
        return bare

    def put_back(self, stack: str, number: int, model: dict[str, object]) -> dict[str, object]:
        """Return ``model`` with the contents that were taken out of it."""
        secrets = model.get("secrets")
        if isinstance(secrets, dict):
            for entry in secrets.values():
                name = entry.pop("payload_file", None)
                if name is not None:
                    path = self._folder / stack / str(number) / name
                    entry["payload"] = path.read_text(encoding="utf-8")
        return model

    def keep_only(self, stack: str, numbers: Collection[int]) -> None:
        """Remove those of other generations, a kill in the middle of writing them included."""
        kept = {str(number) for number in numbers}
        with suppress(FileNotFoundError):
            for folder in (self._folder / stack).iterdir():
                if folder.name not in kept:
                    shutil.rmtree(folder, ignore_errors=True)

    def forget(self, stack: str) -> None:
        """Remove all of a stack."""
        shutil.rmtree(self._folder / stack, ignore_errors=True)
