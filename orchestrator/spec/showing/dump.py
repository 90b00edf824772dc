"""A settled stack file → the canonical document ``pyorch config`` prints."""

import json
from collections.abc import Mapping
from typing import Any

import yaml as pyyaml

from orchestrator.spec.models import StackFile
from orchestrator.spec.reading.yaml_scalars import plain

OWN = "x-pyorch"


def dump(stack: StackFile, *, as_json: bool = False) -> str:
    """Return the document: dollars doubled so that it can be read again, secrets left out."""
    document = _escape(document_of(stack, as_json=as_json), keys=as_json)
    return write(document, as_json=as_json)


def document_of(stack: StackFile, *, as_json: bool) -> dict[str, Any]:
    """Return the document as plain data.

    JSON is for programs written for the reference: what it always writes is always there, and
    extensions below the top are not.
    """
    document = stack.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    document.pop("recreate", None)
    document.pop("origin", None)
    for kind in ("configs", "secrets"):
        for resource in document.get(kind, {}).values():
            resource.pop("payload", None)
            if resource.get("environment"):
                resource.pop("content", None)
    document.setdefault("services", {})
    for service in document["services"].values():
        service.pop("seccomp", None)
        for key in ("networks", "models"):
            if key in service:
                service[key] = {name: one or None for name, one in service[key].items()}
    return _for_programs(document) if as_json else _for_readers(document)


def _for_readers(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what could not be read again: dependencies that may be missing, and are."""
    services = document["services"]
    for service in services.values():
        service["depends_on"] = {
            name: entry
            for name, entry in service.get("depends_on", {}).items()
            if name in services or entry.get("required", True)
        }
        if not service["depends_on"]:
            del service["depends_on"]
    return document


def _for_programs(document: dict[str, Any]) -> dict[str, Any]:
    for kind, section in document.items():
        if kind.startswith("x-") or not isinstance(section, dict):
            continue
        for resource in section.values():
            _drop_extensions(resource)
    for network in document.get("networks", {}).values():
        network.setdefault("ipam", {})
    for service in document["services"].values():
        service.setdefault("command", None)
        service.setdefault("entrypoint", None)
        for mount in service.get("volumes", ()):
            if mount["type"] in ("bind", "volume", "tmpfs"):
                mount.setdefault(mount["type"], {})
        if "deploy" in service:
            service["deploy"].setdefault("resources", {})
            service["deploy"].setdefault("placement", {})
        for rule in service.get("develop", {}).get("watch", ()):
            rule.setdefault("exec", {}).setdefault("command", None)
        for hooks in ("pre_start", "post_start", "pre_stop"):
            for hook in service.get(hooks, ()):
                hook.setdefault("command", None)
    return document


_FREE = {
    "environment", "labels", "annotations", "sysctls", "args", "options", "driver_opts",
    "additional_contexts", "storage_opt", "aux_addresses",
}  # fmt: skip
_NAMED = {"depends_on", "networks", "models"}
"""Mappings whose keys are the author's: there `x-` is a beginning like any other."""


def _drop_extensions(value: Any) -> None:
    if isinstance(value, dict):
        for key in [key for key in value if key.startswith("x-") and key != OWN]:
            del value[key]
        for key, entry in value.items():
            if key in _NAMED:
                for named in entry.values():
                    _drop_extensions(named)
            elif key not in _FREE and key != OWN:
                _drop_extensions(entry)
    elif isinstance(value, list):
        for entry in value:
            _drop_extensions(entry)


def write(document: Mapping[str, Any], *, as_json: bool) -> str:
    """Return plain data as YAML or JSON."""
    if as_json:
        return json.dumps(document, indent=2, ensure_ascii=False)
    return pyyaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(pyyaml.SafeDumper):
    """One that repeats instead of using anchors: what is printed is read by people."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _represent_text(dumper: pyyaml.SafeDumper, text: str) -> pyyaml.Node:
    """Write a text so that it is read as one: `1e3` and `0o17` are numbers to the reader."""
    style = "|" if "\n" in text else None if plain(text) == text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _escape(value: Any, *, keys: bool) -> Any:
    """Double the dollars of values.

    In keys a dollar is nothing but a dollar to whoever reads a stack file. The reference doubles
    it there as well; programs that read its JSON know that.
    """
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {
            _escape(key, keys=keys) if keys else key: _escape(entry, keys=keys)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [_escape(entry, keys=keys) for entry in value]
    return value
