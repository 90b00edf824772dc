"""What a machine's owner says about registries: mirrors, exceptions, certificates.

One small TOML file, read anew for every pull::

    certificates = ["/etc/containers/certs.d", "/etc/docker/certs.d"]

    [registry."docker.io"]
    mirrors = ["mirror.lan:5000", "mirror.lan:5000/hub"]

    [registry."mirror.lan:5000"]
    plain_http = true          # no TLS at all
    skip_verify = true         # TLS with a certificate that nobody checks
    token_hosts = ["auth.lan"] # other hosts that may see this registry's login
    signed_by = ["/etc/pyorch/team.pub"] # keys one of which must have signed an image

Nothing is insecure that is not named here; only this machine itself may be spoken to without
TLS all the same.
"""

import re
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from runtime.errors import InvalidError
from runtime.image.reference import DEFAULT_REGISTRY, Reference

SETTINGS = Path("/etc/pyorch/registries.toml")
CERTIFICATES = ("/etc/containers/certs.d", "/etc/docker/certs.d")
HUB = "registry-1.docker.io"
TOKEN_HOSTS: Mapping[str, tuple[str, ...]] = {
    DEFAULT_REGISTRY: ("auth.docker.io",),
    "registry.gitlab.com": ("gitlab.com",),
}
"""Pairs that are known to belong together."""

LOCAL = re.compile(r"(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d+)?")
_PLACE = r"^([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?(/[a-z0-9._/-]+)?$"


class _Registry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    mirrors: list[Annotated[str, StringConstraints(pattern=_PLACE)]] = []
    plain_http: bool = False
    skip_verify: bool = False
    token_hosts: list[str] = []
    signed_by: list[Annotated[str, StringConstraints(pattern=r"^[^-].*")]] = []


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    certificates: list[str] = list(CERTIFICATES)
    registry: dict[str, _Registry] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A place an image may be had from: a registry itself or a mirror of it."""

    name: str
    """As people write it: it names logins, certificates and settings."""
    host: str
    """As it is connected to."""
    repository: str
    plain_http: bool = False
    skip_verify: bool = False
    token_hosts: tuple[str, ...] = ()
    certificates: tuple[Path, ...] = ()
    mirror: bool = False

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        return LOCAL.fullmatch(self.host) is not None

    def tls(self) -> ssl.SSLContext:
        """Return what is trusted and who we are. Raises InvalidError for unusable files."""
        context = ssl.create_default_context()
        if self.skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        for folder in self.certificates:
            for path in sorted((*folder.glob("*.crt"), *folder.glob("*.cert"))):
                try:
                    if path.suffix == ".crt":
                        context.load_verify_locations(path)
                    else:
                        context.load_cert_chain(path, path.with_suffix(".key"))
                except OSError as error:  # that of TLS is one, too
                    raise InvalidError("use certificate", str(path), str(error)) from error
        return context


@dataclass(frozen=True, slots=True)
class Registries:
    """The settings file, read."""

    settings: _Settings = field(default_factory=_Settings)

    @classmethod
    def read(cls, path: Path) -> "Registries":
        """Read a settings file; without one everything is as secure as it can be.

        Raises InvalidError naming the key that cannot be used.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise InvalidError("read settings", str(path), str(error)) from error
        try:
            return cls(_Settings.model_validate(tomllib.loads(text)))
        except tomllib.TOMLDecodeError as error:
            raise InvalidError("read settings", str(path), str(error)) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidError(
                "read settings",
                str(path),
                f"{where}: {first['msg']}",
                hint="known are certificates, and of a registry: "
                + ", ".join(_Registry.model_fields),
            ) from None

    def endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Return where an image may be pulled from, mirrors first, the registry itself last."""
        named = self.settings.registry.get(reference.registry, _Registry())
        mirrors = []
        for place in named.mirrors:
            host, _, prefix = place.partition("/")
            repository = "/".join(filter(None, (prefix.strip("/"), reference.repository)))
            mirrors.append(self._endpoint(host, repository, mirror=True))
        return (*mirrors, self.endpoint(reference))

    def keys(self, reference: Reference) -> tuple[str, ...]:
        """Return the keys one of which must have signed an image; none where it may be anybody's.

        They are the registry's, wherever the image then comes from.
        """
        named = self.settings.registry.get(reference.registry, _Registry())
        return tuple(named.signed_by)

    def endpoint(self, reference: Reference) -> Endpoint:
        """Return the registry itself."""
        return self._endpoint(reference.registry, reference.repository, mirror=False)

    def _endpoint(self, name: str, repository: str, *, mirror: bool) -> Endpoint:
        named = self.settings.registry.get(name, _Registry())
        host = HUB if name == DEFAULT_REGISTRY else name
        return Endpoint(
            name=name,
            host=host,
            repository=repository,
            plain_http=named.plain_http,
            skip_verify=named.skip_verify,
            token_hosts=(*named.token_hosts, *TOKEN_HOSTS.get(name, ())),
            certificates=tuple(Path(folder, host) for folder in self.settings.certificates),
            mirror=mirror,
        )
