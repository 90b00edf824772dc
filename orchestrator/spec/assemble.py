"""Files put together into one canonical document: read, fill, include, extend, merge, check."""

import os
from typing import Any

from orchestrator.spec.composing.extend import Extender
from orchestrator.spec.composing.fill import Filler
from orchestrator.spec.composing.include import Includer
from orchestrator.spec.composing.merge import Merger
from orchestrator.spec.composing.paths import Resolver
from orchestrator.spec.composing.place import Notes, Place
from orchestrator.spec.composing.reset import clear, take_tags
from orchestrator.spec.composing.unique import enforce
from orchestrator.spec.grammar import STACK
from orchestrator.spec.grammar.depth import misplaced
from orchestrator.spec.grammar.shapes import UNKNOWN
from orchestrator.spec.problems import Mark, refuse
from orchestrator.spec.reading.discover import STDIN, LoadRequest
from orchestrator.spec.reading.plant import plant
from orchestrator.spec.reading.remotes import Remotes
from orchestrator.spec.reading.yaml import Document, parse, read_file
from orchestrator.spec.settling.canonical import Canonical
from orchestrator.spec.settling.defaults import fill_in, resolve_passed, validate
from orchestrator.spec.tree import Map, Origin, Path, Troubles


class Assembler:
    """Puts files together; the same object serves the files they include and extend."""

    def __init__(
        self,
        request: LoadRequest,
        troubles: Troubles,
        notes: Notes,
        place: Place,
        remotes: Remotes,
    ) -> None:
        self.request = request
        self.troubles = troubles
        self.notes = notes
        self.place = place
        self.remotes = remotes
        self.home = request.environ.get("HOME")
        self.traced = request.trace
        self._parsed: dict[str, list[Document]] = {}
        self.filler = Filler(
            place.variables, troubles, missing=notes.missing, odd_truth=self._odd_truth
        )

    def at(self, place: Place) -> "Assembler":
        """Return one that works elsewhere, and reports to the same ears."""
        return Assembler(self.request, self.troubles, self.notes, place, self.remotes)

    def assemble(self, files: list[str], above: tuple[str, ...] = ()) -> Map:
        """Return the canonical document of ``files``; ``above`` are those that include them."""
        model = Map()
        for file in files:
            for tree, resets in self.documents(file):
                Includer(self, (*above, file), resets).apply(tree)
                clear(model, resets)
                Extender(self, file, resets).apply(tree)
                model = Merger(self.troubles, "merge").merge(model, tree)
                self.settle(model, file)
        fill_in(model)
        validate(model, self.troubles)
        if self.place.base is not None:
            Resolver(self.place.base, self.home).apply(model)
        if self.request.interpolate:
            resolve_passed(model, self.place.variables)
        return model

    def documents(self, file: str) -> list[tuple[Map, tuple[Path, ...]]]:
        """Return a file's documents, filled, each with the paths it clears below."""
        found = []
        for document in self.parse(file):
            tree: Any = plant(document)
            if not isinstance(tree, Map):
                mark = document.mark(())
                raise refuse(
                    "the file must be a mapping with `services:`",
                    mark if mark.line else Mark(file=self.label(file), line=1, column=1),
                )
            if self.request.interpolate:
                tree = self.filler.fill(tree)
            found.append(take_tags(tree))
        return found

    def parse(self, file: str) -> list[Document]:
        """Return what a file holds, as it is; it is read once."""
        if file not in self._parsed:
            self._parsed[file] = self._read(file)
        return self._parsed[file]

    def _read(self, file: str) -> list[Document]:
        if file == STDIN:
            return list(parse(self.request.stdin or "", STDIN))
        path = self.place.directory / file
        self.notes.read.append(path)
        return list(parse(read_file(path), self.label(file)))

    def label(self, file: str) -> str:
        """Return what a file is called in messages: short where it is below the present place."""
        if file == STDIN:
            return file
        path = os.path.normpath(self.place.directory / file)
        return self.remotes.label(path) or path.removeprefix(f"{self.request.cwd}{os.sep}")

    def settle(self, model: Map, file: str, *, strict: bool = True) -> None:
        """Check a document and write it out, in place."""
        enforce(model)
        self.troubles.default = Mark(file=self.label(file))
        if strict:

            def report(path: Path, cause: str, hint: str | None) -> None:
                if cause == UNKNOWN or len(path) == 2:
                    hint = misplaced(model, path) or hint
                self.troubles.add(model, path, cause, hint=hint)

            STACK.check(model, (), report)
            if "version" in model:
                self.notes.warnings.append(f"{self.label(file)}: `version` is obsolete and ignored")
                del model["version"]
        lenient = not self.request.interpolate
        Canonical(self.troubles, self.notes.warn, lenient=lenient).apply(model)
        enforce(model)

    def _odd_truth(self, mark: Origin | None, text: str) -> None:
        self.notes.warn(mark, (), f"`{text}` is no boolean of YAML 1.2; write true or false")
