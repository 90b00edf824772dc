"""Variables in stack files: every operator, nested, escaped, refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.interpolate import InterpolationError, interpolate

VARIABLES = {"SET": "value", "EMPTY": "", "OTHER": "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$SET", "value"),
        ("${SET}", "value"),
        ("a-$SET-b", "a-value-b"),
        ("$$SET", "$SET"),
        ("$${SET}", "${SET}"),
        ("${NONE}", ""),
        ("${NONE:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${NONE-d}", "d"),
        ("${SET:-d}", "value"),
        ("${SET:+r}", "r"),
        ("${EMPTY:+r}", ""),
        ("${EMPTY+r}", "r"),
        ("${NONE+r}", ""),
        ("${SET:?e}", "value"),
        ("${EMPTY?e}", ""),
        ("${NONE:-${SET}}", "value"),
        ("${NONE:-${EMPTY:-${OTHER}}}", "x"),
        ("${NONE:-a}${NONE:-b}", "ab"),
        ("100%", "100%"),
    ],
)
def test_a_text_is_expanded(text, expected):
    assert interpolate(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("${NONE:?give me one}", "required variable NONE is missing a value: give me one"),
        ("${EMPTY:?no}", "EMPTY"),
        ("${NONE?no}", "NONE"),
        ("${SET", "without `}`"),
        ("${}", "names no variable"),
        ("${1A}", "names no variable"),
        ("${SET!x}", "not understood"),
    ],
)
def test_a_text_is_refused(text, complaint):
    with pytest.raises(InterpolationError, match=complaint.replace("?", r"\?")):
        interpolate(text, VARIABLES)


def test_variables_without_value_are_told():
    told = []

    interpolate("$A ${B:-d} ${C} $SET", VARIABLES, missing=told.append)

    assert told == ["A", "C"]


@given(st.text())
def test_doubled_dollars_give_the_text_itself(text):
    assert interpolate(text.replace("$", "$$"), VARIABLES) == text


@given(st.text(alphabet="${}:-?+AB ", max_size=30))
def test_any_text_is_expanded_or_refused_and_nothing_else(text):
    with contextlib.suppress(InterpolationError):
        assert isinstance(interpolate(text, {"A": "1"}), str)
