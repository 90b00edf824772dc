"""Why a value of a settled stack is what it is: where it was set, by what, over what.

Needs a stack that was loaded with ``trace``. What secrets hold is never repeated.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.spec.grammar.shapes import kind
from orchestrator.spec.load import Loaded, LoadRequest
from orchestrator.spec.showing.dump import document_of
from orchestrator.spec.showing.lookup import Target, find
from orchestrator.spec.tree import Map, Origin, Path, Seq, bare
from orchestrator.spec.values.interpolate import Mention, mentions
from orchestrator.spec.values.scalars import go_text

HIDDEN = "(not shown: a secret holds it)"

STEPS = {
    "merge": "a later file lies over it",
    "extends": "the service that extends it says otherwise",
    "include": "the file that includes it says otherwise",
    "unicity": "a later entry means the same",
    "env_file": "a later env file wins",
    "label_file": "a later label file wins",
    "environment over env_file": "`environment` wins over `env_file`",
    "labels over label_file": "`labels` wins over `label_file`",
}
"""Why a value is hidden by another one, in words."""

IMPLIED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("networks", "default"), "implicit network: services that name none share it"),
    (("services", "*", "networks"), "implicit network: the service names none"),
    (("services", "*", "networks", "default"), "implicit network: the service names none"),
    (("networks", "*", "name"), "filled in: the stack's name and the key"),
    (("volumes", "*", "name"), "filled in: the stack's name and the key"),
    (("configs", "*", "name"), "filled in: the stack's name and the key"),
    (("secrets", "*", "name"), "filled in: the stack's name and the key"),
    (("services", "*", "environment"), "read from `env_file`"),
    (("services", "*", "labels"), "read from `label_file`"),
)
"""What is in a settled stack without standing in a file, and why."""

FILLED_IN = "filled in: what leaving it out means"
DEFAULT = "default: nothing sets it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What set a value: the place, where it has one, and the step."""

    place: str | None
    step: str
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A variable of a value, and what set it."""

    name: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An entry of a mapping or list: its value where it is a single one."""

    key: str
    value: Any
    setting: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything there is to say about one value; ``over`` begins with the most recent."""

    path: Path
    kind: str
    described: str
    value: Any
    setting: Setting
    written: str | None = None
    over: tuple[Setting, ...] = ()
    variables: tuple[Source, ...] = ()
    parts: tuple[Part, ...] = ()


def explain(text: str, loaded: Loaded, request: LoadRequest) -> Explanation:
    """Return why the value that ``text`` names is what it is. Raises PyorchError."""
    document = document_of(loaded.stack, as_json=False)
    unused = {**bare(loaded.tree), "services": loaded.disabled}
    target = find(text, document, loaded.stack, unused)
    return _Explainer(loaded, request, document).explain(target)


class _Explainer:
    def __init__(self, loaded: Loaded, request: LoadRequest, document: dict[str, Any]) -> None:
        self._loaded = loaded
        self._request = request
        self._document = document
        self._overrides = {self._short(self._absolute(one)) for one in loaded.found.files[1:]}
        declared = loaded.tree.get("secrets")
        names = (str(one.get("environment")) for one in (declared or {}).values())
        self._secrets = tuple(held for name in names if (held := loaded.variables.get(name)))

    def explain(self, target: Target) -> Explanation:
        """Return why a value is what it is."""
        path = self._deciding(target.path)
        origin = self._origin(path) if target.given else None
        filled = origin if origin and origin.text is not None else None
        return Explanation(
            path=target.path,
            kind=kind(target.value),
            described=target.described,
            value=self._open(target.value),
            setting=self._setting(target, path, origin),
            written=self._open(filled.text) if filled else None,
            over=tuple(self._hidden(target, origin)),
            variables=tuple(self._variables(filled)) if filled else (),
            parts=tuple(self._parts(target)) if target.given else (),
        )

    def _deciding(self, path: Path) -> Path:
        """Return the path that decides about a value that two keys can set."""
        if len(path) == 4 and path[0] == "services" and path[2:] == ("deploy", "replicas"):
            service = self._document["services"][path[1]]
            if "scale" in service:
                return (*path[:2], "scale")
        return path

    # ── where ────────────────────────────────────────────────────────────────────────────

    def _origin(self, path: Path) -> Origin | None:
        """Return where the value at ``path`` itself was set; None where no file says it."""
        tree: Any = self._loaded.tree
        node: Any = self._document
        origin: Origin | None = None
        for key in path:
            node = node[int(key)] if isinstance(node, list) else node[key]
            if isinstance(tree, Map | Seq):
                tree, origin = _entry(tree, key, node)
        return origin

    def _setting(self, target: Target, path: Path, origin: Origin | None) -> Setting:
        if not target.given:
            return Setting(place=None, step=DEFAULT)
        if path == ("name",):
            return self._named(origin)
        if origin is None:
            return Setting(place=None, step=_implied(path))
        step = self._step(origin)
        if path != target.path:
            step = f"`{path[-1]}`, which decides about it; {step}"
        return Setting(place=self._place(origin), step=step)

    def _named(self, origin: Origin | None) -> Setting:
        """Return what set the stack's name."""
        if self._request.project_name:
            return Setting(place=None, step="command line: -p")
        if self._loaded.found.name:
            return Setting(place=None, step=f"COMPOSE_PROJECT_NAME: {self._set_by_variable()}")
        if origin is not None:
            return Setting(place=self._place(origin), step=self._step(origin))
        return Setting(place=None, step="filled in: the name of the stack's directory")

    def _set_by_variable(self) -> str:
        mark = self._loaded.found.variables.marks.get("COMPOSE_PROJECT_NAME")
        return self._whence(mark) if mark else "shell"

    def _step(self, origin: Origin) -> str:
        if origin.way:
            return ", then ".join(self._short(one) for one in origin.way)
        file = self._short(origin.mark.file)
        return "override file" if file in self._overrides else "the file itself"

    def _hidden(self, target: Target, origin: Origin | None) -> Iterator[Setting]:
        """Yield what the value hides, the most recent first."""
        beaten = target.path == ("name",) and self._loaded.found.name
        if beaten and origin is not None:
            yield Setting(place=self._place(origin), step=self._step(origin))
        while origin is not None and origin.over is not None:
            why = STEPS.get(origin.step or "", origin.step or "")
            origin, value = origin.over
            step = f"{self._step(origin)}; {why}"
            yield Setting(place=self._place(origin), step=step, value=self._open(bare(value)))

    def _parts(self, target: Target) -> Iterator[Part]:
        value = target.value
        if isinstance(value, dict):
            pairs: Any = value.items()
        elif isinstance(value, list):
            pairs = ((str(number), one) for number, one in enumerate(value))
        else:
            return
        for key, one in pairs:
            below = Target(path=(*target.path, key), value=one, described="", given=True)
            path = self._deciding(below.path)
            setting = self._setting(below, path, self._origin(path))
            single = None if isinstance(one, dict | list) else self._open(one)
            yield Part(key=key, value=single, setting=setting)

    # ── variables ────────────────────────────────────────────────────────────────────────

    def _variables(self, origin: Origin) -> Iterator[Source]:
        """Yield every variable of a value with what set it, each once."""
        text = origin.text or ""
        mentioned = mentions(text) if "$" in text else [Mention(name=text)]
        known: Mapping[str, str] = origin.variables or {}
        told = set()
        for one in mentioned:
            if one.name in told:
                continue
            told.add(one.name)
            said = self._set_by(one.name, known)
            if one.default is not None and not known.get(one.name):
                beside = f"default `{self._open(one.default)}` written at {self._place(origin)}"
                said = f"{said}; {beside}"
            yield Source(name=one.name, origin=said)

    def _set_by(self, name: str, known: Mapping[str, str]) -> str:
        if name not in known:
            return "not set"
        mark = known.marks.get(name) if isinstance(known, Map) else None
        said = self._whence(mark) if mark else "shell"
        if mark is None and name not in self._request.environ:
            said = "the stack itself" if name == "COMPOSE_PROJECT_NAME" else "present directory"
        return said if known[name] else f"{said}, blank"

    def _whence(self, mark: Origin) -> str:
        said = f"{self._place(mark)} ({', '.join(mark.way)})"
        return f"{said}, over {self._place(mark.over[0])}" if mark.over else said

    # ── words ────────────────────────────────────────────────────────────────────────────

    def _absolute(self, file: str) -> str:
        return file if file == "-" else os.path.normpath(self._request.cwd / file)

    def _short(self, text: str) -> str:
        return text.replace(f"{self._request.cwd}{os.sep}", "")

    def _place(self, origin: Origin) -> str:
        return self._short(str(origin.mark))

    def _open(self, value: Any) -> Any:
        """Return a value as it may be shown."""
        if isinstance(value, dict):
            return {str(self._open(key)): self._open(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._open(one) for one in value]
        text = go_text(value)
        return HIDDEN if any(held in text for held in self._secrets) else value


def _entry(tree: Map | Seq, key: str, value: Any) -> tuple[Any, Origin | None]:
    """Return what the canonical document has for an entry of the settled one.

    Lists of `K=V` become mappings on the way, and mappings lists; entries may be put in order.
    """
    if isinstance(tree, Map):
        if key not in tree and key.isdecimal() and isinstance(value, str):
            key = value.partition("=")[0]
        return tree.get(key), tree.marks.get(key)
    if key.isdecimal():
        number = int(key)
        if isinstance(value, str) and value in tree:
            number = tree.index(value)
        if number < len(tree):
            return tree[number], tree.marks[number]
    for number in reversed(range(len(tree))):
        entry = tree[number]
        if not isinstance(entry, Map | Seq) and go_text(entry).partition("=")[0] == key:
            return entry, tree.marks[number]
    return None, None


def _implied(path: Path) -> str:
    for pattern, why in IMPLIED:
        if len(pattern) == len(path) and all(
            part in ("*", key) for part, key in zip(pattern, path, strict=True)
        ):
            return why
    return FILLED_IN
