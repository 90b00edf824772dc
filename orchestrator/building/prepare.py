"""A service's ``build`` → what the daemon is asked, and the folders that go along.

What this machine's builder cannot do is refused here by its key, with its place in the file.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.building.ignore import read_rules
from orchestrator.building.pack import Folder
from orchestrator.building.request import LONGEST_DOCKERFILE, BuildRequest
from orchestrator.errors import PyorchError
from orchestrator.spec.judging.support import REFUSED
from orchestrator.spec.load import Loaded
from orchestrator.spec.models import Build, Service, StackFile, Ulimit
from orchestrator.spec.problems import SpecError
from orchestrator.spec.reading.files import read_bytes, read_file
from orchestrator.spec.reading.remote import Fetch, Fetched, GitReference, read_reference, shown
from orchestrator.spec.tree import Path as KeyPath
from orchestrator.spec.tree import Troubles, stop

IMAGE = "docker-image://"
SERVICE = "service:"
LAYOUT = "oci-layout://"
ORDINARY = ("", "default", "bridge")
"""Networks of a build that are one of its own."""
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a command line says about every build."""

    args: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    """Arguments of builds that have none of their names."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Files of private keys, by id."""
    no_cache: bool = False
    pull: bool = False
    memory: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One image to be built."""

    service: str
    image: str
    request: BuildRequest
    folders: tuple[Folder, ...]


def buildable(stack: StackFile) -> tuple[str, ...]:
    """Return the services of a stack that can be built."""
    return tuple(name for name, service in stack.services.items() if service.build)


def needed_builds(stack: StackFile, service: str) -> tuple[str, ...]:
    """Return the services whose images a service's build begins with or copies from."""
    build = stack.services[service].build
    contexts = build.additional_contexts.values() if build else ()
    return tuple(one.removeprefix(SERVICE) for one in contexts if one.startswith(SERVICE))


def in_order(stack: StackFile, services: Sequence[str]) -> tuple[str, ...]:
    """Return services and what their builds need, each after what it needs."""
    found: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise PyorchError(f"builds need each other: {' -> '.join((*above, name))}")
        for wanted in needed_builds(stack, name):
            visit(wanted, (*above, name))
        found.setdefault(name)

    for name in services:
        visit(name, ())
    return tuple(found)


def refused(loaded: Loaded, services: Sequence[str]) -> None:
    """Raise SpecError for everything about builds that cannot be carried out here."""
    troubles = Troubles()
    for name in services:
        build = loaded.whole.services[name].build
        if build is not None:
            for path, cause, hint in _refusals(build, ("services", name, "build")):
                troubles.add(loaded.tree, path, cause, hint=hint)
    stop(troubles)


def _refusals(build: Build, path: KeyPath) -> Iterator[tuple[KeyPath, str, str | None]]:
    for key in ("privileged", "entitlements"):
        if getattr(build, key):
            hint = "leave it out: steps run as root of the image, with a container's rights"
            yield (*path, key), REFUSED[f"services.*.build.{key}"], hint
    if build.isolation not in ("", "default"):
        yield (*path, "isolation"), REFUSED["services.*.build.isolation"], "leave it out"
    if ("default" in build.ssh and not build.ssh["default"]) or any(
        value is None for value in build.ssh.values()
    ):
        hint = "name a file with a key that has no passphrase: `ssh: [default=~/.ssh/id_deploy]`"
        yield (*path, "ssh"), "the agent is not passed on to builds", hint
    for name, where in build.additional_contexts.items():
        if where.startswith(LAYOUT):
            hint = f"`pyorch image load` it, and write `{IMAGE}NAME`"
            yield (*path, "additional_contexts", name), "layouts are no contexts here", hint


def _platforms(service: Service) -> tuple[str, ...]:
    """Return what is built for: that of the service, else any of those of its build."""
    from runtime.platforms import parse_platform

    if service.platform:
        return (str(parse_platform(service.platform)),)
    return service.build.platforms if service.build else ()


def prepare(loaded: Loaded, service: str, wishes: Wishes, fetch: Fetch) -> Prepared:
    """Return what building a service takes. Raises PyorchError naming the key at fault."""
    stack, where = loaded.whole, f"services.{service}.build"
    build = stack.services[service].build
    assert build is not None
    context = _folder(build.context, f"{where}.context", fetch)
    text, ignore = _dockerfile(build, context, f"{where}.dockerfile")
    folders, names, images = [Folder(context, read_rules(ignore))], [], {}
    for name, source in build.additional_contexts.items():
        if source.startswith(SERVICE):
            images[name] = stack.image_of(source.removeprefix(SERVICE))
        elif source.startswith(IMAGE):
            images[name] = source.removeprefix(IMAGE)
        else:
            folder = _folder(source, f"{where}.additional_contexts.{name}", fetch)
            names.append(name)
            folders.append(Folder(folder, read_rules([f"{folder}/.dockerignore"])))
    image = stack.image_of(service)
    request = BuildRequest(
        names=tuple(dict.fromkeys((image, *build.tags))),
        dockerfile=text,
        contexts=tuple(names),
        image_contexts=images,
        platforms=_platforms(stack.services[service]),
        target=build.target,
        args={
            **{name: text for name, text in wishes.proxies.items() if name not in build.args},
            **{name: value for name, value in build.args.items() if value is not None},
            **wishes.args,
        },
        labels=build.labels,
        secrets=dict(_secrets(loaded, build, where)),
        keys={
            name: _key(path, f"{where}.ssh")
            for name, path in {**build.ssh, **wishes.keys}.items()
            if path
        },
        # No step of it comes from the cache: there is no way to say that of some stages only.
        no_cache=build.no_cache or bool(build.no_cache_filter) or wishes.no_cache,
        pull=build.pull or wishes.pull,
        hosts=tuple(build.extra_hosts),
        shm_size=build.shm_size,
        memory=wishes.memory,
        ulimits=tuple(_ulimit(name, limit) for name, limit in build.ulimits.items()),
        network=_network(stack, build),
    )
    return Prepared(service=service, image=image, request=request, folders=tuple(folders))


def _folder(source: str, where: str, fetch: Fetch) -> Path:
    try:
        reference = read_reference(source)
        if isinstance(reference, GitReference):
            return _fetched(fetch(reference))
    except PyorchError as error:
        raise PyorchError(f"{where}: `{shown(source)}`: {error}", hint=error.hint) from None
    folder = Path(source)
    if not folder.is_dir():
        what = "is no directory" if folder.exists() else "does not exist"
        raise PyorchError(
            f"{where}: `{folder}` {what}", hint="paths begin at the stack file's directory"
        )
    return folder


def _fetched(found: Fetched) -> Path:
    """Return the folder that was fetched; a link of a repository leads nowhere outside of it."""
    folder = Path(os.path.realpath(found.path))
    root = Path(os.path.realpath(found.root))
    if root not in (folder, *folder.parents) or not folder.is_dir():
        raise PyorchError("there is no such folder in it", hint="write `URL#REF:FOLDER`")
    return folder


def _dockerfile(build: Build, context: Path, where: str) -> tuple[str, list[str]]:
    """Return its text, and where the rules of what is to be left out may stand."""
    general = f"{context}/.dockerignore"
    if build.dockerfile_inline:
        return build.dockerfile_inline, [general]
    path = context / (build.dockerfile or "Dockerfile")
    if not path.exists():
        hint = f"write it, or name another one in `{where.rpartition('.')[2]}`"
        raise PyorchError(f"{where}: `{path}` does not exist", hint=hint)
    try:
        text = read_file(path)
    except SpecError as error:
        raise PyorchError(f"{where}: {error}", hint=error.hint) from None
    if len(text) > LONGEST_DOCKERFILE:
        raise PyorchError(f"{where}: `{path}` is larger than {LONGEST_DOCKERFILE} characters")
    return text, [f"{path}.dockerignore", general]


def _secrets(loaded: Loaded, build: Build, where: str) -> Iterator[tuple[str, bytes]]:
    for mount in build.secrets:
        secret = loaded.whole.secrets[mount.source]
        name = mount.target.rpartition("/")[2] or mount.source
        place = f"{where}.secrets: `{mount.source}`"
        if not NAME.fullmatch(name):
            raise PyorchError(f"{place}: `{name[:80]}` is no id of a secret")
        if secret.payload is not None:
            yield name, secret.payload
        elif secret.environment:
            if secret.environment not in loaded.variables:
                raise PyorchError(f"{place}: the variable `{secret.environment}` is not set")
            yield name, loaded.variables[secret.environment].encode()
        elif secret.file:
            yield name, _content(Path(secret.file), place)
        else:
            raise PyorchError(f"{place}: there is nothing here that holds it", hint="use `file`")


def _key(path: str, where: str) -> bytes:
    data = _content(Path(os.path.expanduser(path)), where)
    if b"PRIVATE KEY" not in data:
        hint = "agents are not passed on; name a private key without a passphrase"
        raise PyorchError(f"{where}: `{path}` is no private key", hint=hint)
    return data


def _content(path: Path, where: str) -> bytes:
    try:
        return read_bytes(path)
    except SpecError as error:
        raise PyorchError(f"{where}: {error}", hint=error.hint) from None


def _ulimit(name: str, limit: "int | Ulimit") -> str:
    if isinstance(limit, int):
        return f"{name}={limit}"
    return f"{name}={limit.soft}:{limit.hard}"


def _network(stack: StackFile, build: Build) -> str:
    if build.network in ORDINARY:
        return ""
    known = stack.networks.get(build.network)
    return known.name if known else build.network
