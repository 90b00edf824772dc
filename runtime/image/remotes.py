"""Which registries are asked for an image, in which order, for how long, and as whom."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from runtime.errors import DriverError, InvalidError, UnavailableError
from runtime.files import in_thread
from runtime.image.credentials import Credentials, Login
from runtime.image.patience import Limits
from runtime.image.reference import Reference, parse_reference
from runtime.image.registries import Registries
from runtime.image.registry import Registry
from runtime.trouble import trouble

T = TypeVar("T")


class Remotes:
    """The registries the ``settings`` file describes; it is read anew each time."""

    def __init__(self, settings: Path, credentials: Credentials, limits: Limits) -> None:
        """Be known to registries by ``credentials``, and patient by ``limits``."""
        self._settings = settings
        self.credentials = credentials
        self._limits = limits

    def keys(self, reference: Reference) -> tuple[str, ...]:
        """Return the keys one of which must have signed an image; none where none must."""
        return Registries.read(self._settings).keys(reference)

    def open(self, reference: Reference) -> AbstractAsyncContextManager[Registry]:
        """Open the registry of a reference itself, without its mirrors."""
        endpoint = Registries.read(self._settings).endpoint(reference)
        return Registry.open(endpoint, self.credentials, self._limits)

    async def ask(
        self, verb: str, reference: Reference, question: Callable[[Registry], Awaitable[T]]
    ) -> T:
        """Ask the mirrors of a registry one after the other, and at last the registry itself."""
        subject = str(reference)
        earlier: list[str] = []
        for endpoint in Registries.read(self._settings).endpoints(reference):
            try:
                async with (
                    asyncio.timeout(self._limits.total),
                    trouble(verb, subject),
                    Registry.open(endpoint, self.credentials, self._limits) as registry,
                ):
                    return await question(registry)
            except TimeoutError:
                raise self._late(verb, subject) from None
            except DriverError as error:
                if endpoint.mirror and error.code != "no_space":
                    earlier.append(f"mirror `{endpoint.name}`: {error.cause}")
                    continue
                raise _about(error, verb, subject, earlier) from error
        raise AssertionError("a registry is its own last endpoint")

    @asynccontextmanager
    async def pushing(self, verb: str, reference: Reference) -> AsyncIterator[Registry]:
        """Open the registry of a reference to put something there."""
        endpoint = Registries.read(self._settings).endpoint(reference)
        subject = str(reference)
        try:
            async with (
                asyncio.timeout(self._limits.total),
                trouble(verb, subject),
                Registry.open(endpoint, self.credentials, self._limits, push=True) as registry,
            ):
                yield registry
        except TimeoutError:
            raise self._late(verb, subject) from None
        except DriverError as error:
            raise _about(error, verb, subject, ()) from error

    async def log_in(self, name: str, login: Login) -> None:
        """Keep a name and a password for a registry, once it has taken them."""
        reference = _within(name)
        endpoint = Registries.read(self._settings).endpoint(reference)
        async with Registry.open(endpoint, self.credentials, self._limits, login=login) as opened:
            await opened.check()
        await in_thread(self.credentials.keep, reference.registry, login)

    async def log_out(self, name: str) -> bool:
        """Forget who one is at a registry; say whether that was known."""
        return await in_thread(self.credentials.forget, _within(name).registry)

    def _late(self, verb: str, subject: str) -> UnavailableError:
        cause = f"it takes more than {self._limits.total:.0f} seconds"
        return UnavailableError(verb, subject, cause)


def _about(error: DriverError, verb: str, subject: str, earlier: Iterable[str]) -> DriverError:
    """Return a registry's refusal as one about the image that was asked for."""
    cause = error.cause if error.subject == subject else f"{error.subject}: {error.cause}"
    return type(error)(
        verb,
        subject,
        "; ".join((cause, *earlier)),
        hint=error.hint,
        code=error.code,
    )


def _within(registry: str) -> Reference:
    """Return a reference within a registry that is named alone."""
    name = registry.removeprefix("https://").rstrip("/")
    if name == "docker.io" or "." in name or ":" in name or name == "localhost":
        return parse_reference(f"{name}/library/any")
    raise InvalidError("log in to", registry[:200], "it is no registry, such as `ghcr.io`")
