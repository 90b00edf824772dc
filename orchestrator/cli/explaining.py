"""What ``pyorch config --explain`` says about a value, as text or JSON."""

import json
from collections.abc import Iterable
from typing import Any

from orchestrator.spec.problems import visible
from orchestrator.spec.showing.explain import Explanation, Setting
from orchestrator.spec.showing.lookup import named

SHOWN = 200
"""Characters of a value that are shown."""


def text_of(found: Explanation) -> str:
    """Return an explanation as a person reads it."""
    head = named(found.path)
    if not found.parts:
        head += f" = {shown(found.value)}"
    rows = [("what", f"{found.kind}: {found.described}"), ("set", _where(found.setting))]
    if found.written is not None:
        rows.append(("written", shown(found.written)))
    rows += [("over", _hidden(one)) for one in found.over]
    rows += [(f"${one.name}", visible(one.origin)) for one in found.variables]
    lines = [visible(head), *_columns(rows)]
    if found.parts:
        lines.append("  parts")
        parts = []
        for part in found.parts:
            value = "" if part.value is None else f" = {shown(part.value)}"
            parts.append((f"{visible(part.key)}{value}", _where(part.setting)))
        lines += [f"  {line}" for line in _columns(parts)]
    return "".join(f"{line}\n" for line in lines)


def json_of(found: Explanation) -> str:
    """Return an explanation for programs."""
    document: dict[str, Any] = {
        "path": list(found.path),
        "kind": found.kind,
        "description": found.described,
        "set": _setting(found.setting),
        "over": [{**_setting(one), "value": one.value} for one in found.over],
        "variables": [{"name": one.name, "origin": one.origin} for one in found.variables],
    }
    if found.written is not None:
        document["written"] = found.written
    if found.parts:
        document["parts"] = {one.key: _setting(one.setting) for one in found.parts}
    else:
        document["value"] = found.value
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _setting(one: Setting) -> dict[str, Any]:
    return {"place": one.place, "step": one.step}


def _where(one: Setting) -> str:
    return visible(f"{one.place} ({one.step})" if one.place else one.step)


def _hidden(one: Setting) -> str:
    return _where(one) if one.value is None else f"{_where(one)}: {shown(one.value)}"


def shown(value: Any) -> str:
    """Return a value in one line of bounded length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = visible(text)
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max(len(head) for head, _ in rows)
    return [f"  {head.ljust(width)}  {text}" for head, text in rows]
