"""The remote stack files of one load, once they are here."""

import os
from pathlib import Path

from orchestrator.errors import PyorchError
from orchestrator.spec.problems import Mark, SpecError, refuse
from orchestrator.spec.reading.discover import FILES, OWN_FILES
from orchestrator.spec.reading.remote import (
    Fetch,
    Fetched,
    GitReference,
    Reference,
    read_reference,
    shown,
)


class Remotes:
    """The remote files of one load; each is fetched once."""

    def __init__(self, fetch: Fetch | None) -> None:
        self._fetch = fetch
        self._files: dict[str, Path] = {}
        self._roots: dict[str, str] = {}

    @property
    def used(self) -> bool:
        """Whether any file was somewhere else."""
        return bool(self._files)

    def file(self, text: str) -> Path | None:
        """Return the stack file on this machine that ``text`` stands for.

        None where it is a path already. Raises PyorchError with the cause and a hint.
        """
        if text not in self._files:
            reference = read_reference(text)
            if reference is None:
                return None
            if self._fetch is None:
                raise PyorchError("nothing is fetched here", hint="keep a copy beside this file")
            fetched = self._fetch(reference)
            self._roots[str(fetched.root)] = shown(text.partition("#")[0]) + _ref(reference)
            self._files[text] = _stack_file(fetched)
        return self._files[text]

    def required(self, text: str, mark: Mark, path: str = "") -> Path | None:
        """Return what :meth:`file` does. Raises SpecError, which says who asked for it."""
        try:
            return self.file(text)
        except PyorchError as error:
            raise self.refusal(text, error, mark, path) from None

    def refusal(self, text: str, error: PyorchError, mark: Mark, path: str = "") -> SpecError:
        """Return what is wrong with a reference as a problem of who asked for it."""
        cause = f"`{shown(text)}` cannot be fetched: {error}"
        return refuse(cause, mark, path, error.hint)

    def label(self, path: str) -> str | None:
        """Return what people call a file that was fetched: by where it comes from."""
        for root, text in self._roots.items():
            if path.startswith(f"{root}{os.sep}"):
                return f"{text}:{path[len(root) + 1 :]}"
        return None


def _ref(reference: Reference) -> str:
    return f"#{reference.ref}" if isinstance(reference, GitReference) else ""


def _stack_file(fetched: Fetched) -> Path:
    path = fetched.path
    inside = f"{os.path.relpath(path, fetched.root)}"
    if path.is_dir():
        names = [name for name in (*FILES, *OWN_FILES) if (path / name).is_file()]
        if not names:
            cause = "no stack file in it" if inside == "." else f"no stack file in `{inside}`"
            raise PyorchError(cause, hint=f"name the file or its folder: `#ref:{FILES[0]}`")
        path = path / names[0]
    if not path.is_file():
        raise PyorchError(f"there is no `{inside}` in it", hint="`#ref:folder` says where it is")
    root = os.path.realpath(fetched.root)
    if not os.path.realpath(path).startswith(f"{root}{os.sep}"):
        raise PyorchError(f"`{inside}` is a link to something outside of it")
    return path
