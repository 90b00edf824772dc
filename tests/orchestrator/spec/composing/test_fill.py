"""Variables put in, and texts read as the numbers and truths they stand for."""

import pytest

HEAD = "name: s\nservices:\n  a:\n    image: i\n"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("scale", "2", 2),
        ("cpus", "1.5", 1.5),
        ("cpu_shares", "-1", -1),
        ("privileged", "yes", True),
        ("read_only", "OFF", False),
        ("init", "true", True),
        ("oom_score_adj", "+7", 7),
    ],
)
def test_a_variable_becomes_what_is_wanted_where_it_stands(load, key, text, value):
    found = load(f"{HEAD}    {key}: ${{X}}\n", environ={"X": text})

    assert getattr(found.stack.services["a"], key) == value


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("scale", "x", "`x` is no integer"),
        ("scale", "", "`` is no integer"),
        ("scale", "1_000", "is no integer"),
        ("cpus", "1_0", "is no number"),
        ("tty", "maybe", "is neither true nor false"),
    ],
)
def test_what_a_variable_comes_to_is_told(complain, key, text, expected):
    said = complain(f"{HEAD}    {key}: ${{X}}\n", environ={"X": text})

    assert (
        f"f0.yml:5:5: services.a.{key}: {expected}".replace("``", "``") in said or expected in said
    )
    assert "it is what `${X}` comes to" in said


def test_an_odd_truth_is_read_and_told(load):
    found = load(HEAD + "    tty: 'yes'\n")

    assert found.stack.services["a"].tty
    assert found.warnings == ("f0.yml:5:5: `yes` is no boolean of YAML 1.2; write true or false",)


def test_a_variable_that_is_not_set_is_told_once(load):
    found = load(HEAD + "    command: $A $A ${B-} ${B:+x}\n    user: $A\n")

    assert found.warnings == (
        "f0.yml:5:5: services.a.command: the variable `A` is not set, a blank string is used",
    )


def test_values_are_filled_and_keys_are_not(load):
    text = HEAD + "    labels: {$A: $A}\n    environment: ['$A=$A']\nx-$A: $A\n"

    found = load(text, environ={"A": "v"}).stack

    assert found.services["a"].labels == {"$A": "v"}
    assert found.services["a"].environment == {"v": "v"}
    assert found.model_extra == {"x-$A": "v"}


def test_a_value_stays_one_value(load):
    text = HEAD + "    hostname: ${X}\n"

    found = load(text, environ={"X": "h\n    privileged: true"}).stack.services["a"]

    assert (found.hostname, found.privileged) == ("h\n    privileged: true", False)


def test_variables_can_be_left_alone(load):
    found = load(HEAD + "    user: ${A:?}\n    command: a $$ b\n", interpolate=False)

    assert found.stack.services["a"].user == "${A:?}"
    assert found.stack.services["a"].command == ("a", "$$", "b")


def test_every_broken_variable_is_told(complain):
    said = complain(HEAD + "    user: ${A\n    command: ${B:?set B}\n    hostname: ${C}\n")

    assert "f0.yml:5:" in said
    assert "f0.yml:6:" in said
    assert "set B" in said
    assert "hostname" not in said
