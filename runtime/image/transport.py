"""HTTP with one registry: who may see our login, where redirects may lead, when to try again.

A login and what is got for it go to the origin that asked for them and to no other; a
redirect never leads off TLS, to a link-local address (clouds keep secrets there) or on for
ever.
"""

import asyncio
import ipaddress
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override
from yarl import URL

from runtime.errors import (
    DriverError,
    InvalidError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from runtime.image.challenge import Challenge, parse_challenges
from runtime.image.credentials import Credentials, Login
from runtime.image.patience import Limits, RetryError, gave_up
from runtime.image.registries import LOCAL, Endpoint

MAX_REDIRECTS = 5
MAX_TOKEN = 1024 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may well succeed."""


class Transport:
    """Requests about one repository at one endpoint, for the time of one pull or push."""

    def __init__(
        self,
        endpoint: Endpoint,
        session: aiohttp.ClientSession,
        credentials: Credentials,
        limits: Limits,
        *,
        push: bool = False,
        login: Login | None = None,
    ) -> None:
        """Talk to ``endpoint`` over ``session``; ``login`` is instead of what files say."""
        self.endpoint = endpoint
        self.limits = limits
        self._session = session
        self._credentials = credentials
        self._scope = f"repository:{endpoint.repository}:{'pull,push' if push else 'pull'}"
        self._login = login
        self._trying = login is not None
        self._authorization: str | None = None
        self._authorizing = asyncio.Lock()
        self._met = False
        self._scheme = "http" if endpoint.plain_http else "https"

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        endpoint: Endpoint,
        credentials: Credentials,
        limits: Limits,
        *,
        push: bool = False,
        login: Login | None = None,
    ) -> AsyncIterator["Transport"]:
        """Open connections for as long as the context lasts."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect, sock_read=limits.stall
        )
        connector = aiohttp.TCPConnector(ssl=endpoint.tls(), resolver=_Resolver())
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, auto_decompress=False, cookie_jar=_no_cookies()
        ) as session:
            found = cls(endpoint, session, credentials, limits, push=push, login=login)
            await found._choose_scheme()
            yield found

    @property
    def root(self) -> URL:
        """Where the registry's API begins."""
        return URL(f"{self._scheme}://{self.endpoint.host}/v2/")

    @property
    def _way_in(self) -> str:
        """Return what helps somebody a registry does not let in."""
        if self._trying:
            return "check the user and the password; many registries want a token for a password"
        return f"`pyorch login {self.endpoint.name}`"

    @property
    def base(self) -> URL:
        """Where everything about the repository begins."""
        return self.root / self.endpoint.repository

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        known: frozenset[int] = frozenset(),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the answer to one request; statuses that are no success raise unless ``known``.

        Raises RetryError for what may pass, NotFoundError, UnavailableError or InvalidError
        for what will not.
        """
        asked = 0
        while True:
            used = self._authorization
            async with self._followed(method, url, headers or {}, data, used) as answer:
                if answer.status == 401 and asked < 2 and self._is_ours(answer.url):
                    asked += 1
                    told = answer.headers.getall("WWW-Authenticate", [])
                elif answer.status >= 300 and answer.status not in known:
                    raise await self._refusal(answer)
                else:
                    yield answer
                    return
            await self._authorize(parse_challenges(told), used)

    # ── one exchange ─────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _followed(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        data: Any,
        authorization: str | None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        for _ in range(MAX_REDIRECTS + 1):
            self._check_target(url)
            sent = dict(headers)
            if authorization and self._is_ours(url):
                sent["Authorization"] = authorization
            try:
                answer = await self._session.request(
                    method, url, headers=sent, data=data, allow_redirects=False
                )
            except aiohttp.ClientError as error:
                raise self._broken(error, url) from error
            except TimeoutError:
                raise RetryError(f"`{url.host}` does not answer in time") from None
            self._met = True
            async with answer:
                if answer.status not in REDIRECTS or method not in ("GET", "HEAD"):
                    yield answer
                    return
                place = answer.headers.get("Location", "")
            try:
                url = url.join(URL(place))
            except ValueError:
                raise InvalidError("follow", self.endpoint.name, "a redirect to no URL") from None
        raise InvalidError(
            "follow", self.endpoint.name, f"more than {MAX_REDIRECTS} redirects in a row"
        )

    def _check_target(self, url: URL) -> None:
        host = url.host or ""
        plain = self._scheme == "http"
        if url.scheme != "https" and not (url.scheme == "http" and plain):
            raise InvalidError(
                "follow", self.endpoint.name, f"a redirect to `{_shown(url)}`, which is not https"
            )
        if url.user or url.password or not host:
            raise InvalidError("follow", self.endpoint.name, "a redirect with a login in it")
        if _is_link_local(host) and not self._is_ours(url):
            raise InvalidError(
                "follow", self.endpoint.name, f"a redirect to the link-local address `{host}`"
            )

    def _is_ours(self, url: URL) -> bool:
        return url.origin() == self.root.origin()

    def _broken(self, error: aiohttp.ClientError, url: URL) -> Exception:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return UnsupportedError(
                "talk to",
                self.endpoint.name,
                f"the certificate of `{url.host}` is refused: {error.certificate_error}",
                hint=f"put its authority into /etc/containers/certs.d/{self.endpoint.host}/ca.crt,"
                " or give the daemon SSL_CERT_FILE",
            )
        if isinstance(error, aiohttp.ClientConnectorError) and not self._met:
            # Nobody was ever there: to ask six times would only be slow to say so.
            return gave_up("reach", self.endpoint.name, error)
        return RetryError(f"`{url.host}` does not answer: {str(error) or type(error).__name__}")

    async def _refusal(self, answer: aiohttp.ClientResponse) -> Exception:
        name = self.endpoint.name
        said = await _reason(answer)
        cause = f"`{name}` answers {answer.status}{f' ({said})' if said else ''}"
        if answer.status in PASSING:
            return RetryError(cause, _retry_after(answer.headers.get("Retry-After")))
        if answer.status in (401, 403):
            return NotFoundError(
                "reach",
                f"{name}/{self.endpoint.repository}",
                cause,
                hint=f"check the name, or {self._way_in}",
            )
        if answer.status == 404:
            return NotFoundError("find", f"{name}/{self.endpoint.repository}", cause)
        return UnavailableError("talk to", name, cause)

    async def _choose_scheme(self) -> None:
        """Speak plain HTTP with a registry on this machine that does not understand TLS.

        A certificate that is refused is no reason: it is told with the first request.
        """
        if not self.endpoint.local or self.endpoint.plain_http:
            return
        try:
            async with self._session.get(self.root, allow_redirects=False):
                return
        except aiohttp.ClientConnectorCertificateError:
            return
        except (aiohttp.ClientConnectorSSLError, aiohttp.ServerDisconnectedError):
            self._scheme = "http"
        except (aiohttp.ClientError, TimeoutError):
            return

    # ── logging in ───────────────────────────────────────────────────────────────────────

    async def _authorize(self, challenges: tuple[Challenge, ...], used: str | None) -> None:
        async with self._authorizing:
            if self._authorization != used:
                return  # another request got one meanwhile
            if self._login is None:
                self._login = await self._credentials.find(
                    self.endpoint.name, self.endpoint.repository
                )
            kinds = {one.scheme: one for one in reversed(challenges)}
            if "bearer" in kinds:
                self._authorization = f"Bearer {await self._token(kinds['bearer'])}"
            elif "basic" in kinds and self._login is not None:
                self._authorization = self._login.basic
            if self._authorization == used:
                raise NotFoundError(
                    "log in to",
                    self.endpoint.name,
                    "the login is refused" if self._login else "it wants a login",
                    hint=self._way_in,
                )

    async def _token(self, challenge: Challenge) -> str:
        name = self.endpoint.name
        try:
            realm = URL(challenge.parameters.get("realm", ""))
            loopback = LOCAL.fullmatch(realm.authority) is not None
            ours = realm.host is not None and realm.host == self.root.host
        except ValueError:
            raise InvalidError("log in to", name, "its token server is no URL") from None
        plain = realm.scheme == "http" and self._scheme == "http" and (ours or loopback)
        refused = realm.scheme != "https" and not plain
        if refused or realm.user or not realm.host or _is_link_local(realm.host):
            raise InvalidError("log in to", name, f"its token server `{_shown(realm)}` is refused")
        login = self._login
        if login is not None and not ours and realm.host not in self.endpoint.token_hosts:
            # What that host is to the registry nobody said: it does not get the login.
            login = None
        query = {"scope": self._scope}
        if service := challenge.parameters.get("service"):
            query["service"] = service
        method, headers, data = "GET", {}, None
        if login is not None and login.identity_token:
            method = "POST"
            data = {
                **query,
                "grant_type": "refresh_token",
                "refresh_token": login.identity_token,
                "client_id": "pyorch",
            }
        else:
            realm = realm.update_query(query)
            if login is not None:
                headers["Authorization"] = login.basic
        last: Exception | None = None
        for attempt in range(1, self.limits.attempts + 1):
            try:
                async with asyncio.timeout(self.limits.document):
                    return await self._fetch_token(method, realm, headers, data, login)
            except RetryError as error:
                last = error
                await asyncio.sleep(self.limits.pause(name, attempt, error.after))
            except (aiohttp.ClientError, TimeoutError) as error:
                last = error
                await asyncio.sleep(self.limits.pause(name, attempt))
        raise UnavailableError("log in to", name, f"`{realm.host}` gives no token: {last}")

    async def _fetch_token(
        self, method: str, realm: URL, headers: Mapping[str, str], data: Any, login: Login | None
    ) -> str:
        name = self.endpoint.name
        async with self._session.request(
            method, realm, headers=headers, data=data, allow_redirects=False
        ) as answer:
            if answer.status in PASSING:
                raise RetryError(
                    f"it answers {answer.status}", _retry_after(answer.headers.get("Retry-After"))
                )
            if answer.status != 200:
                withheld = self._login is not None and login is None
                raise NotFoundError(
                    "log in to",
                    name,
                    f"`{realm.host}` answers {answer.status}",
                    hint=f"the login for `{name}` was not sent there: name `{realm.host}` in"
                    " token_hosts of the registry's settings if it may have it"
                    if withheld
                    else self._way_in,
                )
            body = await read_at_most(answer, MAX_TOKEN)
        try:
            found = json.loads(body)
            token = str(found.get("token") or found["access_token"])
        except (ValueError, KeyError, AttributeError):
            raise UnavailableError("log in to", name, f"`{realm.host}` gives no token") from None
        if not token.isascii() or not token.isprintable():
            raise InvalidError("log in to", name, f"`{realm.host}` gives a token that is none")
        return token


async def read_at_most(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return a body of up to ``limit`` bytes. Raises InvalidError for more."""
    data = bytearray()
    async for part in answer.content.iter_any():
        data += part
        if len(data) > limit:
            raise InvalidError("read", str(answer.url.host), f"a document over {limit} bytes")
    return bytes(data)


class _Resolver(AbstractResolver):
    """Names as everywhere, but never as a link-local address."""

    def __init__(self) -> None:
        self._inner = aiohttp.DefaultResolver()

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [one for one in found if not _is_link_local(one["host"])]
        if found and not allowed:
            raise OSError(f"`{host}` has link-local addresses only")
        return allowed

    @override
    async def close(self) -> None:
        await self._inner.close()


def _no_cookies() -> aiohttp.DummyCookieJar:
    return aiohttp.DummyCookieJar()


def _is_link_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_link_local or host == "fd00:ec2::254"


def _shown(url: URL) -> str:
    """Return as much of a URL as may be printed: signed ones carry secrets in their query."""
    return f"{url.scheme}://{url.host}{url.path}"[:200]


def _retry_after(value: str | None) -> float | None:
    if not value:
        return None
    try:
        return float(int(value))
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError):
        return None


async def _reason(answer: aiohttp.ClientResponse) -> str:
    """Return what a registry says about a refusal, as much of it as is fit to print."""
    if "json" not in answer.headers.get("Content-Type", ""):
        return ""
    try:
        async with asyncio.timeout(2):
            data = await read_at_most(answer, 64 * 1024)
        first = json.loads(data)["errors"][0]
        said = str(first.get("message") or first.get("code") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, DriverError):
        return ""
    except (aiohttp.ClientError, TimeoutError):
        return ""
    return "".join(mark for mark in said[:200] if mark.isprintable())
