"""``.env`` files."""

import pytest

from orchestrator.spec.dotenv import DotenvError, parse_dotenv, parse_raw


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1 # why\n", {"A": "1"}),
        ("A=1#2\n", {"A": "1#2"}),
        ("# A=1\n\nB=\n", {"B": ""}),
        ("export A=x\n", {"A": "x"}),
        ("A: x\n", {"A": "x"}),
        ("A='$B'\n", {"A": "$B"}),
        ('A="a\\nb"\n', {"A": "a\nb"}),
        ("A=1\nB=${A}2\n", {"A": "1", "B": "12"}),
        ("B=${HOME_OF}\n", {"B": "shell"}),
        ("HOME_OF\n", {"HOME_OF": "shell"}),
        ("NOWHERE\n", {}),
        ("A='two\nlines'\n", {"A": "two\nlines"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ],
)
def test_assignments(text, expected):
    assert parse_dotenv(text, {"HOME_OF": "shell"}) == expected


@pytest.mark.parametrize(("text", "line"), [("A=1\n=2\n", 2), ("A='x\n", 1), ("A=1\n\n!\n", 3)])
def test_a_broken_line_is_told_with_its_number(text, line):
    with pytest.raises(DotenvError) as refused:
        parse_dotenv(text, {})

    assert refused.value.line == line


def test_the_raw_format_takes_everything_literally():
    assert parse_raw("A='x' # y\nB=$A\nC\n", {"C": "c"}) == {"A": "'x' # y", "B": "$A", "C": "c"}
