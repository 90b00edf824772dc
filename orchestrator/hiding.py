"""Contents of secrets in what processes said → something nobody can use. Pure.

For what pyorch quotes of its own accord, in an error or an event: that ends up in places the
log of a container does not. Who asks for that log gets it as it was written.
"""

from collections.abc import Iterable

HIDDEN = b"***"
SHORTEST_LINE = 6
"""Bytes of a line of a secret that is hidden without the others around it."""


def blacken(said: bytes, secrets: Iterable[bytes]) -> bytes:
    """Return ``said`` without the contents of ``secrets``, nor any longer line of them."""
    found: set[bytes] = set()
    for secret in secrets:
        lines = (line.strip() for line in secret.splitlines())
        found |= {secret.strip() or secret, *(one for one in lines if len(one) >= SHORTEST_LINE)}
    # The longest first: one may hold another.
    for one in sorted(found - {b""}, key=lambda text: (-len(text), text)):
        said = said.replace(one, HIDDEN)
    return said
