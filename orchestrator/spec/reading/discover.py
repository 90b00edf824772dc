"""Before a file is opened: which files, which directory, which variables, which profiles."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.spec.problems import Mark, refuse
from orchestrator.spec.reading.env_files import read_variables
from orchestrator.spec.reading.remote import Fetch
from orchestrator.spec.tree import Map, overlaid

FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
OWN_FILES = ("stack.yml", "stack.yaml")
STDIN = "-"
BESIDE = ".env"
_TRUE = ("1", "t", "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What was typed, and where."""

    files: tuple[str, ...] = ()
    project_name: str | None = None
    project_directory: str | None = None
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = field(default_factory=Path.cwd)
    stdin: str | None = None
    interpolate: bool = True
    normalize: bool = True
    resolve_paths: bool = True
    check_consistency: bool = True
    resolve_env: bool = True
    to_run: bool = True
    """Carry what configs and secrets hold, and refuse what cannot be run."""
    trace: bool = False
    """Have values remember every step that brought them where they are."""
    read: list[Path] | None = None
    """Is given every file that is looked at, also where loading fails."""
    fetch: Fetch | None = None
    """Brings remote files here; without it there are none."""


@dataclass(slots=True)
class Found:
    """Where a stack comes from."""

    files: list[str]
    directory: Path
    variables: Map
    profiles: tuple[str, ...]
    name: str | None = None
    """The stack's name where it was given outside its files."""


class Discovery:
    """Looks around once; ``read`` is told every file looked at, ``warn`` what is odd.

    ``local`` returns the path of what was named: it may be somewhere else.
    """

    def __init__(
        self,
        request: LoadRequest,
        read: Callable[[Path], None],
        warn: Callable[[str], None],
        local: Callable[[str], str] = str,
    ) -> None:
        self._request = request
        self._local = local
        self._read = read
        self._warn = warn
        self._variables = Map(request.environ)

    def find(self) -> Found:
        """Return what was found. Raises SpecError."""
        request = self._request
        self._variables.setdefault("PWD", str(request.cwd))
        files = [self._local(file) for file in request.files]
        # Twice: what stands beside the present directory may say which file it is, and what
        # stands beside that file adds to it.
        self._add_variables(self._directory(files))
        if not files:
            files = self._from_variable() or self._look_around(self._directory(files))
        self._add_variables(self._directory(files))
        profiles = request.profiles or tuple(
            one.strip() for one in self._variables.get("COMPOSE_PROFILES", "").split(",")
        )
        return Found(
            files=files,
            directory=self._directory(files),
            variables=self._variables,
            profiles=tuple(one for one in profiles if one),
            name=self._name(),
        )

    def _directory(self, files: list[str]) -> Path:
        request = self._request
        if request.project_directory:
            return Path(os.path.normpath(request.cwd / request.project_directory))
        first = next((file for file in files if file != STDIN), None)
        if first is None:
            return request.cwd
        return Path(os.path.normpath(request.cwd / first)).parent

    def _add_variables(self, directory: Path) -> None:
        """Add the variables of env files that are not set already."""
        found = Map()
        step = "--env-file" if self._request.env_files else "COMPOSE_ENV_FILES"
        for path in self._env_files(directory):
            step = f"{BESIDE} file" if path == directory / BESIDE else step
            lookup = {**found, **self._variables}
            found = overlaid(found, read_variables(path, lookup, self._warn, step=step), step)
        self._variables = overlaid(found, self._variables)

    def _env_files(self, directory: Path) -> list[Path]:
        request = self._request
        named = request.env_files or tuple(
            one for one in self._variables.get("COMPOSE_ENV_FILES", "").split(",") if one
        )
        if named:
            paths = [Path(os.path.normpath(request.cwd / file)) for file in named]
            for path in paths:
                self._read(path)
                if not path.exists():
                    hint = "make it, or leave out `--env-file`"
                    raise refuse("no such env file", Mark(file=str(path)), hint=hint)
            return paths
        if request.environ.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in _TRUE:
            return []
        beside = directory / BESIDE
        self._read(beside)
        return [beside] if beside.exists() and not beside.is_dir() else []

    def _from_variable(self) -> list[str]:
        given: str | None = self._variables.get("COMPOSE_FILE")
        if not given:
            return []
        separator = self._variables.get("COMPOSE_PATH_SEPARATOR") or ":"
        files = [self._local(file) for file in given.split(separator)]
        for file in files:
            path = self._request.cwd / file
            if file != STDIN and not path.exists():
                hint = "`COMPOSE_FILE` names it"
                raise refuse("no such stack file", Mark(file=str(path)), hint=hint)
        return files

    def _look_around(self, start: Path) -> list[str]:
        for folder in (start, *start.parents):
            here = [name for name in (*FILES, *OWN_FILES) if self._is_there(folder / name)]
            if not here:
                continue
            if len(here) > 1:
                others = ", ".join(here[1:])
                self._warn(f"{folder}: {here[0]} is used, not {others}")
            beside = [name for name in OVERRIDES if self._is_there(folder / name)]
            if len(beside) > 1:
                self._warn(f"{folder}: {beside[0]} is used, not {', '.join(beside[1:])}")
            return [str(folder / name) for name in (here[0], *beside[:1])]
        raise refuse(
            "no stack file here or above",
            Mark(file=str(start)),
            hint=f"make a {FILES[0]}, or name a file with -f",
        )

    def _is_there(self, path: Path) -> bool:
        self._read(path)
        return path.exists() and not path.is_dir()

    def _name(self) -> str | None:
        given = self._request.project_name or self._variables.get("COMPOSE_PROJECT_NAME")
        if given:
            check_name(given, "-p" if self._request.project_name else "COMPOSE_PROJECT_NAME")
        return given or None


def check_name(name: str, where: str) -> None:
    """Refuse what is no name of a stack."""
    normal = normal_name(name)
    if normal != name:
        hint = "use lower-case letters, digits, `-` and `_`"
        hint += f": `{normal}`" if normal else ""
        raise refuse(f"`{name[:80]}` is no stack name", Mark(file=where), hint=hint)


def normal_name(name: str) -> str:
    """Return the stack name that a directory's name, or `name:`, comes to."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")
