"""The only reader of stack files: find, read, interpolate, merge, settle, check.

Runs with the rights of the person who typed the command. Every problem found is reported
with file, line, column and key path; nothing is half loaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.spec.dotenv import DotenvError, parse_dotenv, parse_raw
from orchestrator.spec.interpolate import InterpolationError, interpolate
from orchestrator.spec.merge import merge, plain
from orchestrator.spec.models import Network, Service, StackFile, Volume
from orchestrator.spec.problems import Mark, Problem, SpecError, suggest
from orchestrator.spec.yaml import Document, Tagged, parse, read_file

FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
OWN_FILES = ("stack.yml", "stack.yaml")
TOP = ("name", "version", "services", "networks", "volumes", "configs", "secrets")
NOT_YET = {"include", "models"}
SERVICE_NOT_YET = {
    "blkio_config", "build", "cgroup", "cgroup_parent", "cpu_count", "cpu_percent", "cpu_period",
    "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "credential_spec", "develop",
    "device_cgroup_rules", "domainname", "extends", "external_links", "gpus", "ipc", "isolation",
    "label_file", "links", "mac_address", "mem_swappiness", "memory_swap", "models",
    "oom_kill_disable", "pid", "post_start", "pre_start", "pre_stop", "provider", "storage_opt",
    "use_api_socket", "userns_mode", "uts", "volumes_from",
}  # fmt: skip
ENV_KEYS = {"env_file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What was typed, and where."""

    files: tuple[str, ...] = ()
    project_name: str | None = None
    project_directory: str | None = None
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = field(default_factory=Path.cwd)
    stdin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A settled stack, and what is worth saying about how it came to be."""

    stack: StackFile
    warnings: tuple[str, ...]
    files_read: tuple[Path, ...]


def load_stack(request: LoadRequest) -> Loaded:
    """Load what ``request`` names. Raises SpecError with every problem found."""
    return _Loader(request).load()


class _Loader:
    def __init__(self, request: LoadRequest) -> None:
        self.request = request
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.read: list[Path] = []
        self.marks: dict[tuple[str, ...], Mark] = {}
        self.variables: dict[str, str] = dict(request.environ)
        self.directory = request.cwd

    def load(self) -> Loaded:
        files = self._files()
        self.directory = self._directory(files)
        self._environment()
        merged: dict[str, Any] = {}
        documents = [one for file in files for one in self._parse(file)]
        name = self._name(documents)
        self.variables["COMPOSE_PROJECT_NAME"] = name
        for document in documents:
            content = self._interpolated(document, document.content, ())
            self.marks.update(document.marks)
            if not isinstance(content, dict):
                raise SpecError([self._problem((), "the file must be a mapping with `services:`")])
            merged = merge(merged, content)
        self._stop_on_problems()
        stack = self._settle(plain(merged), name)
        self._stop_on_problems()
        return Loaded(
            stack=stack, warnings=tuple(dict.fromkeys(self.warnings)), files_read=tuple(self.read)
        )

    # ── finding ──────────────────────────────────────────────────────────────────────────

    def _files(self) -> list[str]:
        named = self.request.files
        if not named and (given := self.request.environ.get("COMPOSE_FILE")):
            named = tuple(given.split(self.request.environ.get("COMPOSE_PATH_SEPARATOR", ":")))
        if named:
            return list(named)
        start = self.request.cwd
        if self.request.project_directory:
            start = start / self.request.project_directory
        for folder in (start, *start.parents):
            for file in (*FILES, *OWN_FILES):
                if (folder / file).exists():
                    found = [str(folder / file)]
                    for override in FILES:
                        stem, _, suffix = override.partition(".")
                        beside = folder / f"{stem}.override.{suffix}"
                        if beside.exists():
                            return [*found, str(beside)]
                    return found
        raise SpecError(
            [
                Problem(
                    mark=Mark(file=str(start)),
                    path="",
                    cause="no stack file here or above",
                    hint=f"make a {FILES[0]}, or name a file with -f",
                )
            ]
        )

    def _directory(self, files: list[str]) -> Path:
        if self.request.project_directory:
            return (self.request.cwd / self.request.project_directory).resolve()
        if files[0] == "-":
            return self.request.cwd
        return (self.request.cwd / files[0]).parent.absolute()

    def _environment(self) -> None:
        explicit = self.request.env_files
        paths = [self.request.cwd / file for file in explicit]
        if not explicit:
            paths = [path for path in (self.directory / ".env",) if path.exists()]
        found: dict[str, str] = {}
        for path in paths:
            found |= self._dotenv(path, {**found, **self.request.environ})
        self.variables = {**found, **self.request.environ}

    def _dotenv(
        self, path: Path, lookup: Mapping[str, str], *, raw: bool = False
    ) -> dict[str, str]:
        text = read_file(path)
        self.read.append(path)
        try:
            return parse_raw(text, lookup) if raw else parse_dotenv(text, lookup)
        except DotenvError as error:
            mark = Mark(file=str(path), line=error.line, column=1)
            raise SpecError([Problem(mark=mark, path="", cause=str(error))]) from None
        except InterpolationError as error:
            raise SpecError(
                [Problem(mark=Mark(file=str(path)), path="", cause=str(error))]
            ) from None

    def _parse(self, file: str) -> list[Document]:
        if file == "-":
            return parse(self.request.stdin or "", "-")
        path = self.request.cwd / file
        text = read_file(path)
        self.read.append(path)
        return [one for one in parse(text, file) if one.content is not None]

    def _name(self, documents: list[Document]) -> str:
        given = self.request.project_name or self.variables.get("COMPOSE_PROJECT_NAME")
        if given:
            if _normal(given) != given:
                raise SpecError(
                    [
                        Problem(
                            mark=Mark(file="-p"),
                            path="",
                            cause=f"`{given}` is no stack name",
                            hint=f"use lower-case letters, digits, - and _: `{_normal(given)}`",
                        )
                    ]
                )
            return given
        for document in reversed(documents):
            content = document.content
            if isinstance(content, dict) and content.get("name"):
                return _normal(str(self._interpolated(document, content["name"], ("name",))))
        found = _normal(self.directory.name)
        if not found:
            raise SpecError([self._problem((), "the stack has no name", hint="give one with -p")])
        return found

    # ── interpolating ────────────────────────────────────────────────────────────────────

    def _interpolated(self, document: Document, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, str):
            try:
                return interpolate(value, self.variables, missing=self._missing)
            except InterpolationError as error:
                mark = document.mark(path)
                self.problems.append(Problem(mark=mark, path=".".join(path), cause=str(error)))
                return value
        if isinstance(value, Tagged):
            return Tagged(value.tag, self._interpolated(document, value.value, path))
        if isinstance(value, dict):
            return {k: self._interpolated(document, v, (*path, k)) for k, v in value.items()}
        if isinstance(value, list):
            return [self._interpolated(document, v, (*path, str(i))) for i, v in enumerate(value)]
        return value

    def _missing(self, name: str) -> None:
        self.warnings.append(f'the "{name}" variable is not set, a blank string is used')

    # ── settling ─────────────────────────────────────────────────────────────────────────

    def _settle(self, content: dict[str, Any], name: str) -> StackFile:
        for key in content:
            if key in NOT_YET:
                self._complain((key,), f"`{key}` is not supported yet")
            elif key not in TOP and not key.startswith("x-"):
                self._complain((key,), "unknown key", hint=suggest(key, TOP))
        if "version" in content:
            self.warnings.append("`version` is obsolete and ignored")
        services = self._services(content.get("services"))
        networks = self._resources(content, "networks", name)
        volumes = self._resources(content, "volumes", name)
        self._implicit_networks(services, networks, name)
        used = {place for service in services.values() for place in service.get("networks", {})}
        document = {
            "name": name,
            "services": services,
            "networks": {key: entry for key, entry in networks.items() if key in used},
            "volumes": volumes,
            "configs": self._carried(content, "configs", name),
            "secrets": self._carried(content, "secrets", name),
        }
        try:
            stack = StackFile.model_validate(document)
        except ValidationError as error:
            told = {problem.path for problem in self.problems}
            for found in error.errors():
                self._from_pydantic(found, told)
            raise SpecError(self._in_order()) from None
        self._consistent(stack)
        return stack

    def _services(self, found: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(found, dict) or not found:
            self._complain(("services",), "no services are defined")
            return {}
        active = set(self.request.profiles) or {
            one.strip() for one in self.variables.get("COMPOSE_PROFILES", "").split(",") if one
        }
        services = {}
        for name, entry in found.items():
            if not isinstance(entry, dict):
                self._complain(("services", name), "must be a mapping")
                continue
            wanted = set(entry.get("profiles") or ())
            if wanted and not wanted & active and "*" not in active:
                continue
            services[name] = self._service(name, entry)
        return services

    def _service(self, name: str, entry: dict[str, Any]) -> dict[str, Any]:
        known = set(Service.model_fields) - {"x_pyorch"} | ENV_KEYS | {"x-pyorch"}
        settled: dict[str, Any] = {}
        for key, value in entry.items():
            path = ("services", name, key)
            if key in SERVICE_NOT_YET:
                if key == "build" and entry.get("image"):
                    self.warnings.append(
                        f"services.{name}.build: not supported yet, the image is used"
                    )
                    continue
                self._complain(path, f"`{key}` is not supported yet")
            elif key in known:
                if value is not None:
                    settled[key] = value
            elif not key.startswith("x-"):
                self._complain(path, "unknown key", hint=suggest(key, known))
        if "image" not in settled and "build" not in entry:
            self._complain(("services", name), "neither `image` nor `build` is given")
        settled["environment"] = self._service_environment(name, settled)
        settled.pop("env_file", None)
        settled["volumes"] = [self._absolute(one) for one in settled.get("volumes") or ()]
        return settled

    def _service_environment(self, name: str, entry: dict[str, Any]) -> dict[str, str]:
        files = entry.get("env_file") or []
        found: dict[str, str] = {}
        for item in [files] if isinstance(files, str | dict) else files:
            given = {"path": item} if isinstance(item, str) else dict(item)
            path = self.directory / Path(str(given["path"])).expanduser()
            if not path.exists():
                if given.get("required", True):
                    self._complain(
                        ("services", name, "env_file"),
                        f"env file `{path}` does not exist",
                        hint="make it, or write `required: false`",
                    )
                continue
            lookup = {**found, **self.variables}
            found |= self._dotenv(path, lookup, raw=given.get("format") == "raw")
        own = entry.get("environment") or {}
        if isinstance(own, list):
            pairs = [str(one).partition("=") for one in own]
            own = {key: text if given else None for key, given, text in pairs}
        for key, value in own.items():
            if value is not None:
                found[key] = str(value).lower() if isinstance(value, bool) else str(value)
            elif key in self.variables:
                found[key] = self.variables[key]
            else:
                found.pop(key, None)
        return found

    def _absolute(self, volume: Any) -> Any:
        if isinstance(volume, str):
            source, colon, rest = volume.partition(":")
            if colon and source.startswith((".", "~")):
                return f"{self._path(source)}:{rest}"
            return volume
        if isinstance(volume, dict) and volume.get("type") == "bind" and volume.get("source"):
            return {**volume, "source": str(self._path(str(volume["source"])))}
        return volume

    def _path(self, text: str) -> Path:
        joined = self.directory / Path(text).expanduser()
        return Path(re.sub(r"/(\./)+|/\.$", "/", str(joined))).absolute()

    def _resources(self, content: dict[str, Any], kind: str, stack: str) -> dict[str, Any]:
        model = Network if kind == "networks" else Volume
        found = {}
        for key, entry in (content.get(kind) or {}).items():
            settled = dict(entry or {})
            for unknown in [one for one in settled if one not in model.model_fields]:
                if not unknown.startswith("x-"):
                    hint = suggest(unknown, model.model_fields)
                    self._complain((kind, key, unknown), "unknown key", hint=hint)
                del settled[unknown]
            external = settled.get("external")
            settled.setdefault("name", key if external else f"{stack}_{key}")
            found[key] = {name: value for name, value in settled.items() if value is not None}
        return found

    def _implicit_networks(
        self, services: dict[str, dict[str, Any]], networks: dict[str, Any], stack: str
    ) -> None:
        for entry in services.values():
            if isinstance(entry.get("networks"), list):
                entry["networks"] = {name: {} for name in entry["networks"]}
            if not entry.get("networks") and not entry.get("network_mode"):
                entry["networks"] = {"default": {}}
                networks.setdefault("default", {"name": f"{stack}_default"})

    def _carried(self, content: dict[str, Any], kind: str, stack: str) -> dict[str, Any]:
        found = {}
        for key, entry in (content.get(kind) or {}).items():
            given = entry or {}
            sources = [one for one in ("file", "content", "environment") if one in given]
            path = (kind, key)
            if given.get("external"):
                self._complain(path, "`external` is not supported yet")
                continue
            if len(sources) != 1:
                self._complain(path, "exactly one of `file`, `content`, `environment` is needed")
                continue
            text = ""
            if sources[0] == "content":
                text = str(given["content"])
            elif sources[0] == "environment":
                text = self.variables.get(str(given["environment"]), "")
            else:
                file = self._path(str(given["file"]))
                if not file.exists():
                    self._complain((*path, "file"), f"`{file}` does not exist")
                    continue
                text = read_file(file)
                self.read.append(file)
            found[key] = {"name": given.get("name", f"{stack}_{key}"), "content": text}
        return found

    # ── checking ─────────────────────────────────────────────────────────────────────────

    def _consistent(self, stack: StackFile) -> None:
        for name, service in stack.services.items():
            where = ("services", name)
            for wanted, dependency in service.depends_on.items():
                if wanted not in stack.services and dependency.required:
                    hint = suggest(wanted, stack.services)
                    self._complain(
                        (*where, "depends_on", wanted), f"unknown service `{wanted}`", hint=hint
                    )
            self._declared((*where, "networks"), service.networks, stack.networks, "network")
            volumes = [v.source for v in service.volumes if v.type == "volume" and v.source]
            self._declared((*where, "volumes"), volumes, stack.volumes, "volume")
            configs = [mount.source for mount in service.configs]
            self._declared((*where, "configs"), configs, stack.configs, "config")
            secrets = [mount.source for mount in service.secrets]
            self._declared((*where, "secrets"), secrets, stack.secrets, "secret")
        if cycle := _cycle({n: tuple(s.depends_on) for n, s in stack.services.items()}):
            self._complain(
                ("services", cycle[0], "depends_on"),
                f"services depend on each other in a circle: {' -> '.join(cycle)}",
                hint="remove one `depends_on` of the circle",
            )

    def _declared(
        self, path: tuple[str, ...], used: Any, declared: Mapping[str, object], kind: str
    ) -> None:
        for name in used:
            if name not in declared:
                hint = suggest(name, declared) or f"declare it under top-level `{kind}s:`"
                self._complain(path, f"undeclared {kind} `{name}`", hint=hint)

    def _from_pydantic(self, found: Any, told: set[str]) -> None:
        path = tuple(str(part) for part in found["loc"] if not str(part).startswith("function-"))
        place = path[:-1] if found["type"] == "missing" else path
        if ".".join(place) in told:
            return
        cause = str(found["msg"]).removeprefix("Value error, ")
        hint = None
        if found["type"] == "extra_forbidden":
            cause = "unknown key"
        self._complain(path, cause[0].lower() + cause[1:], hint=hint)

    def _complain(self, path: tuple[str, ...], cause: str, *, hint: str | None = None) -> None:
        self.problems.append(self._problem(path, cause, hint=hint))

    def _problem(self, path: tuple[str, ...], cause: str, *, hint: str | None = None) -> Problem:
        place = path
        while place and place not in self.marks:
            place = place[:-1]
        fallback = Mark(file=str(self.read[-1]) if self.read else "-")
        mark = self.marks.get(place, fallback)
        return Problem(mark=mark, path=".".join(path), cause=cause, hint=hint)

    def _stop_on_problems(self) -> None:
        if self.problems:
            raise SpecError(self._in_order())

    def _in_order(self) -> list[Problem]:
        return sorted(self.problems, key=lambda one: (one.mark.file, one.mark.line))


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")


def _cycle(graph: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return a circle in ``graph``, first name repeated at the end; empty where there is none."""
    done: set[str] = set()
    for start in sorted(graph):
        trail: list[str] = []
        todo = [(start, iter(graph.get(start, ())))]
        trail.append(start)
        while todo:
            node, below = todo[-1]
            step = next((one for one in below if one not in done and one in graph), None)
            if step is None:
                todo.pop()
                trail.pop()
                done.add(node)
            elif step in trail:
                return (*trail[trail.index(step) :], step)
            else:
                todo.append((step, iter(graph.get(step, ()))))
                trail.append(step)
    return ()
