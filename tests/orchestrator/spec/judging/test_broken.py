"""Stack files in which anything may stand anywhere: refused with a place, or loaded."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.spec.problems import SpecError
from orchestrator.spec.showing.dump import dump
from tests.orchestrator.spec.examples import FULL

EXAMPLE = yaml.safe_load(FULL)
ODD: list[Any] = [
    None, "", 0, -1, 1.5, True, [], {}, "x", "a=b", ":", "$X", "${X:-y}", ["a"], [None], [1],
    [[]], {"a": None}, {"a": 1}, {"x-a": [1]}, "service:db", "80:80", ["a", "a"], "1m", [{}],
    {"": 1}, "a b", "../..", "~", {"service": "db"}, {"service": "db", "file": "compose.yaml"},
]  # fmt: skip
KEYS = ["extends", "include", "x-q", "build", "deploy", "ports", "volumes", "external", "a"]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every entry of a document, as what holds it and its key there."""
    found = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in pairs:
        found.append((value, key))
        if isinstance(entry, dict | list):
            found += places(entry)
    return found


@st.composite
def broken(draw):
    """Return a document with a few entries replaced, removed or added."""
    document = copy.deepcopy(EXAMPLE)
    for _ in range(draw(st.integers(1, 4))):
        holder, key = draw(st.sampled_from(places(document)))
        odd = copy.deepcopy(draw(st.sampled_from(ODD)))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                holder[key] = odd
            case "remove" if len(places(document)) > 20:
                del holder[key]
            case _ if isinstance(holder, dict):
                holder[draw(st.sampled_from(KEYS))] = odd
            case _:
                holder.append(odd)
    return document


@settings(max_examples=150, deadline=None)
@given(documents=st.lists(broken(), min_size=1, max_size=2), to_run=st.booleans())
def test_no_mistake_is_a_surprise(documents, to_run):
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, document in enumerate(documents):
            path = Path(folder, "compose.yaml" if number == 0 else "more.yaml")
            path.write_text(yaml.safe_dump(document))
            files.append(str(path))
        request = LoadRequest(files=tuple(files), cwd=Path(folder), profiles=("*",), to_run=to_run)
        problems, stack = (), None
        try:
            stack = load_stack(request).stack
        except SpecError as error:
            problems = error.problems
    if stack is None:
        assert problems
        assert all(one.cause for one in problems)
    else:
        assert dump(stack)
        assert dump(stack, as_json=True)
