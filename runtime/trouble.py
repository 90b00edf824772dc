"""What stands in the host's own way: a full disk, a broken one, too many open files."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.errors import UnavailableError

HOST_TROUBLE = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
)
"""Errors that say nothing about what was to be done."""


@asynccontextmanager
async def trouble(verb: str, subject: str) -> AsyncIterator[None]:
    """Tell what stands in the way of the host itself as a refusal that may pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in HOST_TROUBLE:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise UnavailableError(
            verb,
            subject,
            "no space, or no free inode, is left on the disk" if full else str(error),
            hint="`pyorch image prune` removes what nobody needs" if full else None,
            code="no_space" if full else None,
        ) from error
