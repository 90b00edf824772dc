"""Files a stack file only names: variables, labels, and what configs and secrets hold."""

from collections.abc import Callable, Container, Mapping
from pathlib import Path as FilePath
from typing import Any

from orchestrator.spec.composing.place import Notes
from orchestrator.spec.models.base import labels_of, pairs_of
from orchestrator.spec.problems import SpecError
from orchestrator.spec.reading.env_files import read_variables
from orchestrator.spec.reading.files import read_bytes, read_file
from orchestrator.spec.reading.stores import StoreError, fetch
from orchestrator.spec.tree import Map, Origin, Path, Seq, Troubles, overlaid
from orchestrator.spec.values.confinement import security
from orchestrator.spec.values.scalars import go_text


class Contents:
    """Reads what the services of a canonical document name, into the document."""

    def __init__(
        self,
        tree: Map,
        variables: Mapping[str, str],
        directory: FilePath,
        troubles: Troubles,
        notes: Notes,
        *,
        trace: bool = False,
    ) -> None:
        self._tree = tree
        self._variables = variables
        self._directory = directory
        self._troubles = troubles
        self._notes = notes
        self._trace = trace

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
        own = _marked(service.get("environment"), pairs_of)
        for key, value, mark in own.entries():
            if value is None and key in self._variables:
                now = mark.filled(key, self._variables) if mark else None
                own.put(key, self._variables[key], now)
        files = service.pop("env_file", None) or ()
        if not files and not own:
            return
        given = {key: value for key, value in own.items() if value is not None}
        found = Map()
        for number, entry in enumerate(files):
            lookup = {**found, **given, **self._variables}
            where = (*path, "env_file", str(number))
            mark = entry.marks.get("path") or service.marks.get("env_file")
            found = overlaid(found, self._variables_of(entry, lookup, where, mark), "env_file")
        merged = overlaid(found, own, "environment over env_file")
        service.put("environment", merged, service.marks.get("environment"))

    def _variables_of(
        self, entry: Map, lookup: Mapping[str, str], path: Path, mark: Origin | None
    ) -> Map:
        file = self._directory / str(entry.get("path", ""))
        self._notes.read.append(file)
        if not file.exists():
            if entry.get("required", True) is not False:
                hint = "make it, or write `required: false`"
                cause = f"env file `{file}` does not exist"
                self._troubles.add(self._tree, path, cause, hint=hint, mark=mark)
            return Map()
        form = entry.get("format")
        if form not in (None, "", "raw"):
            cause = f"`{form}` is no format of env files; there is only `raw`"
            self._troubles.add(self._tree, path, cause, mark=mark)
            return Map()
        try:
            warn = self._notes.warnings.append
            step = "env_file" if self._trace else None
            return read_variables(file, lookup, warn, step=step, raw=form == "raw")
        except SpecError as error:
            self._troubles.problems += error.problems
            return Map()

    def _labels(self, service: Map, path: Path) -> None:
        files = service.get("label_file") or ()
        found = Map()
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
                warn = self._notes.warnings.append
                step = "label_file" if self._trace else None
                read = read_variables(file, {**found}, warn, step=step)
                found = overlaid(found, read, "label_file")
            except SpecError as error:
                self._troubles.problems += error.problems
        if found:
            own = _marked(service.get("labels"), labels_of)
            merged = overlaid(found, own, "labels over label_file")
            service.put("labels", merged, service.marks.get("labels"))

    def carry(self, names: Container[str]) -> None:
        """Put what files hold that services only name into the document, in place."""
        for name, service in self._maps("services"):
            profile = security(self._texts(service)).seccomp if name in names else ""
            if profile not in ("", "unconfined"):
                self._profile(service, profile, ("services", name, "security_opt"))
        for kind in ("configs", "secrets"):
            used = {
                mount.get("source")
                for name, service in self._maps("services")
                for mount in (service.get(kind) or () if name in names else ())
                if isinstance(mount, Map)
            }
            for name, resource in self._maps(kind):
                if name not in used:
                    continue
                external = resource.get("external") is True
                read = self._external if external else self._payload
                payload = read(resource, (kind, name))
                if payload is not None:
                    resource["payload"] = payload

    def _external(self, resource: Map, path: Path) -> bytes | None:
        kind, key = path
        given = resource.get("driver_opts")
        options = given if isinstance(given, Map) else {}
        try:
            return fetch(
                kind,
                str(resource.get("name", key)),
                str(resource.get("driver", "")),
                {str(name): go_text(value) for name, value in options.items()},
                environ=self._variables,
                directory=self._directory,
                reads=self._notes.read.append,
            )
        except StoreError as error:
            self._troubles.add(self._tree, path, str(error), hint=error.hint)
        return None

    def _texts(self, service: Map) -> list[str]:
        return [one for one in service.get("security_opt") or () if isinstance(one, str)]

    def _profile(self, service: Map, name: str, path: Path) -> None:
        file = self._directory / name
        self._notes.read.append(file)
        try:
            service["seccomp"] = read_file(file)
        except SpecError as error:
            cause = f"seccomp profile `{file}`: {error.problems[0].cause}"
            self._troubles.add(self._tree, path, cause, hint=error.hint)

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


def _marked(given: Any, pairs: Callable[[Any], Any]) -> Map:
    """Return what ``pairs`` reads in a list of ``K=V`` or a mapping, each with its place."""
    found = Map(pairs(given) or {})
    if isinstance(given, Map):
        found.marks = dict(given.marks)
    elif isinstance(given, Seq):
        for entry, mark in given.entries():
            if mark is not None:
                found.marks[str(entry).partition("=")[0]] = mark
    return found
