"""What a YAML file means, and where in it everything stands."""

import math

import pytest

from orchestrator.spec.problems import SpecError
from orchestrator.spec.reading.yaml import Tagged, parse


def load(text):
    """Return the content of the only document of a text."""
    (document,) = parse(text, "f.yml")
    return document.content


def complaints(text):
    """Return what is said about a text, line by line, without the name of the file."""
    with pytest.raises(SpecError) as refused:
        parse(text, "f.yml")
    return [str(problem).removeprefix("f.yml:") for problem in refused.value.problems]


# ── scalars ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "no", "on", "off", "y", "n", "Yes", "NO", "tRUE", "nULL"),
        *("22:22", "1:30:00", "2024-01-31", "2024-01-31T10:00:00Z"),
        *("0x", "0b2", "0o9", "1e", "1.2.3", "5m", "1,5", ".", "+", "--1", "1_a", "_1", "1 2"),
        *("1e999", "9" * 400, "0x1g", "+.nan", ".INf", "a=b", "٣"),
    ],
)
def test_what_is_no_number_and_no_word_of_yaml_1_2_is_text(text):
    assert load(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("0", 0), ("7", 7), ("-7", -7), ("+7", 7), ("1_000", 1000)),
        *(("017", 15), ("0440", 288), ("0o440", 288), ("-0o7", -7), ("00", 0)),
        *(("0x1F", 31), ("0X1f", 31), ("0b101", 5), ("-0x10", -16)),
        *((str(2**64 - 1), 2**64 - 1), (str(-(2**63)), -(2**63))),
    ],
)
def test_integers_are_read_in_every_base(text, number):
    found = load(f"a: {text}")["a"]

    assert found == number
    assert type(found) is int


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("-1.5e3", -1500.0), ("1e3", 1000.0)),
        *(("08", 8.0), ("09.5", 9.5), (".inf", math.inf), ("-.Inf", -math.inf)),
        *((str(2**64), 2.0**64), ("1_0.5", 10.5)),
    ],
)
def test_floats_are_read(text, number):
    found = load(f"a: {text}")["a"]

    assert found == number
    assert type(found) is float


def test_not_a_number_and_minus_zero_are_read():
    assert math.isnan(load(".nan"))
    assert math.copysign(1, load("-0")) == -1


def test_nothing_true_and_false_are_what_yaml_1_2_calls_so():
    text = "[~, null, Null, NULL, true, True, TRUE, false, False, FALSE]"

    assert load(text) == [None, None, None, None, True, True, True, False, False, False]
    assert load("a:\nb: ''\n") == {"a": None, "b": ""}


@pytest.mark.parametrize("text", ["'1'", '"true"', "|-\n  null", ">-\n  0x1f", "! 12", "!!str 12"])
def test_what_is_quoted_or_called_text_is_text(text):
    assert isinstance(load(f"a: {text}")["a"], str)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("!!int '5'", 5), ("!!int 0x10", 16), ("!!float 5", 5.0), ("!!float 1e3", 1000.0)),
        *(("!!bool true", True), ("!!null ''", None), ("!!null ~", None)),
        *(("!!binary aGVsbG8=", "hello"), ("!!binary |\n  aGVs\n  bG8=", "hello")),
        *(("!!map {b: 1}", {"b": 1}), ("!!seq [1]", [1]), ("!<tag:yaml.org,2002:str> 1", "1")),
    ],
)
def test_a_standard_tag_is_obeyed(text, value):
    found = load(f"a: {text}")["a"]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("!!int x", "1:4: a: `x` is no `!!int`"),
        ("!!int 1.5", "1:4: a: `1.5` is no `!!int`"),
        ("!!bool yes", "1:4: a: `yes` is no `!!bool`"),
        ("!!bool 1", "1:4: a: `1` is no `!!bool`"),
        ("!!null x", "1:4: a: `x` is no `!!null`"),
        ("!!binary '?'", "1:4: a: not base64, as `!!binary` must be"),
        ("!!binary /w==", "1:4: a: a `!!binary` value must be UTF-8 text"),
        ("!!timestamp 2024-01-31", "1:4: a: tag `!!timestamp` is not allowed here"),
        ("!!map []", "1:4: a: tag `!!map` is not allowed here"),
        ("!!set {b}", "1:4: a: tag `!!set` is not allowed here"),
        ("!mine x", "1:4: a: tag `!mine` is not allowed here"),
        ("!!python/object/apply:os.system [id]", "`!!python/object/apply:os.system`"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(text, complaint):
    (said,) = complaints(f"a: {text}\n")

    assert complaint in said


def test_who_uses_a_strange_tag_is_told_which_there_are():
    with pytest.raises(SpecError) as refused:
        parse("a: !mine x", "f.yml")

    for tag in ("!reset", "!override", "!!str", "!!binary"):
        assert f"`{tag}`" in refused.value.hint


# ── mappings ─────────────────────────────────────────────────────────────────────────────────


def test_keys_keep_their_order():
    assert list(load("{z: 1, a: 2, m: 3}")) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("text", "key"),
    [("true: x", "true"), ("FALSE: x", "false"), ("'1': x", "1"), ("!!str 1: x", "1"),
     ("no: x", "no"), ("22:22: x", "22:22"), ("'': x", ""), ("? k\n: x", "k")],
)  # fmt: skip
def test_keys_are_text(text, key):
    assert load(text) == {key: "x"}


@pytest.mark.parametrize("key", ["1", "0x1", "1.5", ".inf", "~", "null"])
def test_a_number_or_nothing_is_no_key(key):
    (said,) = complaints(f"services:\n  {key}: x\n")

    assert said.startswith("2:3: services: ")
    assert "must be text" in said


@pytest.mark.parametrize("key", ["{a: b}", "[a]", "{{ x }}"])
def test_a_collection_is_no_key(key):
    assert "must be text" in complaints(f"? {key}\n: x\n")[0]


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3\n", "a: 1\nb: 2\n'a': 3\n", "a: 1\nb: &k a\n*k : 3\n"]
)
def test_a_key_given_twice_is_an_error_that_names_both_lines(text):
    assert complaints(text) == ["3:1: a: key `a` is given twice, first in line 1"]


def test_keys_that_mean_the_same_are_the_same_key():
    assert "given twice" in complaints("true: 1\n'true': 2\n")[0]


def test_every_mistake_is_told_also_when_the_file_ends_in_nonsense():
    said = complaints("a: !x 1\nb: 1\nb: 2\n1: 3\nc: d: e\n")

    assert [one.split(":")[0] for one in said] == ["1", "3", "4", "5"]


def test_mistakes_are_told_up_to_a_number():
    assert len(complaints("".join(f"{number}: x\n" for number in range(1000)))) == 50


# ── aliases and merge keys ───────────────────────────────────────────────────────────────────


def test_an_alias_is_what_its_anchor_marks():
    assert load("a: &x {k: [1]}\nb: *x\nc: [*x]\n")["c"] == [{"k": [1]}]


def test_a_later_anchor_of_the_same_name_counts_from_then_on():
    assert load("a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_an_anchor_may_mark_a_key():
    assert load("&x a: 1\nb: *x\n") == {"a": 1, "b": "a"}


def test_anchors_end_with_their_document():
    assert complaints("a: &x 1\n---\nb: *x\n") == ["3:4: b: alias `*x` is not defined above"]


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: *x}", "a: &x {<<: *x}", "&x [[*x]]"])
def test_an_alias_of_what_it_stands_in_is_an_error(text):
    assert "contains itself" in complaints(text)[0]


def test_own_keys_win_over_merged_ones_wherever_the_merge_stands():
    base = "x: &x {a: 1, b: 1}\n"

    assert load(base + "y: {<<: *x, a: 2}\n")["y"] == {"a": 2, "b": 1}
    assert load(base + "y: {a: 2, <<: *x}\n")["y"] == {"a": 2, "b": 1}


def test_of_merged_mappings_the_first_wins():
    text = "x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz: {<<: [*x, *y, {b: 3, c: 3}]}\n"

    assert load(text)["z"] == {"a": 1, "b": 2, "c": 3}


def test_a_merge_is_not_deep():
    assert load("x: &x {a: {b: 1}}\ny: {<<: *x, a: {c: 2}}\n")["y"] == {"a": {"c": 2}}


def test_merges_pass_on_what_they_merged():
    text = "x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nz: {<<: *y, c: 3}\n"

    assert load(text)["z"] == {"c": 3, "b": 2, "a": 1}


def test_a_merge_does_not_change_what_is_merged():
    assert load("x: &x {a: 1}\ny: {<<: *x, b: 2}\n")["x"] == {"a": 1}


def test_a_quoted_merge_key_is_a_key():
    assert load("{'<<': {a: 1}}") == {"<<": {"a": 1}}
    assert load("{!!merge '<<': {a: 1}}") == {"a": 1}


@pytest.mark.parametrize("value", ["1", "~", "text", "[1]", "[{a: 1}, b]", "[[{a: 1}]]"])
def test_only_mappings_can_be_merged(value):
    assert "`<<` needs a mapping" in complaints(f"a: {{<<: {value}}}")[0]


def test_two_merge_keys_in_one_mapping_are_one_too_many():
    assert complaints("<<: {a: 1}\nb: 1\n<<: {c: 1}\n") == [
        "3:1: <<: key `<<` is given twice, first in line 1"
    ]


# ── !reset and !override ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!reset null", Tagged("!reset", None)),
        ("!reset", Tagged("!reset", None)),
        ("!reset []", Tagged("!reset", [])),
        ("!override [a]", Tagged("!override", ["a"])),
        ("!override 5", Tagged("!override", 5)),
        ("!override '5'", Tagged("!override", "5")),
    ],
)
def test_a_value_may_say_how_it_is_merged(text, value):
    assert load(f"a: {text}\n") == {"a": value}


def test_an_alias_of_a_tagged_value_is_tagged():
    assert load("a: &x !override [1]\nb: *x\n")["b"] == Tagged("!override", [1])


def test_a_merge_passes_tags_on():
    assert load("x: &x {a: !reset null}\ny: {<<: *x, b: 1}\n")["y"] == {
        "b": 1,
        "a": Tagged("!reset", None),
    }


def test_a_tag_on_what_is_merged_speaks_of_the_mapping_it_is_merged_into():
    text = "x: &x !override {a: 1}\nr: &r !reset {a: 1}\ny: {<<: *x, b: 1}\nz: {<<: *r, b: 1}\n"

    assert load(text)["y"] == Tagged("!override", {"b": 1, "a": 1})
    assert load(text)["z"] == Tagged("!override", {"b": 1})


# ── documents and text ───────────────────────────────────────────────────────────────────────


def test_a_file_may_hold_several_documents():
    found = parse("a: 1\n---\nb: 2\n...\n---\n", "f.yml")

    assert [document.content for document in found] == [{"a": 1}, {"b": 2}, None]
    assert parse("", "f.yml") == []
    assert parse("# nothing\n", "f.yml") == []


@pytest.mark.parametrize("text", ["\ufeffa: 1\nb: 2\n", "a: 1\r\nb: 2\r\n", "a: 1\rb: 2\r"])
def test_byte_order_marks_and_line_ends_do_not_matter(text):
    (document,) = parse(text, "f.yml")

    assert document.content == {"a": 1, "b": 2}
    assert str(document.mark(("b",))) == "f.yml:2:1"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: b: c\n", "1:5: not valid YAML: mapping values are not allowed in this context"),
        ("a:\n\tb: 1\n", "2:1: a: not valid YAML: found character that cannot start any token"),
        ("a: 1\nb: x\0\n", "2:5: a NUL byte"),
        ("a: \x1b[31m\n", "1:4: control character U+001B"),
        ("a: \ud800\n", "1:4: control character U+D800"),
        ("a: 1\n\ufeffb: 2\n", "2:1: a byte order mark in the middle of the file"),
        ("a: 'x\n\ny\n", "4:1: a: not valid YAML: found unexpected end of stream"),
        ("a: [1,\n2", "2:2: a.2: not valid YAML: did not find expected ',' or ']'"),
    ],
)
def test_what_is_not_yaml_is_told_with_line_and_column(text, complaint):
    assert complaints(text)[0].startswith(complaint)


def test_a_tab_is_explained():
    with pytest.raises(SpecError) as refused:
        parse("a:\n\tb: 1\n", "f.yml")

    assert "tabs" in refused.value.hint


# ── positions ────────────────────────────────────────────────────────────────────────────────

STACK = """\
x-base: &base
  restart: always
  deploy: {replicas: 2}
services:
  web:
    <<: *base
    image: &image é漢x
    ports:
      - "80"
      -   target: 81
  db:
    image: *image
"""


@pytest.fixture
def stack():
    (document,) = parse(STACK, "f.yml")
    return document


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ("", "1:1", "1:1"),
        ("services", "4:1", "5:3"),
        ("services.web.image", "7:5", "7:12"),
        ("services.web.ports", "8:5", "9:7"),
        ("services.web.ports.0", "9:9", "9:9"),
        ("services.web.ports.1.target", "10:11", "10:19"),
        ("services.web.restart", "2:3", "2:12"),
        ("services.web.deploy.replicas", "3:12", "3:22"),
        ("services.db.image", "12:5", "7:12"),
        ("services.db.nothing.here", "11:3", "12:5"),
        ("services.web.ports.7", "8:5", "9:7"),
        ("services.web.ports.x", "8:5", "9:7"),
    ],
)
def test_everything_stands_where_it_is_written(stack, path, key, value):
    parts = tuple(path.split(".")) if path else ()

    assert str(stack.mark(parts)) == f"f.yml:{key}"
    assert str(stack.value_mark(parts)) == f"f.yml:{value}"


def paths(value, above=()):
    yield above
    inner = value.value if isinstance(value, Tagged) else value
    parts = inner.items() if isinstance(inner, dict) else ()
    parts = enumerate(inner) if isinstance(inner, list) else parts
    for key, below in parts:
        yield from paths(below, (*above, str(key)))


def test_every_part_of_the_content_has_a_mark_and_nothing_else_has(stack):
    assert set(stack.marks) == set(paths(stack.content))
    assert len(stack.marks) == len(set(stack.marks))
    assert all(stack.marks[path] == stack.mark(path) for path in stack.marks)
    assert ("nowhere",) not in stack.marks
