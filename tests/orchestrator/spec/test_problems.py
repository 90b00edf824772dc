"""How a mistake is shown."""

from pathlib import Path

import pytest

from orchestrator.errors import Paint, PyorchError
from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.spec.problems import (
    LONGEST,
    WINDOW,
    Mark,
    Problem,
    Source,
    SpecError,
    suggest,
)
from orchestrator.spec.reading.yaml import parse


def shown(text, index, cause="wrong", **more):
    """Return the lines that report a problem at a place of a text."""
    mark = Source("f.yml", text).mark(index)
    return Problem(mark=mark, path="a.b", cause=cause, **more).report(Paint())


def test_a_problem_is_shown_with_its_line_a_caret_and_its_hint():
    assert shown("x\n  image: y\nz\n", 4, hint="did you mean `z`?") == [
        "error: f.yml:2:3: a.b: wrong",
        "  2 |   image: y",
        "    |   ^",
        "hint: did you mean `z`?",
    ]


def test_every_problem_of_a_file_is_shown_in_full():
    with pytest.raises(SpecError) as refused:
        parse("a: !x 1\nb: 1\nb: 2\n", "f.yml")

    report = refused.value.report(Paint()).splitlines()

    assert [line for line in report if not line.startswith("hint: ")] == [
        "error: f.yml:1:4: a: tag `!x` is not allowed here",
        "  1 | a: !x 1",
        "    |    ^",
        "error: f.yml:3:1: b: key `b` is given twice, first in line 2",
        "  3 | b: 2",
        "    | ^",
    ]
    assert len(report) == 7


def test_a_problem_of_a_whole_file_shows_no_line():
    problem = Problem(mark=Mark(file="f.yml"), path="", cause="it is a directory")

    assert problem.report(Paint()) == ["error: f.yml: it is a directory"]


@pytest.mark.parametrize(
    ("line", "column", "under"),
    [
        ("abc", 2, "b"),
        ("\t\tx: y", 3, "x"),
        ("漢字x: y", 3, "x"),
        ("e\u0301x", 3, "x"),
        ("\x1b[31mred", 6, "r"),
        ("a\u202eb", 3, "b"),
        ("x" * 500 + "!" + "y" * 500, 501, "!"),
        ("漢" * 500 + "!" + "y" * 500, 501, "!"),
        ("x" * 500 + "!", 501, "!"),
        ("!" + "x" * 500, 1, "!"),
        ("x" * WINDOW + "!", WINDOW + 1, "!"),
    ],
)
def test_the_caret_stands_under_the_place(line, column, under):
    _, text, caret, *_ = shown(f"first\n{line}\nlast", 6 + column - 1)
    wide = [width for one in text for width in [one] * columns(one)]

    assert wide[caret.index("^")] == under
    assert len(text) < WINDOW + 40


def columns(character):
    if character == "\u0301":
        return 0
    return 2 if character in "漢字" else 1


def test_a_place_past_the_end_of_a_line_can_be_shown():
    assert shown("abc\n", 3)[1:] == ["  1 | abc", "    |    ^"]
    assert shown("abc\r\nd", 3)[1:] == ["  1 | abc", "    |    ^"]
    assert shown("abc", 3)[1:] == ["  1 | abc", "    |    ^"]
    assert shown("abc\n", 4) == ["error: f.yml:2:1: a.b: wrong"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_lines_end_where_yaml_ends_them(end):
    text = f"a: 1{end}b: 2{end}"

    (document,) = parse(text, "f.yml")

    assert str(document.mark(("b",))) == "f.yml:2:1"
    assert Problem(mark=document.mark(("b",)), path="b", cause="x").report(Paint())[1] == (
        "  2 | b: 2"
    )


@pytest.mark.parametrize("nasty", ["\x1b", "\r", "\x9b", "\u202e", "\n", "\x00", "\ud800"])
def test_nothing_from_a_file_reaches_the_terminal_as_a_command(nasty):
    lines = shown(f"a{nasty}b", 0, cause=f"bad `{nasty}`", hint=f"not {nasty}")

    assert len(lines) == 4
    assert not any(nasty in line for line in lines)


def test_a_long_message_is_cut():
    assert len(str(Problem(mark=Mark(file="f"), path="", cause="x" * 10**6))) <= LONGEST + 1


def test_colours_are_for_terminals():
    error = PyorchError("one\ntwo", hint="three")

    assert error.report(Paint()) == "error: one\nerror: two\nhint: three\n"
    assert error.report(Paint(colours=True)).count("\x1b[0m") == 3


# ── keys in the wrong depth ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "services:\n  web:\n  image: x\n",
            "f0.yml:3:3: services.image: must be a mapping, not `x`\n"
            "hint: `image` is a key of services: indent it below one",
        ),
        (
            "services: {web: {image: x}}\nports: ['80']\n",
            "f0.yml:2:1: ports: unknown key\n"
            "hint: `ports` is a key of services: indent it below one",
        ),
        (
            "web:\n  image: x\n",
            "f0.yml:1:1: web: unknown key\nhint: services stand below `services:`: indent it",
        ),
        (
            "services:\n  web:\n    image: x\n  volumes:\n    data:\n",
            "f0.yml:5:5: services.volumes.data: unknown key\n"
            "hint: `volumes` stands below `services`: indent it less",
        ),
        (
            "services:\n  web:\n    image: x\n    healthcheck: {}\n    interval: 5s\n",
            "f0.yml:5:5: services.web.interval: unknown key\n"
            "hint: `interval` is a key of `healthcheck`: indent it below that",
        ),
        (
            "services:\n  web:\n    build:\n      context: .\n      ports: ['80']\n",
            "f0.yml:5:7: services.web.build.ports: unknown key\n"
            "hint: `ports` is a key of `web`: indent it less",
        ),
        (
            "services:\n  volumes:\n    image: x\n    prots: []\n",
            "f0.yml:4:5: services.volumes.prots: unknown key\nhint: did you mean `ports`?",
        ),
    ],
)
def test_a_key_in_the_wrong_depth_is_told_where_it_belongs(complain, text, said):
    assert said in complain(text)


def test_every_file_that_is_wrong_is_told(tmp_path):
    (tmp_path / "bad.yml").write_text("a: [")

    with pytest.raises(SpecError) as refused:
        load_stack(LoadRequest(files=("gone.yml", "bad.yml", "lost.yml"), cwd=tmp_path))

    files = [Path(one.mark.file).name for one in refused.value.problems]
    assert files == ["gone.yml", "bad.yml", "lost.yml"]


def test_two_letters_that_changed_places_are_recognized_in_the_shortest_words():
    assert suggest("bd", ["web", "db"]) == "did you mean `db`?"
    assert suggest("xy", ["web", "db"]) is None
