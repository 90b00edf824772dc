"""One commit of a repository, by the system's `git`.

The repository is hostile: its files are written and nothing else of it is obeyed. No hooks, no
submodules, no large-file filters, no questions on the terminal, and bounds for time, memory,
disk and the number of files, which a few kilobytes can make billions.
"""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import PyorchError
from orchestrator.remote.cache import Cache
from orchestrator.spec.reading.remote import SCHEMES, Fetched, GitReference, shown
from runtime import process

PATIENCE = 300.0
MAX_BYTES = 256 * 2**20
MAX_FILES = 50_000
MAX_TOLD = 16 * 2**20
"""Bytes of what git prints."""
MAX_MEMORY = 4 * 2**30
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
LINE = re.compile(r"\d+ (?P<kind>\w+) [0-9a-f]+ +(?P<size>\d+|-)\t")

_KEPT = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "http.followRedirects=initial",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "gc.auto=0",
    "advice.detachedHead=false",
)
_HINTS = {
    "terminal prompts disabled": "give git a credential helper, or use an ssh address",
    "Authentication failed": "give git a credential helper, or use an ssh address",
    "could not read Username": "give git a credential helper, or use an ssh address",
    "Permission denied (publickey)": "no key of the ssh agent fits",
    "Could not resolve host": "compare the address; is the network there?",
    "dubious ownership": "the repository is another user's: see `safe.directory` of git",
    "does not appear to be a git repository": "compare the address",
    "not found": "compare the address",
}


async def fetch(reference: GitReference, cache: Cache, environ: Mapping[str, str]) -> Fetched:
    """Return where the files of a reference are. Raises PyorchError."""
    if not shutil.which("git"):
        raise PyorchError("`git` is not installed", hint="install it, or keep a copy of the file")
    try:
        async with asyncio.timeout(PATIENCE):
            return await _Checkout(reference, cache, environ).run()
    except TimeoutError:
        hint = "is it there, and is the network fast enough?"
        raise PyorchError(f"it took longer than {PATIENCE:.0f} seconds", hint=hint) from None


class _Checkout:
    def __init__(self, reference: GitReference, cache: Cache, environ: Mapping[str, str]) -> None:
        self._reference = reference
        self._cache = cache
        self._environ = _environ(environ)
        self._folder = Path()

    async def run(self) -> Fetched:
        reference = self._reference
        if COMMIT.fullmatch(reference.ref) and (found := self._kept(reference.ref)):
            return found
        with self._cache.workshop() as folder:
            self._folder = folder
            await self._git("init", "--quiet", "--bare", "--template=", str(folder / "repo"))
            commit = await self._commit()
            if found := self._kept(commit):
                return found
            await self._take(commit)
            self._cache.keep(folder / "kept", self._place(commit))
        return self._fetched(commit)

    def _place(self, commit: str) -> Path:
        return self._cache.place("git", self._reference.url, commit)

    def _kept(self, commit: str) -> Fetched | None:
        return self._fetched(commit) if self._cache.has(self._place(commit)) else None

    def _fetched(self, commit: str) -> Fetched:
        root = self._place(commit) / self._reference.name
        return Fetched(root=root, path=root / self._reference.folder)

    async def _commit(self) -> str:
        """Return the commit that a branch, a tag or nothing stands for now."""
        ref = self._reference.ref or "HEAD"
        if COMMIT.fullmatch(ref):
            return ref
        told = await self._git("ls-remote", "--", self._reference.url, ref, f"{ref}^{{}}")
        lines = (line.split("\t", 1) for line in told.splitlines() if "\t" in line)
        commits = {name: commit for commit, name in lines}
        # What is asked for also fits the end of longer names. A tag may be an object of its
        # own; what it is of stands below the name with `^{}`.
        for place in ("", "refs/", "refs/tags/", "refs/heads/"):
            for name in (f"{place}{ref}^{{}}", f"{place}{ref}"):
                if COMMIT.fullmatch(commits.get(name, "")):
                    return commits[name]
        hint = "`git ls-remote` lists what there is"
        raise PyorchError(f"there is no branch or tag `{ref}` in it", hint=hint)

    async def _take(self, commit: str) -> None:
        """Write the files of a commit, once it is known how much they are."""
        await self._git(
            *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"),
            *("--", self._reference.url, commit),
        )
        listed = await self._git("ls-tree", "-r", "-l", "--full-tree", commit, most=MAX_TOLD)
        sizes = [found["size"] for line in listed.splitlines() if (found := LINE.match(line))]
        if len(sizes) > MAX_FILES:
            raise PyorchError(f"more than {MAX_FILES} files are in it")
        if sum(int(size) for size in sizes if size.isdigit()) > MAX_BYTES:
            raise PyorchError(f"its files are larger than {MAX_BYTES // 2**20} MiB")
        tree = self._folder / "kept" / self._reference.name
        tree.mkdir(parents=True, mode=0o700)
        await self._git(f"--work-tree={tree}", "checkout", "--quiet", "--force", "--detach", commit)

    async def _git(self, *words: str, most: int = MAX_BYTES) -> str:
        """Run git, which may write files of ``most`` bytes; return what it prints."""
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        repository = () if words[0] == "init" else (f"--git-dir={self._folder / 'repo'}",)
        done = await process.run(
            [
                *("prlimit", f"--fsize={most}", f"--as={MAX_MEMORY}", "git"),
                *(*settings, *repository, *words),
            ],
            check=False,
            env=self._environ,
        )
        if done.returncode == -signal.SIGXFSZ:
            raise PyorchError(f"it is too large: {most // 2**20} MiB of {words[0]} are not enough")
        if done.returncode != 0:
            raise self._failed(done.stderr.decode(errors="replace"), done.complaint)
        return done.stdout.decode(errors="replace")

    def _failed(self, told: str, last: str) -> PyorchError:
        lines = [line.strip() for line in told.splitlines() if line.strip()]
        first = next((one for one in lines if one.startswith(("fatal:", "error:"))), last)
        hint = next((hint for part, hint in _HINTS.items() if part in told), None)
        cause = re.sub(r"^(fatal|error): ", "", first)
        # With a password in the address, git says it.
        cause = cause.replace(self._reference.url, shown(self._reference.url))
        return PyorchError(f"git: {cause}", hint=hint)


def _environ(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment git runs in.

    What whoever runs us has set for another repository is not meant for this one.
    """
    found = {
        name: value
        for name, value in given.items()
        if name in _KEPT or not name.startswith(("GIT_", "SSH_ASKPASS"))
    }
    found.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ControlMaster=no")
    return {
        **found,
        "GIT_TERMINAL_PROMPT": "0",
        # Asked for a password, this program says nothing.
        "GIT_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": ":".join(SCHEMES),
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_CONFIG_COUNT": "0",
        "LC_ALL": "C",
        "PATH": given.get("PATH", os.defpath),
    }
