"""Texts nobody would write: each is a value or a mistake that is told, and nothing else.

`PYORCH_FUZZ` is how many examples each test tries; `make fuzz` tries many.
"""

import contextlib
import json
import os
import re
from collections import ChainMap

import pytest
import yaml as pyyaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from orchestrator.errors import Paint
from orchestrator.spec.problems import Source, SpecError
from orchestrator.spec.reading.files import decode
from orchestrator.spec.reading.yaml import Tagged, parse
from orchestrator.spec.reading.yaml_scalars import plain
from orchestrator.spec.values.dotenv import DotenvError, parse_dotenv, parse_raw
from orchestrator.spec.values.interpolate import InterpolationError, interpolate, mentions

many = settings(
    max_examples=int(os.environ.get("PYORCH_FUZZ", "100")),
    deadline=None,
    derandomize="PYORCH_FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

PIECES = [
    *("a", "b", "key", "1", "0o7", "~", "true", "no", "1.5", "22:22", "é", "漢", "😀", "x" * 40),
    *(": ", ":", "- ", "? ", "[", "]", "{", "}", ", ", ",", "#", " #", "|", ">", "|-", ">+2", "%"),
    *("&a ", "*a", "&b ", "*b", "<<: ", "<<: *a\n", "!reset ", "!override ", "!!str ", "!!int "),
    *("!!binary ", "!x ", "! ", "!<x> ", "'", '"', "\\", "\\x41", "@", "`", "---\n", "...\n"),
    *("\n", "\n  ", "\n    ", "\r\n", "\r", "\t", " ", "\0", "\x1b", "\ufeff", "\x85", "\u2028"),
    *("%YAML 1.1\n", "%TAG ! x\n", "${A:-", "$$", "$A", "}", "=", "\ud800", "\U0010ffff"),
]
pieces = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
texts = pieces | st.text(max_size=60)

# What YAML can hold without escapes.
characters = st.characters(
    codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff\ufffe\uffff"
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters, max_size=12)
    | st.sampled_from(["no", "22:22", "017", "<<", "", " ", "a: b", "#", "- x", "2024-01-31", "{"])
)
keys = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=6)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


def outcome(function, *arguments, **more):
    """Return what a function returns and None, or None and the mistake it tells."""
    try:
        return function(*arguments, **more), None
    except (SpecError, InterpolationError, DotenvError) as error:
        return None, error


def sound(text):
    """Parse a text and check what every outcome promises; return its documents, or None."""
    documents, error = outcome(parse, text, "f.yml")
    if error:
        last = Source("f.yml", text).mark(len(text)).line
        assert error.problems
        assert all(1 <= problem.mark.line <= last for problem in error.problems)
        assert all(problem.mark.column >= 1 for problem in error.problems)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", error.report(Paint()))
        return None
    for document in documents:
        for path in document.marks:
            assert document.mark(path).line >= 1
            assert document.value_mark(path).line >= 1
            at(document.content, path)
    return documents


def at(content, path):
    for part in path:
        inner = content.value if isinstance(content, Tagged) else content
        content = inner[int(part)] if isinstance(inner, list) else inner[part]
    return content


@many
@given(texts)
@example("a: &a [*a, ")
@example("- &a {<<: *a}")
@example("&a : *a")
@example("? - a\n: b")
@example("<<: [[{a: 1}], *x]")
def test_any_text_is_documents_or_mistakes(text):
    sound(text)


@many
@given(st.binary(max_size=80) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_text_or_a_mistake(data):
    with contextlib.suppress(SpecError):
        sound(decode(data, "f.yml"))


@st.composite
def broken(draw, pieces=PIECES):
    """Return a good document with something put into it, taken out of it or repeated in it."""
    flow = draw(st.sampled_from([True, False, None]))
    text = pyyaml.safe_dump(draw(values), default_flow_style=flow, allow_unicode=True)
    for _ in range(draw(st.integers(1, 4))):
        place, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        new = draw(st.sampled_from([*pieces, "", text[place:end]]))
        text = text[:place] + new + text[draw(st.sampled_from([place, end])) :]
    return text


@many
@given(broken())
def test_a_damaged_document_is_documents_or_mistakes(text):
    sound(text)


# Ways to write a value that mean the same in every version of YAML.
WAYS = {
    "json": lambda value: json.dumps(value, ensure_ascii=False),
    "json in lines": lambda value: json.dumps(value, ensure_ascii=False, indent=2),
    "tags": lambda value: pyyaml.safe_dump(value, default_style='"', allow_unicode=True),
    "tags in lines": lambda value: pyyaml.safe_dump(
        value, default_style='"', default_flow_style=False, allow_unicode=True
    ),
}


@many
@given(values, st.sampled_from(sorted(WAYS)))
def test_what_is_written_is_read_again(value, way):
    (document,) = parse(WAYS[way](value), "f.yml")

    assert document.content == value


class TextLoader(pyyaml.SafeLoader):
    """The library's pure parser and composer, with anchors that may be given again."""

    def compose_node(self, parent, index):
        if not self.check_event(pyyaml.AliasEvent):
            self.anchors.pop(self.peek_event().anchor, None)
        return super().compose_node(parent, index)


def agrees(ours, node):
    """Say whether content is what the library's nodes are, leaving aside what scalars mean."""
    if isinstance(node, pyyaml.MappingNode):
        theirs = {key.value: value for key, value in node.value}
        same = isinstance(ours, dict) and [*map(str, ours)] == [*theirs]
        return same and all(agrees(ours[key], value) for key, value in theirs.items())
    if isinstance(node, pyyaml.SequenceNode):
        same = isinstance(ours, list) and len(ours) == len(node.value)
        return same and all(map(agrees, ours, node.value))
    return ours == node.value if isinstance(ours, str) else plain(node.value) in (ours, node.value)


# Tags and merge keys are ours alone; where a tab may stand, the library's parsers disagree.
SHARED = [piece for piece in PIECES if not re.search("[!<\t]|true", piece)]


@many
@given(st.lists(st.sampled_from(SHARED), max_size=30).map("".join) | broken(SHARED))
def test_the_structure_is_what_the_librarys_own_parser_sees(text):
    assume(not re.search("[!<\t]", text))
    documents = sound(text)
    assume(documents is not None)
    try:
        nodes = list(pyyaml.compose_all(text.removeprefix("\ufeff"), Loader=TextLoader))
    except pyyaml.YAMLError:
        # The library's two parsers disagree about what to refuse.
        return

    assert len(documents) == len(nodes)
    for document, node in zip(documents, nodes, strict=True):
        assert agrees(document.content, node)


WORDS = ["$", "{", "}", ":", "-", "?", "+", "A", "B", "SET", " ", "\n", "$$", "${", "${SET", "é"]
templates = st.lists(st.sampled_from(WORDS), max_size=25).map("".join) | st.text(max_size=40)
KNOWN = {"SET": "$${A}", "EMPTY": ""}


@many
@given(templates)
def test_any_text_is_expanded_or_refused(text):
    told = []
    found, error = outcome(interpolate, text, KNOWN, missing=told.append)
    if error:
        assert 0 <= error.at < len(text)
        return
    assert isinstance(found, str)
    if "$" not in text:
        assert found == text
    with contextlib.suppress(InterpolationError):
        assert set(told) <= {one.name for one in mentions(text)}


@many
@given(st.text())
def test_doubled_dollars_give_the_text_itself(text):
    assert interpolate(text.replace("$", "$$"), {}) == text
    assert mentions(text.replace("$", "$$")) == []


@many
@given(templates, templates)
def test_only_the_variables_mentioned_matter(text, value):
    with contextlib.suppress(InterpolationError):
        names = {one.name for one in mentions(text)}
        other = ChainMap({"ZZZ": value, "SET": "x"}, KNOWN) if "SET" not in names else KNOWN
        with contextlib.suppress(InterpolationError):
            assert interpolate(text, other) == interpolate(text, KNOWN)


LINES = [
    "A",
    "B",
    "export ",
    "=",
    ": ",
    "'",
    '"',
    "\\",
    "\\n",
    "\\0101",
    "$A",
    "${B:-x}",
    " #",
    "#",
]
statements = (
    st.lists(st.sampled_from([*LINES, "\n", "\r\n", " ", "\t", "\0", "\ufeff", "é", "[", "$"]))
    .map("".join)
    .filter(lambda text: len(text) < 200)
) | st.text(max_size=60)


@many
@given(statements)
@pytest.mark.parametrize("read", [parse_dotenv, parse_raw])
def test_any_text_is_variables_or_a_line_that_is_wrong(read, text):
    found, error = outcome(read, text, {"B": "b"})
    if error:
        assert 1 <= error.line <= text.count("\n") + 1
        return
    assert all("\0" not in value and "\n" not in name for name, value in found.items())


@many
@given(st.dictionaries(keys, st.text(max_size=20), max_size=5))
def test_quoted_values_are_read_as_they_are(variables):
    variables = {
        name: value.replace("\0", "").replace("\r", "") for name, value in variables.items()
    }
    escape = {"\\": "\\\\", '"': '\\"', "$": "\\$"}
    text = "".join(
        f'{name}="{"".join(escape.get(mark, mark) for mark in value)}"\n'
        for name, value in variables.items()
    )

    assert parse_dotenv(text, {"A": "x"}) == variables
