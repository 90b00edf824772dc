"""Command lines split into words."""

import pytest

from orchestrator.spec.values.shellwords import split


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ()),
        ("  a  b\tc\n", ("a", "b", "c")),
        ("a 'b c' \"d e\"", ("a", "b c", "d e")),
        ("a'b'\"c\"", ("abc",)),
        ("'' \"\"", ("", "")),
        (r"a\ b c\\d", ("a b", r"c\d")),
        (r'"a \" b"', ('a " b',)),
        (r"'a \ b'", (r"a \ b",)),
        ("$HOME `x y` $(a b)", ("$HOME", "`x y`", "$(a b)")),
        ("sh -c 'a && b'", ("sh", "-c", "a && b")),
        ("* ~ {a,b} #c", ("*", "~", "{a,b}", "#c")),
    ],
)
def test_quotes_are_honoured_and_nothing_else(line, words):
    assert split(line) == (words, "")


@pytest.mark.parametrize(
    ("line", "words", "rest"),
    [
        ("a && b", ("a",), "&& b"),
        ("a|b", ("a",), "|b"),
        ("a b; c", ("a", "b"), "; c"),
        ("a 2>&1", ("a",), ">&1"),
        ("a > b", ("a",), "> b"),
    ],
)
def test_what_stands_behind_an_operator_is_no_part_of_it(line, words, rest):
    assert split(line) == (words, rest)


@pytest.mark.parametrize("line", ["a 'b", 'a "b', "a \\", "a (b)", "a )", "`a", "$(a"])
def test_what_cannot_be_split_is_refused(line):
    with pytest.raises(ValueError, match="cannot split"):
        split(line)
