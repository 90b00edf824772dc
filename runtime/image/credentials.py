"""Who we are to a registry: what docker's and podman's files and helpers say, and our own.

Nothing here is ever printed: a :class:`Login` shows its user and no more.
"""

import asyncio
import base64
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime import process
from runtime.errors import InvalidError, UnavailableError
from runtime.files import write_atomic
from runtime.image.reference import DEFAULT_REGISTRY

HELPER_PATIENCE = 30.0
MAX_FILE = 1024 * 1024
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DOCKER_HUB = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Login:
    """A user with a password, or with a token that stands for both."""

    user: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of a basic ``Authorization`` header."""
        packed = base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")
        return f"Basic {packed}"


class Credentials:
    """The files that are looked through, in order; ours is the first and the only one written."""

    def __init__(self, own: Path, environ: Mapping[str, str] = os.environ) -> None:
        """Keep logins in ``own``; find the other programs' files by ``environ``."""
        self._own = own
        self._environ = environ

    def files(self) -> tuple[Path, ...]:
        """Return where logins may stand, ours first, then podman's, then docker's."""
        environ = self._environ
        home = environ.get("HOME") or os.path.expanduser("~root")
        runtime_folder = environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}"
        below = "containers/auth.json" if environ.get("XDG_RUNTIME_DIR") else "auth.json"
        found = [self._own]
        if given := environ.get("REGISTRY_AUTH_FILE"):
            found.append(Path(given))
        found.append(Path(runtime_folder, below))
        folder = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
        found.append(Path(folder, "containers/auth.json"))
        found.append(Path(environ.get("DOCKER_CONFIG") or f"{home}/.docker", "config.json"))
        return tuple(found)

    async def find(self, registry: str, repository: str = "") -> Login | None:
        """Return the login for a repository: the most specific one of the first file with any.

        Raises InvalidError for an entry that cannot be read, UnavailableError for a helper
        that fails for another reason than not knowing the registry.
        """
        for path in self.files():
            document = _read(path)
            helpers = document.get("credHelpers")
            for name in _names(registry, repository):
                if isinstance(helpers, dict) and isinstance(helpers.get(name), str):
                    return await self._ask(str(helpers[name]), name)
                entry = _entry(document, name)
                if entry is not None and (login := _login(entry, path, name)) is not None:
                    return login
            store = document.get("credsStore")
            if isinstance(store, str) and store:
                for name in _names(registry, ""):
                    if (login := await self._ask(store, name)) is not None:
                        return login
        return None

    def keep(self, registry: str, login: Login) -> None:
        """Write a login into our own file, which only root reads."""
        document = _read(self._own)
        auths = document.get("auths")
        entry: dict[str, str] = {"auth": login.basic.removeprefix("Basic ")}
        if login.identity_token:
            entry["identitytoken"] = login.identity_token
        auths = {**(auths if isinstance(auths, dict) else {}), registry: entry}
        self._write({**document, "auths": auths})

    def forget(self, registry: str) -> bool:
        """Take a login out of our own file; return whether there was one."""
        document = _read(self._own)
        auths = document.get("auths")
        if not isinstance(auths, dict) or registry not in auths:
            return False
        self._write({**document, "auths": {k: v for k, v in auths.items() if k != registry}})
        return True

    def _write(self, document: Mapping[str, object]) -> None:
        self._own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self._own, json.dumps(document, indent=1).encode(), sync=True)

    async def _ask(self, helper: str, server: str) -> Login | None:
        """Have a helper program say who we are (docker-credential-helpers' protocol)."""
        if not _HELPER.fullmatch(helper):
            raise InvalidError("log in to", server, f"`{helper[:80]}` is no helper's name")
        path = self._environ.get("PATH", os.defpath)
        absolute = ":".join(part for part in path.split(":") if part.startswith("/"))
        program = shutil.which(f"docker-credential-{helper}", path=absolute)
        if program is None:
            raise UnavailableError(
                "log in to",
                server,
                f"the program `docker-credential-{helper}` is not installed",
                hint="install it, or `pyorch login` and be known without it",
            )
        try:
            async with asyncio.timeout(HELPER_PATIENCE):
                done = await process.run(
                    [os.path.realpath(program), "get"], stdin=server.encode(), check=False
                )
        except TimeoutError:
            raise UnavailableError(
                "log in to", server, f"`{program}` does not answer within {HELPER_PATIENCE:.0f} s"
            ) from None
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace").lower()
            if "credentials not found" in said or "no credentials" in said:
                return None
            raise UnavailableError("log in to", server, f"`{program}` fails: {done.complaint}")
        try:
            answer = json.loads(done.stdout)
            user, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError):
            # What it printed may hold the secret: it is not repeated.
            raise UnavailableError(
                "log in to", server, f"`{program}` answers nothing that is understood"
            ) from None
        if user == "<token>":
            return Login("", identity_token=secret)
        return Login(user, secret)


def _names(registry: str, repository: str) -> Iterator[str]:
    """Yield what files call a registry: podman's paths, longest first, then docker's forms."""
    parts = repository.split("/") if repository else []
    for count in range(len(parts), 0, -1):
        yield "/".join((registry, *parts[:count]))
    yield registry
    yield f"https://{registry}"
    yield f"https://{registry}/"
    yield f"https://{registry}/v1/"
    yield f"https://{registry}/v2/"
    if registry == DEFAULT_REGISTRY:
        yield from _DOCKER_HUB


def _read(path: Path) -> dict[str, Any]:
    """Return the object in a file; nothing where there is none.

    Raises InvalidError for one that is no configuration: to go on without the login would
    only lead to a refusal that says less.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InvalidError("read logins from", str(path), error.strerror or str(error)) from error
    try:
        found = json.loads(data) if len(data) <= MAX_FILE else None
    except ValueError as error:
        raise InvalidError("read logins from", str(path), f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidError("read logins from", str(path), "it is no object, or far too large")
    return found


def _entry(document: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    auths = document.get("auths")
    entry = auths.get(name) if isinstance(auths, dict) else None
    return entry if isinstance(entry, dict) else None


def _login(entry: Mapping[str, Any], path: Path, name: str) -> Login | None:
    """Return what an entry says; None for docker's empty mark that a store knows more."""
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if auth := entry.get("auth"):
        try:
            unpacked = base64.b64decode(str(auth), validate=True).decode()
        except ValueError:
            raise InvalidError(
                "read logins from", str(path), f"the entry `{name}` is damaged"
            ) from None
        user, _, password = unpacked.partition(":")
    token = str(entry.get("identitytoken") or "")
    if not user and not token:
        return None
    return Login(user, password.rstrip("\0"), identity_token=token)
