"""Image references: ``[registry/]repository[:tag][@digest]``, settled. Pure.

One may say for which platform, as ``nginx:1 (linux/arm64)``: that is another image.
"""

import re
from dataclasses import dataclass

from runtime.errors import InvalidError
from runtime.platforms import Platform, parse_platform
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
    platform: Platform | None = None
    """Of the image that is meant; None: whatever stands under the name, that of this machine."""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        platform = f" ({self.platform})" if self.platform else ""
        return f"{self.registry}/{self.repository}{tag}{digest}{platform}"


def for_platform(image: str, platform: str) -> str:
    """Return the reference of the image for a platform; that of any where none is given."""
    return f"{image} ({platform})" if platform else image


def without_platform(reference: str) -> str:
    """Return a reference as it is without saying for which platform."""
    return reference.partition(" (")[0]


def parse_digest(text: str) -> Digest:
    """Return ``text`` as a digest; checked before it is ever part of a path."""
    if not _DIGEST.fullmatch(text):
        raise InvalidError("read digest", text[:80], "it is not `sha256:` and 64 hex digits")
    return Digest(text)


def parse_reference(text: str) -> Reference:
    """Return the settled form. Raises InvalidError for what is none."""
    if len(text) > 2 * LONGEST + 256:
        raise InvalidError("read image reference", text[:200], "it is too long to be one")
    name, mark, platform = text.partition(" (")
    if mark and not platform.endswith(")"):
        raise InvalidError("read image reference", text[:200], "it does not end with a platform")
    rest, _, digest = name.partition("@")
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
        platform=parse_platform(platform[:-1]) if mark else None,
    )
