"""Short forms written out: ports, volumes, dependencies and whatever else has two syntaxes."""

import posixpath
from collections.abc import Callable, Collection
from typing import Any

from orchestrator.spec.composing.merge import as_map, started
from orchestrator.spec.tree import Map, Origin, Path, Seq, Troubles
from orchestrator.spec.values.units import parse_device, parse_port, parse_volume, unknown_options

Warn = Callable[[Origin | None, Path, str], None]


class Canonical:
    """Writes short forms out, in place. ``lenient`` leaves what holds variables as it is."""

    def __init__(self, troubles: Troubles, warn: Warn, *, lenient: bool = False) -> None:
        self._troubles = troubles
        self._warn = warn
        self._lenient = lenient

    def apply(self, tree: Map) -> None:
        """Write out every short form of a document."""
        for name, service in _maps(tree.get("services")):
            self._service(service, ("services", name))
        for kind in ("networks", "volumes", "secrets", "configs"):
            for name, resource in _maps(tree.get(kind)):
                self._external(resource, (kind, name))

    # ── services ─────────────────────────────────────────────────────────────────────────

    def _service(self, service: Map, path: Path) -> None:
        for key in list(service):
            writer = _WRITERS.get(key)
            if writer is not None and service[key] is not None:
                mark = service.marks.get(key)
                service[key] = writer(self, service[key], (*path, key), mark)

    def _each(
        self, value: Any, path: Path, write: "Callable[[Any, Path, Origin | None], Any]"
    ) -> Any:
        if isinstance(value, Seq):
            for number, (entry, mark) in enumerate(list(value.entries())):
                value[number] = write(entry, (*path, str(number)), mark)
        return value

    def _file_mounts(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del mark
        return self._each(value, path, _file_mount)

    def _depends_on(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del path, mark
        found = as_map(value, started)
        for _, entry in _maps(found):
            entry.setdefault("required", True)
        return value if found is None else found

    def _names(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del path, mark
        found = as_map(value, lambda mark: None)
        return value if found is None else found

    def _env_file(self, value: Any, path: Path, mark: Origin | None) -> Any:
        files = Seq([value], mark) if isinstance(value, str) else value
        return self._each(files, path, _env_file)

    def _list(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del path
        return Seq([value], mark) if isinstance(value, str) else value

    def _dns(self, value: Any, path: Path, mark: Origin | None) -> Any:
        found = self._list(value, path, mark)
        if not isinstance(found, Seq):
            return found
        kept = Seq()
        for entry, at in found.entries():
            if entry not in ("", None):
                kept.add(entry, at)
        return kept

    def _extends(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del path
        return Map({"service": value}, mark) if isinstance(value, str) else value

    def _gpus(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del path
        if value == "all":
            return Seq([Map({"count": "all"}, mark)], mark)
        return value

    def _volumes(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del mark
        return self._each(value, path, self._volume)

    def _volume(self, entry: Any, path: Path, mark: Origin | None) -> Any:
        found: Any = entry
        if isinstance(entry, str):
            try:
                found = _marked(parse_volume(entry), mark)
                for option in unknown_options(entry):
                    self._warn(mark, path, f"option `{option}` means nothing and is ignored")
            except ValueError as error:
                return self._unreadable(entry, path, mark, str(error))
        target = found.get("target") if isinstance(found, dict) else None
        if isinstance(target, str) and target:
            found["target"] = _clean(target)
        return found

    def _devices(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del mark
        return self._each(value, path, self._device)

    def _device(self, entry: Any, path: Path, mark: Origin | None) -> Any:
        if not isinstance(entry, str):
            return entry
        try:
            return Map(parse_device(entry), mark)
        except ValueError as error:
            return self._unreadable(entry, path, mark, str(error))

    def _ulimits(self, value: Any, path: Path, mark: Origin | None) -> Any:
        """Refuse a limit in words: not even a variable that is left alone is one here."""
        del mark
        for name in value if isinstance(value, Map) else ():
            if isinstance(value[name], str):
                cause = "must be an integer, or a mapping of `soft` and `hard`"
                self._troubles.add(None, (*path, name), cause, mark=value.marks.get(name))
        return value

    def _ports(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del mark
        if not isinstance(value, Seq):
            return value
        found = Seq()
        for number, (entry, at) in enumerate(value.entries()):
            if isinstance(entry, dict):
                found.add(entry, at)
                continue
            try:
                for port in parse_port(entry):
                    found.add(Map(port, at), at)
            except ValueError as error:
                if self._lenient:
                    return value
                self._troubles.add(None, (*path, str(number)), str(error), mark=at)
        return found

    def _build(self, value: Any, path: Path, mark: Origin | None) -> Any:
        if isinstance(value, str):
            return Map({"context": value}, mark)
        if not isinstance(value, Map):
            return value
        for key, write in _BUILD_WRITERS.items():
            if key in value:
                value[key] = write(self, value[key], (*path, key), value.marks.get(key))
        return value

    def _contexts(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del mark
        return self._paired(value, path, "not NAME=CONTEXT")

    def _variables(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del mark
        for number, (entry, at) in enumerate(value.entries() if isinstance(value, Seq) else ()):
            name = str(entry).partition("=")[0]
            if name[-1:].isspace():
                cause = f"the variable `{name}` ends in a space"
                hint = f"write `{name.rstrip()}=...`"
                self._troubles.add(None, (*path, str(number)), cause, hint=hint, mark=at)
        return value

    def _ssh(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del mark
        return self._paired(value, path, "neither `default` nor ID=PATH", bare=("default",))

    def _paired(self, value: Any, path: Path, otherwise: str, bare: Collection[str] = ()) -> Any:
        """Return a list of ``KEY=VALUE`` as a mapping; those of ``bare`` may be without a value."""
        if not isinstance(value, Seq):
            return value
        found = Map()
        for number, (entry, at) in enumerate(value.entries()):
            key, given, text = str(entry).partition("=")
            if not given and key not in bare:
                cause = f"`{entry}` is {otherwise}"
                self._unreadable(entry, (*path, str(number)), at, cause)
            found.put(key, text if given else None, at)
        return found

    def _develop(self, value: Any, path: Path, mark: Origin | None) -> Any:
        del mark
        watched = value.get("watch") if isinstance(value, Map) else None
        for rule in watched if isinstance(watched, Seq) else ():
            for key in ("ignore", "include"):
                if isinstance(rule, Map) and key in rule:
                    rule[key] = self._list(rule[key], path, rule.marks.get(key))
        return value

    # ── resources ────────────────────────────────────────────────────────────────────────

    def _external(self, resource: Map, path: Path) -> None:
        external = resource.get("external")
        if not isinstance(external, Map):
            return
        mark = resource.marks.get("external")
        resource["external"] = True
        name = external.get("name")
        if name is None:
            return
        self._warn(mark, (*path, "external"), "`external.name` is called `name` today")
        if resource.get("name", name) != name:
            cause = "`name` and `external.name` differ"
            self._troubles.add(
                None, (*path, "external"), cause, hint="keep `name` alone", mark=mark
            )
        elif "name" not in resource:
            resource.put("name", name, external.marks.get("name"))

    def _unreadable(self, entry: Any, path: Path, mark: Origin | None, cause: str) -> Any:
        if not self._lenient:
            self._troubles.add(None, path, cause, mark=mark)
        return entry


def _file_mount(entry: Any, path: Path, mark: Origin | None) -> Any:
    del path
    return Map({"source": entry}, mark) if isinstance(entry, str) else entry


def _env_file(entry: Any, path: Path, mark: Origin | None) -> Any:
    del path
    if isinstance(entry, str):
        return Map({"path": entry, "required": True}, mark)
    if isinstance(entry, Map):
        entry.setdefault("required", True)
    return entry


def _maps(section: Any) -> list[tuple[str, Map]]:
    """Return the entries of a section that are mappings."""
    if not isinstance(section, Map):
        return []
    return [(name, entry) for name, entry in section.items() if isinstance(entry, Map)]


def _marked(found: dict[str, Any], mark: Origin | None) -> Map:
    return Map(
        {key: Map(one, mark) if isinstance(one, dict) else one for key, one in found.items()}, mark
    )


def _clean(target: str) -> str:
    cleaned = posixpath.normpath(target)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


Writer = Callable[[Canonical, Any, Path, Origin | None], Any]

_WRITERS: dict[str, Writer] = {
    "build": Canonical._build,
    "configs": Canonical._file_mounts,
    "depends_on": Canonical._depends_on,
    "develop": Canonical._develop,
    "devices": Canonical._devices,
    "dns": Canonical._dns,
    "env_file": Canonical._env_file,
    "environment": Canonical._variables,
    "extends": Canonical._extends,
    "gpus": Canonical._gpus,
    "label_file": Canonical._list,
    "models": Canonical._names,
    "networks": Canonical._names,
    "ports": Canonical._ports,
    "secrets": Canonical._file_mounts,
    "ulimits": Canonical._ulimits,
    "volumes": Canonical._volumes,
}
_BUILD_WRITERS: dict[str, Writer] = {
    "additional_contexts": Canonical._contexts,
    "args": Canonical._variables,
    "secrets": Canonical._file_mounts,
    "ssh": Canonical._ssh,
}
