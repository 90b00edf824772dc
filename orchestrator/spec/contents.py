"""Files a stack file only names: variables, labels, and what configs and secrets hold."""

from collections.abc import Callable, Container, Mapping
from pathlib import Path as FilePath

from orchestrator.spec.dotenv import DotenvError, parse_dotenv, parse_raw
from orchestrator.spec.interpolate import InterpolationError
from orchestrator.spec.models.base import labels_of, pairs_of
from orchestrator.spec.place import Notes
from orchestrator.spec.problems import Mark, SpecError, refuse
from orchestrator.spec.reading import read_bytes, read_file
from orchestrator.spec.tree import Map, Origin, Path, Troubles


def read_variables(
    path: FilePath, lookup: Mapping[str, str], warn: Callable[[str], None], *, raw: bool = False
) -> dict[str, str]:
    """Return the variables of a file. Raises SpecError with file and line."""

    def missing(name: str) -> None:
        warn(f"{path}: the variable `{name}` is not set, a blank string is used")

    text = read_file(path)
    try:
        return parse_raw(text, lookup) if raw else parse_dotenv(text, lookup, missing=missing)
    except DotenvError as error:
        raise refuse(str(error), Mark(file=str(path), line=error.line, column=1)) from None
    except InterpolationError as error:
        raise refuse(str(error), Mark(file=str(path))) from None


class Contents:
    """Reads what the services of a canonical document name, into the document."""

    def __init__(
        self,
        tree: Map,
        variables: Mapping[str, str],
        directory: FilePath,
        troubles: Troubles,
        notes: Notes,
    ) -> None:
        self._tree = tree
        self._variables = variables
        self._directory = directory
        self._troubles = troubles
        self._notes = notes

    def resolve_services(self, names: Container[str]) -> None:
        """Put variables and labels of files among the services' own, in place."""
        for name, service in self._maps("services"):
            if name in names:
                self._environment(service, ("services", name))
                self._labels(service, ("services", name))

    def _maps(self, kind: str) -> list[tuple[str, Map]]:
        section = self._tree.get(kind)
        found = section.items() if isinstance(section, Map) else ()
        return [(name, entry) for name, entry in found if isinstance(entry, Map)]

    def _environment(self, service: Map, path: Path) -> None:
        own: dict[str, str | None] = pairs_of(service.get("environment")) or {}
        for key, value in own.items():
            if value is None and key in self._variables:
                own[key] = self._variables[key]
        files = service.pop("env_file", None) or ()
        if not files and not own:
            return
        given = {key: value for key, value in own.items() if value is not None}
        found: dict[str, str] = {}
        for number, entry in enumerate(files):
            lookup = {**found, **given, **self._variables}
            where = (*path, "env_file", str(number))
            mark = entry.marks.get("path") or service.marks.get("env_file")
            found |= self._variables_of(entry, lookup, where, mark)
        service.put("environment", {**found, **given, **own}, service.marks.get("environment"))

    def _variables_of(
        self, entry: Map, lookup: Mapping[str, str], path: Path, mark: Origin | None
    ) -> dict[str, str]:
        file = self._directory / str(entry.get("path", ""))
        self._notes.read.append(file)
        if not file.exists():
            if entry.get("required", True) is not False:
                hint = "make it, or write `required: false`"
                cause = f"env file `{file}` does not exist"
                self._troubles.add(self._tree, path, cause, hint=hint, mark=mark)
            return {}
        form = entry.get("format")
        if form not in (None, "", "raw"):
            cause = f"`{form}` is no format of env files; there is only `raw`"
            self._troubles.add(self._tree, path, cause, mark=mark)
            return {}
        try:
            return read_variables(file, lookup, self._notes.warnings.append, raw=form == "raw")
        except SpecError as error:
            self._troubles.problems += error.problems
            return {}

    def _labels(self, service: Map, path: Path) -> None:
        files = service.get("label_file") or ()
        found: dict[str, str] = {}
        for number, entry in enumerate(files):
            file = self._directory / str(entry)
            self._notes.read.append(file)
            where = (*path, "label_file", str(number))
            if not file.exists():
                cause = f"label file `{file}` does not exist"
                mark = files.marks[number] if hasattr(files, "marks") else None
                self._troubles.add(self._tree, where, cause, mark=mark)
                continue
            try:
                found |= read_variables(file, {**found}, self._notes.warnings.append)
            except SpecError as error:
                self._troubles.problems += error.problems
        if found:
            own = labels_of(service.get("labels")) or {}
            service.put("labels", {**found, **own}, service.marks.get("labels"))

    def carry(self, names: Container[str]) -> None:
        """Put what configs and secrets of the services hold into them, in place."""
        for kind in ("configs", "secrets"):
            used = {
                mount.get("source")
                for name, service in self._maps("services")
                for mount in (service.get(kind) or () if name in names else ())
                if isinstance(mount, Map)
            }
            for name, resource in self._maps(kind):
                if name not in used or resource.get("external") is True:
                    continue
                payload = self._payload(resource, (kind, name))
                if payload is not None:
                    resource["payload"] = payload

    def _payload(self, resource: Map, path: Path) -> bytes | None:
        if isinstance(content := resource.get("content"), str):
            return content.encode()
        if isinstance(variable := resource.get("environment"), str):
            if variable not in self._variables:
                cause = f"the variable `{variable}` is not set"
                self._troubles.add(self._tree, (*path, "environment"), cause)
            return self._variables.get(variable, "").encode()
        if not isinstance(name := resource.get("file"), str):
            return None
        file = self._directory / name
        self._notes.read.append(file)
        try:
            return read_bytes(file)
        except SpecError as error:
            cause = f"`{file}`: {error.problems[0].cause}"
            self._troubles.add(self._tree, (*path, "file"), cause, hint=error.hint)
        return None
