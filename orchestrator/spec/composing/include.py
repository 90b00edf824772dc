"""`include`: other stack files whose services and resources become part of this one."""

import os
from pathlib import Path as FilePath
from typing import Any

from orchestrator.spec.composing.merge import Merger
from orchestrator.spec.composing.place import Assembly, Place
from orchestrator.spec.composing.reset import clear
from orchestrator.spec.grammar import INCLUDE
from orchestrator.spec.problems import Mark, refuse
from orchestrator.spec.reading.env_files import read_variables
from orchestrator.spec.tree import Map, Origin, Path, Seq, bring, overlaid

SHARED = ("services", "volumes", "networks", "secrets", "configs", "models")
DEEPEST = 50
MOST_INCLUDED = 1_000
NONE = "/dev/null"
"""Named as env file: there is none, not even the one that would be looked for."""


class Includer:
    """Resolves the `include` of one document; ``chain`` are the files that lead to it."""

    def __init__(
        self, assembler: Assembly, chain: tuple[str, ...], resets: tuple[Path, ...]
    ) -> None:
        self._assembler = assembler
        self._chain = chain
        self._resets = resets

    def apply(self, tree: Map) -> None:
        """Bring what is included into a document, in place."""
        if "include" not in tree:
            return
        wanted = tree["include"]
        if wanted is not None and not isinstance(wanted, Seq):
            self._assembler.troubles.add(tree, ("include",), "must be a list of files")
        for number, (entry, mark) in enumerate(
            list(wanted.entries()) if isinstance(wanted, Seq) else ()
        ):
            path = ("include", str(number))

            def report(where: Path, cause: str, hint: str | None) -> None:
                self._assembler.troubles.add(tree, where, cause, hint=hint)

            if INCLUDE.check(entry, path, report):
                self._include(entry if isinstance(entry, Map) else Map({"path": entry}), tree, mark)
        del tree["include"]

    def _include(self, entry: Map, tree: Map, mark: Origin | None) -> None:
        where = mark.mark if mark else Mark(file=self._chain[-1])
        files = _listed(entry.get("path"))
        if not files:
            raise refuse("an included file must be named", where, "include")
        remotes = self._assembler.remotes
        fetched = [remotes.required(file, where, "include") for file in files]
        place = self._assembler.place
        paths = [
            known or FilePath(os.path.normpath(place.directory / file))
            for known, file in zip(fetched, files, strict=True)
        ]
        for path in paths:
            # Looked for, whether it is there or not: when it comes, the file says something else.
            self._assembler.notes.read.append(path)
            if not path.is_file():
                raise refuse(f"`{path}` does not exist", where, "include")
        if str(paths[0]) in self._chain:
            circle = " -> ".join((*self._chain, str(paths[0])))
            raise refuse(f"files include each other in a circle: {circle}", where, "include")
        self._assembler.notes.included += 1
        if len(self._chain) > DEEPEST or self._assembler.notes.included > MOST_INCLUDED:
            cause = f"more than {DEEPEST} files deep, or {MOST_INCLUDED} in all"
            raise refuse(cause, where, "include", "a file included twice is read twice")
        inner = self._place(entry, paths[0], where, remote=fetched[0] is not None)
        included = self._assembler.at(inner).assemble([str(path) for path in paths], self._chain)
        if self._assembler.traced:
            bring(included, f"include ({where})")
        self._import(included, tree)

    def _place(self, entry: Map, main: FilePath, mark: Mark, *, remote: bool) -> Place:
        place = self._assembler.place
        given = entry.get("project_directory")
        directory = main.parent
        if given:
            directory = FilePath(os.path.normpath(place.directory / given))
        base = str(directory)
        if not (os.path.isabs(given) if given else remote):
            base = os.path.relpath(directory, place.directory)
        found = Map()
        for path in self._env_files(entry, directory, mark):
            notes = self._assembler.notes
            notes.read.append(path)
            lookup, warn = {**found, **place.variables}, notes.warnings.append
            step = "env file of an include"
            found = overlaid(found, read_variables(path, lookup, warn, step=step), step)
        return Place(directory, base, overlaid(found, place.variables))

    def _env_files(self, entry: Map, directory: FilePath, mark: Mark) -> list[FilePath]:
        named = _listed(entry.get("env_file"))
        if not named:
            beside = directory / ".env"
            self._assembler.notes.read.append(beside)
            return [beside] if beside.is_file() else []
        found = []
        for file in named:
            if file == NONE:
                continue
            path = FilePath(os.path.normpath(self._assembler.place.directory / file))
            self._assembler.notes.read.append(path)
            if not path.is_file():
                raise refuse(f"env file `{path}` does not exist", mark, "include")
            found.append(path)
        return found

    def _import(self, included: Map, tree: Map) -> None:
        """Lay what this document says itself over what it includes."""
        for kind in SHARED:
            section = included.get(kind)
            if not isinstance(section, Map):
                continue
            mine = tree.get(kind)
            if not isinstance(mine, Map):
                mine = Map()
                tree.put(kind, mine, included.marks.get(kind))
            clear(included, [path for path in self._resets if path[0] == kind and len(path) > 2])
            for name, theirs, mark in section.entries():
                if name in mine:
                    merger = Merger(self._assembler.troubles, "include")
                    own: Any = mine[name]
                    mine[name] = merger.merge(theirs, own, (kind, name))
                else:
                    mine.put(name, theirs, mark)


def _listed(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(one) for one in value or ()]
