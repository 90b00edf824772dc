"""Variables in stack files: every operator, nested, escaped, refused."""

import re

import pytest

from orchestrator.spec.values.interpolate import InterpolationError, Mention, interpolate, mentions

VARIABLES = {"SET": "value", "EMPTY": "", "OTHER": "x", "_a1": "y", "JSON": '{"a":1}'}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$SET", "value"),
        ("${SET}", "value"),
        ("a-$SET-b", "a-value-b"),
        ("$_a1.$_a1", "y.y"),
        ("$SET$OTHER${SET}", "valuexvalue"),
        ("${NONE}", ""),
        ("${NONE:-a}${NONE:-b}", "ab"),
        ("100%", "100%"),
        ("é$SET漢", "évalue漢"),
    ],
)
def test_a_variable_is_replaced(text, expected):
    assert interpolate(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("operator", "unset", "empty", "given"),
    [
        ("-", "w", "", "value"),
        (":-", "w", "w", "value"),
        ("+", "", "w", "w"),
        (":+", "", "", "w"),
        ("?", None, "", "value"),
        (":?", None, None, "value"),
    ],
)
def test_every_operator_with_a_variable_unset_empty_and_set(operator, unset, empty, given):
    for name, expected in (("NONE", unset), ("EMPTY", empty), ("SET", given)):
        text = f"<${{{name}{operator}w}}>"
        if expected is None:
            with pytest.raises(InterpolationError, match=f"required variable {name} is missing"):
                interpolate(text, VARIABLES)
        else:
            assert interpolate(text, VARIABLES) == f"<{expected}>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NONE:-}", ""),
        ("${NONE:-${SET}}", "value"),
        ("${NONE:-$SET}", "value"),
        ("${NONE:-${EMPTY:-${OTHER}}}", "x"),
        ("${NONE:-${SET} ${OTHER}}!", "value x!"),
        ("${NONE:-a:-b-c?d+e}", "a:-b-c?d+e"),
        ("${NONE-:?x}", ":?x"),
        ("${SET:+[${OTHER}]}", "[x]"),
        ("${NONE:-$$SET}", "$SET"),
        ("{{{ ${SET} }}}", "{{{ value }}}"),
        ('${NONE:-{"a":{"b":2}}}', '{"a":{"b":2}}'),
        ('${JSON:-{"a":{"b":2}}}', '{"a":1}'),
        ("${NONE:-{}} ${SET}", "{} value"),
        ("${NONE:-{x}", "{x"),
        ("{\n${SET}\n}", "{\nvalue\n}"),
    ],
)
def test_words_nest_and_braces_pair_up(text, expected):
    assert interpolate(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$$", "$"),
        ("$$SET", "$SET"),
        ("$${SET}", "${SET}"),
        ("$$$SET", "$value"),
        ("$$$$", "$$"),
        *((text, text) for text in ("$", "a$", "$5", "$-", "$ x", "$(id)", "$é", "$.", "$'", "}")),
    ],
)
def test_a_dollar_is_doubled_or_stands_before_what_is_no_name(text, expected):
    assert interpolate(text, VARIABLES) == expected


@pytest.mark.parametrize(
    "text", ["${SET:-${NONE?no}}", "${SET:-${bad!}}", "${NONE:+${NONE?no}}", "${SET?$NONE}"]
)
def test_a_word_that_is_not_needed_is_not_looked_at(text):
    told = []

    interpolate(text, VARIABLES, missing=told.append)

    assert told == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NONE:?give me one}", "required variable NONE is missing a value: give me one"),
        ("${EMPTY:?no ${SET}}", "required variable EMPTY is missing a value: no value"),
        ("${NONE?}", "required variable NONE is missing a value"),
        ("${SET", "`${SET` has no `}` in its line; write `$$` for a literal dollar"),
        ("${NONE:-a\nb}", "has no `}` in its line"),
        ("${}", "`${}` names no variable"),
        ("${ SET}", "`${ SET}` names no variable"),
        ("${1A}", "`${1A}` names no variable"),
        ("${é}", "`${é}` names no variable"),
        ("x${SET!y}z", "`${SET!y}` is not understood"),
        ("${SET }", "`${SET }` is not understood"),
        ("${SET:}", "`${SET:}` is not understood"),
        ("${SET/a/b}", "`${SET/a/b}` is not understood"),
        ("${NONE:-${SET}", "`${SET` has no `}`"),
    ],
)
def test_what_is_refused_is_shown(text, message):
    with pytest.raises(InterpolationError, match=re.escape(message)) as refused:
        interpolate(text, VARIABLES)

    assert text[refused.value.at :].startswith("${")


def test_what_is_refused_is_shown_shortened():
    with pytest.raises(InterpolationError) as refused:
        interpolate("${" + "x" * 100_000, {})

    assert len(str(refused.value)) < 200


def test_nesting_has_an_end():
    text = "${A:-" * 70 + "x" + "}" * 70

    with pytest.raises(InterpolationError, match="nested deeper"):
        interpolate(text, {})
    assert interpolate(text, {"A": "1"}) == "1"


def test_variables_without_value_are_told_each_time():
    told = []

    interpolate("$A ${B:-d} ${A} $SET ${C-$D}", VARIABLES, missing=told.append)

    assert told == ["A", "A", "D"]


def test_what_a_text_mentions_is_listed_with_its_words_as_written():
    assert mentions("$A ${B} ${C:-c} ${D-} ${E:+e} ${F?f} $$G") == [
        Mention(name="A"),
        Mention(name="B"),
        Mention(name="C", default="c"),
        Mention(name="D", default=""),
        Mention(name="E", alternate="e"),
        Mention(name="F", required=True, message="f"),
    ]


def test_what_words_mention_is_listed_too():
    found = mentions("${A:-http://$B:${C:-80}/$$D}")

    assert [(one.name, one.default) for one in found] == [
        ("A", "http://$B:${C:-80}/$$D"),
        ("B", None),
        ("C", "80"),
    ]
