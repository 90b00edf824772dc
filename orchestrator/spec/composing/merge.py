"""One document laid over another: mappings merge, lists grow, scalars are replaced.

The same rules hold for several files, an override file, `extends` and what includes share.
"""

from collections.abc import Callable
from typing import Any

from orchestrator.spec.tree import Map, Origin, Path, Seq, Troubles
from orchestrator.spec.values.scalars import go_text


class Merger:
    """Lays one tree over another; ``step`` is remembered with every value it replaces."""

    def __init__(self, troubles: Troubles, step: str) -> None:
        self.troubles = troubles
        self.step = step

    def merge(self, base: Any, over: Any, path: Path = (), mark: Origin | None = None) -> Any:
        """Return ``over`` laid over ``base``, which is used up. ``path`` says where they are."""
        rules: Any = RULES
        for key in path:
            rules = _below(rules, key)
        return self._merge(base, over, path, rules, mark)

    def _merge(self, base: Any, over: Any, path: Path, rules: Any, mark: Origin | None) -> Any:
        special = rules.get("") if isinstance(rules, dict) else rules
        if special is not None:
            return special(self, base, over, path, rules)
        if over is None:
            return base
        if isinstance(base, Map):
            if not isinstance(over, Map):
                return self._mismatch(base, path, "a mapping", mark)
            return self.mappings(base, over, path, rules)
        if isinstance(base, Seq):
            if not isinstance(over, Seq):
                return self._mismatch(base, path, "a list", mark)
            return _appended(base, over)
        return over

    def mappings(self, base: Map, over: Map, path: Path, rules: Any) -> Map:
        """Lay one mapping over another, key by key."""
        for key, value, mark in over.entries():
            if key not in base:
                base.put(key, value, mark)
                continue
            present, stood = base[key], base.marks.get(key)
            merged = self._merge(present, value, (*path, key), _below(rules, key), mark)
            if merged is value and mark is not None:
                mark = mark.laid_over(stood, present, self.step)
            base.put(key, merged, stood if merged is present else mark or stood)
        return base

    def _mismatch(self, base: Any, path: Path, what: str, mark: Origin | None) -> Any:
        cause = f"only {what} can be laid over {what}"
        hint = "write `!override` before the value to replace all of it"
        self.troubles.add(None, path, cause, hint=hint, mark=mark)
        return base


Rule = Callable[[Merger, Any, Any, Path, Any], Any]


def _below(rules: Any, key: str) -> Any:
    if not isinstance(rules, dict):
        return None
    return rules.get(key, rules.get("*"))


def _appended(base: Seq, over: Seq) -> Seq:
    for value, mark in over.entries():
        base.add(value, mark)
    return base


def _replaced(merger: Merger, base: Any, over: Any, path: Path, rules: Any) -> Any:
    del merger, base, path, rules
    return over


def _listed(merger: Merger, base: Any, over: Any, path: Path, rules: Any) -> Any:
    del merger, path, rules
    return _appended(as_list(base), as_list(over))


def _hosts(merger: Merger, base: Any, over: Any, path: Path, rules: Any) -> Any:
    del merger, path, rules
    found = as_list(base)
    for value, mark in as_list(over).entries():
        if value not in found:
            found.add(value, mark)
    return found


def _build(merger: Merger, base: Any, over: Any, path: Path, rules: Any) -> Any:
    below, above = _context(base), _context(over)
    if not isinstance(below, Map) or not isinstance(above, Map):
        return base if over is None else over
    return merger.mappings(below, above, path, rules)


def _context(build: Any) -> Any:
    return Map({"context": build}) if isinstance(build, str) else build


def _named(default: Callable[[Origin | None], Any]) -> Rule:
    def rule(merger: Merger, base: Any, over: Any, path: Path, rules: Any) -> Any:
        below, above = as_map(base, default), as_map(over, default)
        if below is None or above is None:
            return base if over is None else over
        return merger.mappings(below, above, path, rules)

    return rule


def started(mark: Origin | None) -> Map:
    """Return what naming a service in `depends_on` stands for."""
    return Map({"condition": "service_started", "required": True}, mark)


def _nothing(mark: Origin | None) -> None:
    del mark


def _logging(merger: Merger, base: Any, over: Any, path: Path, rules: Any) -> Any:
    if not isinstance(base, Map) or not isinstance(over, Map):
        return base if over is None else over
    different = "driver" in base and "driver" in over and base["driver"] != over["driver"]
    return over if different else merger.mappings(base, over, path, rules)


def _pools(merger: Merger, base: Any, over: Any, path: Path, rules: Any) -> Any:
    if not isinstance(base, Seq) or not isinstance(over, Seq):
        return base if over is None else over
    merged = Seq()

    def place(subnet: Any) -> int | None:
        return next((at for at, one in enumerate(merged) if one.get("subnet") == subnet), None)

    for below, stood in base.entries():
        for above, mark in over.entries():
            if not isinstance(below, Map) or not isinstance(above, Map):
                continue
            subnet = above.get("subnet")
            if subnet != below.get("subnet") and place(subnet) is None:
                merged.add(above, mark)
                continue
            both = merger.mappings(below, above, path, rules)
            at = place(both.get("subnet"))
            if at is None:
                merged.add(both, stood)
            else:
                merged[at] = both
    return merged


def as_list(value: Any) -> Seq:
    """Return a mapping as ``K=V`` lines in order, a single text as a list of it."""
    if isinstance(value, Seq):
        return value
    found = Seq()
    if isinstance(value, Map):
        lines: list[tuple[str, Origin | None]] = []
        for key, entry, mark in value.entries():
            for one in entry if isinstance(entry, list) else [entry]:
                lines.append((key if one is None else f"{key}={go_text(one)}", mark))
        for line, mark in sorted(lines, key=lambda one: one[0]):
            found.add(line, mark)
    elif isinstance(value, str):
        found.add(value, None)
    return found


def as_map(value: Any, default: Callable[[Origin | None], Any]) -> Map | None:
    """Return a list of names as a mapping of them; None for what is neither."""
    if isinstance(value, Map):
        return value
    if not isinstance(value, Seq):
        return None
    found = Map()
    for name, mark in value.entries():
        found.put(str(name), default(mark), mark)
    return found


_LABELS: dict[str, Any] = {"*": {"labels": _listed}}

RULES: dict[str, Any] = {
    "services": {
        "*": {
            "annotations": _listed,
            "build": {
                "": _build,
                "args": _listed,
                "additional_contexts": _listed,
                "extra_hosts": _hosts,
                "labels": _listed,
            },
            "command": _replaced,
            "depends_on": _named(started),
            "deploy": {"labels": _listed},
            "dns": _listed,
            "dns_opt": _listed,
            "dns_search": _listed,
            "entrypoint": _replaced,
            "env_file": _listed,
            "environment": _listed,
            "extra_hosts": _hosts,
            "healthcheck": {"test": _replaced},
            "label_file": _listed,
            "labels": _listed,
            "logging": _logging,
            "models": _named(_nothing),
            "networks": _named(_nothing),
            "sysctls": _listed,
            "tmpfs": _listed,
            "ulimits": {"*": _replaced},
            "volumes": {"*": {"volume": {"labels": _listed}}},
        }
    },
    "networks": {"*": {"ipam": {"config": _pools}, "labels": _listed}},
    "volumes": _LABELS,
}
"""Where laying over is special; ``""`` is the rule of an entry that has rules below it."""
