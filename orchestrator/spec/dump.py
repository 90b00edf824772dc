"""A settled stack file → the canonical document ``pyorch config`` prints."""

import json
from typing import Any

import yaml as pyyaml

from orchestrator.spec.models import StackFile

REDACTED = "(secret)"


def dump(stack: StackFile, *, as_json: bool = False) -> str:
    """Return the document: dollars doubled so that it can be read again, secrets left out."""
    document = stack.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for secret in document.get("secrets", {}).values():
        secret["content"] = REDACTED
    document = _escape(document)
    if as_json:
        return json.dumps(document, indent=2)
    return pyyaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _escape(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_escape(entry) for entry in value]
    return value
