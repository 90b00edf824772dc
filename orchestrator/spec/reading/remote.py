"""Stack files that are somewhere else: what names one, and what it is called once it is here.

Nothing is fetched here: whoever asks for a load brings the means (:class:`Fetch`).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.errors import PyorchError

OCI = "oci://"
HUB = "github.com/"
SCHEMES = ("https", "http", "ssh", "git", "file")
FORMS = "write `https://host/path.git#ref:folder`, or `oci://registry/name:tag`"

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<place>[^/]*)(?P<path>/.*)?")
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*@(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*):[^-].*")
# No text that begins so is ever taken for an option, and none has a pattern in it.
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,254}")
_HOST = re.compile(r"([^@]*@)?(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(:[0-9]+)?")
_STRANGE = re.compile(r"[\x00-\x20\x7f\\]")
_PASSWORD = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitReference:
    """A place in a repository; without ``ref`` it is on the default branch."""

    text: str
    url: str
    ref: str = ""
    folder: str = ""
    """A folder or a file of it."""

    @property
    def name(self) -> str:
        """Return what the repository is called, without its owner."""
        name = re.split(r"[/:]", self.url.rstrip("/"))[-1].removesuffix(".git")
        return name if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) else "stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class OciReference:
    """An artifact of a registry."""

    text: str
    image: str


Reference = GitReference | OciReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a reference stands for, on this machine: ``path`` is below ``root``, or is it."""

    root: Path
    path: Path


class Fetch(Protocol):
    """Brings what a reference stands for to this machine."""

    def __call__(self, reference: Reference) -> Fetched:
        """Return where it is now. Raises PyorchError with the cause and a hint."""


def read_reference(text: str) -> Reference | None:
    """Return what ``text`` refers to; None for the path of a file. Raises PyorchError."""
    if text.startswith(OCI):
        return OciReference(text=text, image=text.removeprefix(OCI))
    address, _, place = text.partition("#")
    if address.startswith(HUB):
        address = f"https://{address}"
    found = _URL.fullmatch(address)
    if not found and not _SCP.fullmatch(address):
        return None
    if found:
        _check_url(address, found)
    ref, _, folder = place.partition(":")
    if _STRANGE.search(address):
        raise _unusable("it has blanks or control characters in it")
    if ref and (not _REF.fullmatch(ref) or ".." in ref or "@{" in ref):
        raise _unusable(f"`{ref}` is no branch, tag or commit")
    folder = os.path.normpath(folder) if folder else ""
    if folder.startswith((os.sep, "..")) or "\0" in folder:
        raise _unusable("the folder is outside the repository")
    return GitReference(text=text, url=address, ref=ref, folder=folder)


def _check_url(address: str, found: re.Match[str]) -> None:
    scheme, place = found["scheme"], found["place"]
    if scheme not in SCHEMES:
        raise _unusable(f"nothing is fetched by `{scheme}`")
    if scheme in ("http", "https", "file") and not address.endswith(".git"):
        raise _unusable("the address of a repository ends in `.git`")
    if not (place == "" if scheme == "file" else _HOST.fullmatch(place)):
        raise _unusable(f"`{_shown(place)}` is no host")


def _unusable(cause: str) -> PyorchError:
    return PyorchError(cause, hint=FORMS)


def shown(text: str) -> str:
    """Return a reference without the password or token it may have in it."""
    return _PASSWORD.sub(lambda found: _shown(found[0]), text)


def _shown(place: str) -> str:
    user, at, host = place.rpartition("@")
    return f"{user.partition(':')[0]}:***@{host}" if at and ":" in user else f"{user}{at}{host}"
