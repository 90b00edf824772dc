"""Contexts that are Git repositories: fetched by git, with the rights of who asked.

``URL[#REF[:FOLDER]]``, as the build's own documentation has it. git is kept from asking
questions and from running helpers a repository could name.
"""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from orchestrator.errors import PyorchError

REMOTE = re.compile(r"(https?|git|ssh|file)://|git@|github\.com/")
ARCHIVE = re.compile(r"https?://[^#]*$")
SECONDS = 600
FLAGS = ("-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null")


def is_remote(source: str) -> bool:
    """Whether a context is not a folder of this machine."""
    return REMOTE.match(source) is not None


@dataclass(slots=True)
class Checkouts:
    """Working copies that are gone when the context ends."""

    _folders: dict[str, Path] = field(default_factory=dict)
    _root: "tempfile.TemporaryDirectory[str] | None" = None

    def __enter__(self) -> "Checkouts":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._root is not None:
            self._root.cleanup()

    def folder(self, source: str, where: str) -> Path:
        """Return the folder a source names, fetched once. Raises PyorchError naming ``where``."""
        url, _, fragment = source.partition("#")
        reference, _, below = fragment.partition(":")
        if ARCHIVE.match(source) and not url.endswith(".git"):
            hint = "unpack it beside the stack file and name the folder"
            raise PyorchError(f"{where}: `{url}` is no Git repository (`….git`)", hint=hint)
        key = f"{url}#{reference}"
        if key not in self._folders:
            self._folders[key] = self._fetch(url, reference, where)
        root = self._folders[key]
        # A link of the repository may lead anywhere in it, and nowhere else.
        folder = Path(os.path.realpath(root / below.lstrip("/")))
        if root not in (folder, *folder.parents) or not folder.is_dir():
            raise PyorchError(f"{where}: `{url}` has no folder `{below}`")
        return folder

    def _fetch(self, url: str, reference: str, where: str) -> Path:
        if shutil.which("git") is None:
            raise PyorchError(f"{where}: git is not installed", hint="apt-get install git")
        if url.startswith("github.com/"):
            url = f"https://{url}"
        if reference.startswith("-") or url.startswith("-"):
            raise PyorchError(f"{where}: `{reference or url}` is no reference")
        if self._root is None:
            self._root = tempfile.TemporaryDirectory(prefix="pyorch-context-")
        root = Path(os.path.realpath(self._root.name), str(len(self._folders)))
        _git(where, "init", "--quiet", str(root))
        _git(where, "-C", str(root), "fetch", "--quiet", "--depth", "1", url, reference or "HEAD")
        _git(where, "-C", str(root), "checkout", "--quiet", "FETCH_HEAD")
        shutil.rmtree(root / ".git")
        return root


def _git(where: str, *words: str) -> None:
    environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}
    try:
        done = subprocess.run(
            ["git", *FLAGS, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environ,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PyorchError(f"{where}: git took more than {SECONDS} seconds") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise PyorchError(f"{where}: git: {lines[-1] if lines else done.returncode}")
