"""``.env`` files."""

import pytest

from orchestrator.spec.values.dotenv import DotenvError, parse_dotenv, parse_raw

SHELL = {"HOME_OF": "shell", "BOTH": "shell"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1", {"A": "1"}),
        ("  A = 1  \n\tB\t=\t2\t\n", {"A": "1", "B": "2"}),
        ("A: 1\nB:2\n", {"A": "1", "B": "2"}),
        ("A=1:2=3\n", {"A": "1:2=3"}),
        ("# A=1\n\n  # C=1\nB=\n", {"B": ""}),
        ("export A=x\nexport\tB=y\n", {"A": "x", "B": "y"}),
        ("exported=x\nexport.A=y\n", {"exported": "x", "export.A": "y"}),
        ("a.b-c[0]=x\n456=y\nü=z\n", {"a.b-c[0]": "x", "456": "y", "ü": "z"}),
        ('="x"\n', {"": "x"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("", {}),
    ],
)
def test_statements(text, expected):
    assert parse_dotenv(text, {}) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1 # why", "1"),
        ("A=1#2", "1#2"),
        ("A=1\t# 2", "1\t# 2"),
        ("A= # 1", "# 1"),
        ('A=it\'s "so"', 'it\'s "so"'),
        (r"A=a\tb\n", r"a\tb\n"),
        (r"A=C:\dir", r"C:\dir"),
    ],
)
def test_a_bare_value_is_the_rest_of_its_line_up_to_blank_and_hash(text, value):
    assert parse_dotenv(text + "\nB=2\n", {}) == {"A": value, "B": "2"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A='$B ${C'", "$B ${C"),
        ("A='two\nlines'", "two\nlines"),
        (r"A='Let\'s'", "Let's"),
        (r"A='\n\\'", r"\n\\"),
        ("A='x#y' # z", "x#y"),
        ("A=' x '", " x "),
    ],
)
def test_in_single_quotes_all_is_literal(text, value):
    assert parse_dotenv(text + "\nB=2\n", {}) == {"A": value, "B": "2"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'A="\a\b\f\n\r\t\v\\\""', '\a\b\f\n\r\t\v\\"'),
        (r'A="\0123\0351"', "Sé"),
        (r'A="\x41\u0041\c\0999"', r"\x41\u0041\c\0999"),
        ('A="two\nlines"', "two\nlines"),
        ('A="${HOME_OF}-$HOME_OF"', "shell-shell"),
        (r'A="\$HOME_OF $$HOME_OF"', "$HOME_OF $HOME_OF"),
        (r'A="\\$HOME_OF"', r"\shell"),
        ('A="it\'s"', "it's"),
        ('A="x" # y', "x"),
    ],
)
def test_in_double_quotes_escapes_and_variables_count(text, value):
    assert parse_dotenv(text + "\nB=2\n", SHELL) == {"A": value, "B": "2"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=${A}2\nC=$B\n", {"A": "1", "B": "12", "C": "12"}),
        ("BOTH=file\nB=$BOTH\n", {"BOTH": "file", "B": "shell"}),
        ("B=${NONE:-${HOME_OF}}\n", {"B": "shell"}),
        ("A=${A:-1}\nB=$A\n", {"A": "1", "B": "1"}),
        ("B=$NONE\n", {"B": ""}),
        ("A=a$\n", {"A": "a$"}),
    ],
)
def test_values_may_mention_what_came_before_but_the_shell_wins(text, expected):
    assert parse_dotenv(text, SHELL) == expected


def test_who_mentions_what_nobody_knows_is_told():
    told = []

    parse_dotenv("A=$NONE\nB='$OTHER'\nC=$A\n", {}, missing=told.append)

    assert told == ["NONE"]


@pytest.mark.parametrize("text", ["HOME_OF", "HOME_OF\n", "export HOME_OF \nNOWHERE\n"])
def test_a_name_alone_is_looked_up_and_left_out_where_there_is_none(text):
    assert parse_dotenv(text, SHELL) == {"HOME_OF": "shell"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("A=1\n\n!\n", 3, "unexpected `!`"),
        ("A=1\nB C=2\n", 2, "a name cannot hold a blank"),
        ("A='\n\n'\nB$=2\n", 4, "unexpected `$`"),
        ("A=1\nB='x\n", 2, "B: the quote ' is not closed"),
        ('A=1\nB="x\\"\n\n', 2, 'B: the quote " is not closed'),
        ("A=1\nB=${x\n", 2, "B: `${x` has no `}`"),
        ("A=1\nB=${X:?set it}\n", 2, "B: required variable X is missing a value: set it"),
        ("A=1\nB=\0\n", 2, "B: the value holds a NUL"),
        ('A="\n\\0000"\n', 1, "A: the value holds a NUL"),
    ],
)
def test_a_mistake_is_told_with_its_line(text, line, words):
    with pytest.raises(DotenvError) as refused:
        parse_dotenv(text, {})

    assert refused.value.line == line
    assert words in str(refused.value)


def test_a_value_is_never_told():
    for text in ("KEY=-----BEGIN\nhunter2/==\n", "KEY='hunter2\n", 'KEY="hunter2 ${'):
        with pytest.raises(DotenvError) as refused:
            parse_dotenv(text, {})
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A='x' # y\nB=$A\nC\nD\n", {"A": "'x' # y", "B": "$A", "C": "c"}),
        ("\ufeffA=1\r\nB= 2 \r\n", {"A": "1", "B": " 2 "}),
        ("  # x\n\n  A=1\n", {"A": "1"}),
        ("A=\nB==\n", {"A": "", "B": "="}),
        ("A=a\x0bb\n", {"A": "a\x0bb"}),
    ],
)
def test_the_raw_format_takes_everything_literally(text, expected):
    assert parse_raw(text, {"C": "c"}) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [("=x", "no name"), ("A B=x", "holds a blank"), ("A =x", "holds a blank"), ("A=\0", "NUL")],
)
def test_the_raw_format_refuses_what_has_no_name(text, words):
    with pytest.raises(DotenvError, match=words) as refused:
        parse_raw("OK=1\n" + text, {})

    assert refused.value.line == 2
