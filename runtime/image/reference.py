"""Image references: ``[registry/]repository[:tag][@digest]``, settled. Pure."""

import re
from dataclasses import dataclass

from runtime.errors import InvalidError
from runtime.types import Digest

_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+|/)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HOST = re.compile(
    r"([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[0-9a-fA-F:]{2,39}\])(:[0-9]{1,5})?"
)
DEFAULT_REGISTRY = "docker.io"
LONGEST = 255
"""Characters of a repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A settled reference; ``tag`` is empty only where there is a digest."""

    registry: str
    repository: str
    tag: str
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def parse_digest(text: str) -> Digest:
    """Return ``text`` as a digest; checked before it is ever part of a path."""
    if not _DIGEST.fullmatch(text):
        raise InvalidError("read digest", text[:80], "it is not `sha256:` and 64 hex digits")
    return Digest(text)


def parse_reference(text: str) -> Reference:
    """Return the settled form. Raises InvalidError for what is none."""
    if len(text) > 2 * LONGEST + 256:
        raise InvalidError("read image reference", text[:200], "it is too long to be one")
    rest, _, digest = text.partition("@")
    head, slash, tail = rest.partition("/")
    named = slash and ("." in head or ":" in head or head == "localhost")
    registry, path = (head, tail) if named else (DEFAULT_REGISTRY, rest)
    registry = DEFAULT_REGISTRY if registry == "index.docker.io" else registry
    repository, _, tag = path.partition(":")
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    if (
        not _HOST.fullmatch(registry)
        or not _REPOSITORY.fullmatch(repository)
        or len(repository) > LONGEST
        or (tag and not _TAG.fullmatch(tag))
    ):
        raise InvalidError("read image reference", text[:200], "it is not `name[:tag][@digest]`")
    if not tag and not digest:
        tag = "latest"
    return Reference(
        registry=registry,
        repository=repository,
        tag=tag,
        digest=parse_digest(digest) if digest else None,
    )
