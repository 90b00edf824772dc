"""Lists in which a later entry takes the place of an earlier one that means the same thing."""

from collections.abc import Callable
from typing import Any

from orchestrator.spec.tree import Map, Seq
from orchestrator.spec.values.units import split_volume

Key = Callable[[Any], str | None]
"""What two entries that mean the same thing have in common; None for what is no entry."""


def _assignment(entry: Any) -> str | None:
    return entry.partition("=")[0] if isinstance(entry, str) else None


def _literal(entry: Any) -> str | None:
    return None if isinstance(entry, dict | list) else str(entry)


def _target(entry: Any) -> str | None:
    if isinstance(entry, str):
        try:
            return split_volume(entry)[1]
        except ValueError:
            return None
    return entry.get("target") if isinstance(entry, dict) else None


def _device(entry: Any) -> str | None:
    if isinstance(entry, str):
        parts = entry.split(":")
        return parts[0] if len(parts) == 1 else parts[1]
    return entry.get("target") or entry.get("source") if isinstance(entry, dict) else None


def _file_in(folder: str) -> Key:
    def key(entry: Any) -> str | None:
        if isinstance(entry, str):
            return f"{folder}/{entry}"
        if isinstance(entry, dict):
            return str(entry.get("target") or f"{folder}/{entry.get('source')}")
        return None

    return key


def _path(entry: Any) -> str | None:
    return entry.get("path") if isinstance(entry, dict) else _literal(entry)


def _port(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return _literal(entry)
    published, target = entry.get("published") or "", entry.get("target")
    host, protocol = entry.get("host_ip") or "0.0.0.0", entry.get("protocol") or "tcp"
    return f"{host}:{published}:{target}/{protocol}"


_LABELS: dict[str, Any] = {"*": {"labels": _assignment}}

UNIQUE: dict[str, Any] = {
    "services": {
        "*": {
            "annotations": _assignment,
            "build": {
                "args": _assignment,
                "additional_contexts": _assignment,
                "labels": _assignment,
                "tags": _assignment,
            },
            "cap_add": _assignment,
            "cap_drop": _assignment,
            "configs": _file_in(""),
            "deploy": {"labels": _assignment},
            "devices": _device,
            "dns": _assignment,
            "dns_opt": _assignment,
            "dns_search": _assignment,
            "environment": _assignment,
            "env_file": _path,
            "expose": _literal,
            "labels": _assignment,
            "links": _assignment,
            "networks": {"*": {"aliases": _assignment, "link_local_ips": _assignment}},
            "ports": _port,
            "profiles": _assignment,
            "secrets": _file_in("/run/secrets"),
            "sysctls": _assignment,
            "tmpfs": _assignment,
            "volumes": _target,
        }
    },
    "networks": {"*": {"labels": _assignment, "ipam": {"options": _assignment}}},
    "volumes": _LABELS,
}


def enforce(tree: Any, rules: Any = None) -> None:
    """Drop, in place, what a later entry of the same list has replaced."""
    rules = UNIQUE if rules is None else rules
    if isinstance(tree, Map) and isinstance(rules, dict):
        if "*" in rules:
            for entry in tree.values():
                enforce(entry, rules["*"])
        elif len(rules) < len(tree):
            for key, below in rules.items():
                if key in tree:
                    enforce(tree[key], below)
        else:
            for key, entry in tree.items():
                if key in rules:
                    enforce(entry, rules[key])
    elif isinstance(tree, Seq) and callable(rules) and len(tree) > 1:
        _enforce_list(tree, rules)


def _enforce_list(seq: Seq, key_of: Key) -> None:
    places: dict[str, int] = {}
    kept = Seq()
    for entry, mark in seq.entries():
        found = key_of(entry)
        key = found if isinstance(found, str) else None
        if key is not None and key in places:
            at = places[key]
            if mark is not None:
                mark = mark.laid_over(kept.marks[at], kept[at], "unicity")
            kept[at], kept.marks[at] = entry, mark
        else:
            if key is not None:
                places[key] = len(kept)
            kept.add(entry, mark)
    if len(kept) != len(seq):
        seq[:] = kept
        seq.marks[:] = kept.marks
