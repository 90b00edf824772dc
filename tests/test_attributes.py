"""Every key that is carried out has a test that sees on a real container that it is.

Such a test is marked ``attribute("services.*.cpus")``: with the key as docs/stack-file.md calls
it. A mark with a key that holds others stands for all of them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from orchestrator.spec.judging.support import Kind, fate
from orchestrator.spec.showing.keys import keys

TESTS = Path(__file__).parent


class Marked(NamedTuple):
    """A test, a key it is marked with, and whether it runs on real containers."""

    test: str
    key: str
    real: bool


def called(node: ast.expr) -> str:
    """Return what a mark is called, with or without arguments: ``pytest.mark.root``."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node)


def marked() -> Iterator[Marked]:
    """Yield every key every test is marked with."""
    for path in sorted(TESTS.rglob("test_*.py")):
        module = ast.parse(path.read_text())
        whole = {
            called(mark)
            for node in module.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
            for mark in (node.value.elts if isinstance(node.value, ast.List) else [node.value])
        }
        for test in module.body:
            if not isinstance(test, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            marks = {called(one) for one in test.decorator_list} | whole
            for mark in test.decorator_list:
                if isinstance(mark, ast.Call) and called(mark) == "pytest.mark.attribute":
                    for key in map(ast.literal_eval, mark.args):
                        name = f"{path.relative_to(TESTS)}::{test.name}"
                        yield Marked(name, key, "pytest.mark.root" in marks)


def carried_out() -> set[str]:
    """Return the keys that are carried out and hold no other key."""
    found = [key.path for key in keys() if fate(key.name).kind is Kind.IMPLEMENTED]
    above = {path[:length] for path in found for length in range(1, len(path))}
    return {".".join(path) for path in found if path not in above}


def test_every_key_that_is_carried_out_is_seen_to_be_on_a_real_container():
    shown = {one.key for one in marked() if one.real}
    missing = {
        key
        for key in carried_out()
        if not any(key == one or key.startswith(f"{one}.") for one in shown)
    }

    assert sorted(missing) == [], "these need a test that is marked with them"


def test_a_mark_names_keys_there_are_and_is_on_a_test_of_real_containers():
    known = {key.name for key in keys() if fate(key.name).kind is Kind.IMPLEMENTED}

    assert [one for one in marked() if one.key not in known] == []
    assert [one for one in marked() if not one.real] == []
