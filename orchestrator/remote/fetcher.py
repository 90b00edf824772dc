"""What a load is given to bring remote stack files here."""

import asyncio
import os
from collections.abc import Mapping

from orchestrator.errors import PyorchError
from orchestrator.remote import git, oci
from orchestrator.remote.cache import Cache
from orchestrator.settings import Settings
from orchestrator.spec.reading.remote import Fetched, GitReference, Reference

GIT_SWITCH = "COMPOSE_EXPERIMENTAL_GIT_REMOTE"
OCI_SWITCH = "COMPOSE_EXPERIMENTAL_OCI_REMOTE"
_OFF = ("0", "f", "false")


class Fetcher:
    """Fetches into the user's cache; blocking."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._cache = Cache(environ)

    def __call__(self, reference: Reference) -> Fetched:
        """Return where a reference is now. Raises PyorchError with the cause and a hint."""
        switch = GIT_SWITCH if isinstance(reference, GitReference) else OCI_SWITCH
        if self._environ.get(switch, "").lower() in _OFF:
            raise PyorchError(f"`{switch}` says that nothing is fetched so")
        return asyncio.run(self._fetch(reference))

    async def _fetch(self, reference: Reference) -> Fetched:
        if isinstance(reference, GitReference):
            return await git.fetch(reference, self._cache, self._environ)
        return await oci.fetch(reference, self._cache, Settings.from_environ(self._environ))
