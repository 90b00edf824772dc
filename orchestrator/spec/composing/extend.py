"""`extends`: a service built on another one, of the same file or of another."""

import os
from pathlib import Path as FilePath
from typing import Any

from orchestrator.errors import PyorchError
from orchestrator.spec.composing.merge import Merger
from orchestrator.spec.composing.paths import Resolver
from orchestrator.spec.composing.place import Assembly
from orchestrator.spec.composing.reset import clear
from orchestrator.spec.problems import suggest
from orchestrator.spec.reading.remote import shown
from orchestrator.spec.tree import Map, Path, bring, copy

LONGEST_CHAIN = 100

Chain = tuple[tuple[str, str], ...]
"""Files and services, from the one that extends to the one that is extended."""


class Extender:
    """Resolves the `extends` of one document."""

    def __init__(self, assembler: Assembly, file: str, resets: tuple[Path, ...]) -> None:
        self._assembler = assembler
        self._file = file
        self._resets = resets
        self._files: dict[str, tuple[Map, tuple[Path, ...]] | None] = {}

    def apply(self, tree: Map) -> None:
        """Resolve every `extends` of a document, in place."""
        if "services" not in tree:
            return
        services = tree["services"]
        if not isinstance(services, Map):
            self._say(tree, ("services",), "must be a mapping of services")
            del tree["services"]
            return
        for name in list(services):
            self._extend(name, services, self._file, (self._resets,), ())
        for service in services.values():
            # What could not be resolved is told; as a key nobody knows it would be told again.
            if isinstance(service, Map):
                service.pop("extends", None)

    def _extend(
        self,
        name: str,
        services: Map,
        file: str,
        resets: tuple[tuple[Path, ...], ...],
        chain: Chain,
    ) -> Any:
        service = services[name]
        if not isinstance(service, Map) or "extends" not in service:
            return service
        path = ("services", name, "extends")
        root = Map({"services": services})
        link = (file, name)
        if link in chain:
            names = [one for _, one in (*chain[chain.index(link) :], link)]
            self._say(root, path, f"services extend each other in a circle: {' -> '.join(names)}")
            return None
        if len(chain) >= LONGEST_CHAIN:
            self._say(root, path, f"more than {LONGEST_CHAIN} services extend each other")
            return None
        wanted, base_file = self._read_reference(service["extends"], root, path)
        if wanted is None:
            return None
        base_services, origin, below_resets = services, file, resets
        if base_file is not None:
            found = self._other_file(base_file, root, path)
            if found is None:
                return None
            base_services, origin, below_resets = found[0], base_file, (*resets, found[1])
        if wanted not in base_services:
            where = f" in {base_file}" if base_file else ""
            hint = suggest(wanted, base_services)
            self._say(root, path, f"service `{wanted}` is not there{where}", hint)
            return None
        base = self._extend(wanted, base_services, origin, below_resets, (*chain, link))
        del service["extends"]
        said = service.marks.pop("extends", None)
        if not isinstance(base, Map):
            return service
        below = Map({"services": Map({name: copy(base)})})
        if self._assembler.traced:
            bring(below, f"extends `{wanted}` ({said.mark})" if said else f"extends `{wanted}`")
        for paths in resets:
            clear(below, paths)
        merged = Merger(self._assembler.troubles, "extends").merge(
            below["services"][name], service, ("services", name)
        )
        services[name] = merged
        return merged

    def _read_reference(self, given: Any, root: Map, path: Path) -> tuple[str | None, str | None]:
        if isinstance(given, str):
            return given, None
        if not isinstance(given, Map):
            self._say(root, path, "names a service, or `service` and `file`")
            return None, None
        wanted, file = given.get("service"), given.get("file")
        if not isinstance(wanted, str):
            self._say(root, path, "`service` is missing")
            return None, None
        if file is not None and not isinstance(file, str):
            self._say(root, (*path, "file"), "must be a path")
            return None, None
        return wanted, file

    def _other_file(self, file: str, root: Map, path: Path) -> tuple[Map, tuple[Path, ...]] | None:
        """Return the services of another file, and what its documents clear below them."""
        if file not in self._files:
            self._files[file] = self._read(file, root, path)
        return self._files[file]

    def _read(self, file: str, root: Map, path: Path) -> tuple[Map, tuple[Path, ...]] | None:
        where = (*path, "file")
        assembler = self._assembler
        try:
            fetched = assembler.remotes.file(file)
        except PyorchError as error:
            cause = f"`{shown(file)}` cannot be fetched: {error}"
            self._say(root, where, cause, error.hint)
            return None
        absolute = fetched or FilePath(os.path.join(assembler.place.directory, file))
        file = str(fetched or file)
        assembler.notes.read.append(absolute)
        if not absolute.is_file():
            self._say(root, where, f"`{absolute}` does not exist")
            return None
        model = Map()
        cleared: list[Path] = []
        for tree, resets in assembler.documents(file):
            clear(model, resets)
            cleared += resets
            model = Merger(assembler.troubles, "merge").merge(model, tree)
            assembler.settle(model, file, strict=False)
        folder = str(absolute.parent)
        if not fetched:
            folder = os.path.relpath(folder, assembler.place.directory)
        Resolver(folder, assembler.home).apply(model)
        services = model.get("services")
        if not isinstance(services, Map):
            self._say(root, where, f"`{file}` has no services")
            return None
        return services, tuple(cleared)

    def _say(self, root: Map, path: Path, cause: str, hint: str | None = None) -> None:
        self._assembler.troubles.add(root, path, cause, hint=hint)
