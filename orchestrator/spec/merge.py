"""Several stack files into one: mappings merge, sequences append, scalars are replaced. Pure."""

from typing import Any

from orchestrator.spec.yaml import Tagged

REPLACED = {"command", "entrypoint", "test"}
KEYED = {
    "environment",
    "labels",
    "annotations",
    "sysctls",
    "args",
}
NAMED = {"depends_on", "networks"}


def merge(base: Any, override: Any, path: tuple[str, ...] = ()) -> Any:
    """Return ``override`` laid over ``base`` (Compose specification, merge)."""
    if isinstance(override, Tagged):
        return None if override.tag == "!reset" else plain(override.value)
    if override is None:
        return base
    key = path[-1] if path else ""
    if base is None or key in REPLACED:
        return plain(override)
    if key in KEYED and len(path) > 2:
        return {**_mapping(base), **_mapping(plain(override))}
    if key in NAMED and len(path) > 2:
        base, override = _named(base), _named(override)
    if isinstance(base, dict) and isinstance(override, dict):
        merged = dict(base)
        for name, value in override.items():
            if isinstance(value, Tagged) and value.tag == "!reset":
                merged.pop(name, None)
            else:
                merged[name] = merge(base.get(name), value, (*path, name))
        return merged
    if isinstance(base, list) and isinstance(override, list):
        return [*base, *(entry for entry in plain(override) if entry not in base)]
    return plain(override)


def plain(value: Any) -> Any:
    """Return ``value`` with its tags carried out on nothing: resets gone, overrides as they are."""
    if isinstance(value, Tagged):
        return None if value.tag == "!reset" else plain(value.value)
    if isinstance(value, dict):
        return {
            key: plain(entry)
            for key, entry in value.items()
            if not (isinstance(entry, Tagged) and entry.tag == "!reset")
        }
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    pairs = (str(entry).partition("=") for entry in value or ())
    return {key: text if given else None for key, given, text in pairs}


def _named(value: Any) -> Any:
    return dict.fromkeys(value) if isinstance(value, list) else value
