"""`!reset` and `!override`: what is taken away from the file below."""

import pytest

BASE = (
    "name: s\nservices:\n  a:\n    image: i\n    ports: ['1:1', '2:2']\n"
    "    environment: {A: 1, B: 2}\n    command: [x]\n    networks: {n: {aliases: [q]}}\n"
    "networks: {n: }\n"
)


@pytest.mark.parametrize(
    ("over", "key", "expected"),
    [
        ("{ports: !reset []}", "ports", ()),
        ("{ports: !reset }", "ports", ()),
        ("{ports: !override ['3:3']}", "ports", ("3",)),
        ("{environment: {A: !reset }}", "environment", {"A": "1", "B": "2"}),
        ("{environment: !override {C: 3}}", "environment", {"C": "3"}),
        ("{command: !reset }", "command", None),
    ],
)
def test_what_is_below_is_taken_away(load, over, key, expected):
    found = getattr(load(BASE, f"services: {{a: {over}}}\n").stack.services["a"], key)
    if key == "ports":
        found = tuple(port.published for port in found)

    if "A: !reset" in over:  # below a tag is a mapping: there the key can be taken out
        assert found == {"B": "2"}
    else:
        assert found == expected


def test_a_whole_service_can_be_taken_away(load):
    found = load(BASE + "---\nservices: {b: {image: j}}\n", "services: {a: !reset }\n")

    assert sorted(found.stack.services) == ["b"]


def test_a_tag_behind_an_alias_or_a_merge_counts_where_it_is_used(load):
    over = "x-p: &p {ports: !override ['9:9']}\nservices: {a: {<<: *p}}\n"

    found = load(BASE, over).stack.services["a"].ports

    assert [port.published for port in found] == ["9"]


def test_it_works_on_what_is_extended(load):
    text = (
        "name: s\nservices:\n  base: {image: i, ports: ['1:1'], cap_add: [A]}\n"
        "  a: {extends: base, ports: !reset [], cap_add: !override [B]}\n"
    )
    found = load(text).stack.services["a"]

    assert (found.ports, found.cap_add) == ((), ("B",))


def test_it_works_on_what_an_extended_file_extends_itself(load):
    found = load(
        "name: s\nservices: {a: {extends: {file: b.yml, service: b}, cap_add: [Z]}}\n",
        files={
            "b.yml": "services: {b: {extends: {file: c.yml, service: c},"
            " cap_add: !override [Y]}}\n",
            "c.yml": "services: {c: {image: i, cap_add: [X], cap_drop: [X]}}\n",
        },
    ).stack.services["a"]

    assert (found.cap_add, found.cap_drop) == (("Y", "Z"), ("X",))


def test_it_works_on_what_is_included(load):
    found = load(
        "name: s\ninclude: [sub/compose.yml]\n"
        "services: {a: {cap_add: !override [B], cap_drop: !reset []}}\n",
        files={
            "sub/compose.yml": "services: {a: {image: i, cap_add: [A], cap_drop: [A]}}\n",
        },
    ).stack.services["a"]

    assert (found.cap_add, found.cap_drop) == (("B",), ())
