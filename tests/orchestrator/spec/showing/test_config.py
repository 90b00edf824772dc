"""``pyorch config``: what is printed, and that it can be read again."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.cli import run as run_command
from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.spec.models import Service, StackFile
from orchestrator.spec.showing.dump import dump
from tests.orchestrator.spec.examples import FULL


@pytest.fixture
def config(write, tmp_path, monkeypatch, capsys):
    """Run `pyorch config` beside a file, and return what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))

    def config(text, *args, before=()):
        write({"compose.yaml": text, "key": "hush"})
        code = run_command([*before, "config", *args])
        printed = capsys.readouterr()
        config.warned = printed.err
        assert code == 0, printed.err
        return printed.out

    return config


SMALL = (
    "name: s\nservices:\n  b: {image: 'b:${TAG:-1}', profiles: [p]}\n"
    "  a: {build: ., depends_on: [c], volumes: ['./x:/x'], env_file: a.env}\n"
    "  c: {image: 'b:1', networks: [net], volumes: ['vol:/v']}\n"
    "networks: {net: }\nvolumes: {vol: }\n"
)


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_printed_is_read_to_the_same(config, form):
    first = config(FULL, "--format", form, before=("--profile", "*"))

    assert config(first, "--format", form, before=("--profile", "*")) == first
    assert "hush" not in first


def test_both_formats_say_the_same(config):
    printed = config(FULL, "--format", "json", before=("--profile", "*"))

    people = config(FULL, before=("--profile", "*")).replace("    x-own:\n      y: 1\n", "")

    assert config(printed, before=("--profile", "*")) == people


def test_extensions_are_kept_for_people(config):
    printed = config(FULL, before=("--profile", "*"))

    assert "x-top" in printed
    assert "x-own" in printed
    assert "$$5" in printed


@pytest.mark.parametrize(
    ("args", "lines"),
    [
        (["--services"], ["a", "c"]),
        (["--images"], ["b:1", "s-a"]),
        (["--networks"], ["default", "net"]),
        (["--volumes"], ["vol"]),
        (["--profiles"], ["p"]),
        (["--services", "a"], ["a", "c"]),
        (["--services", "b"], ["b"]),
        (["--services", "--no-interpolate"], ["b", "a", "c"]),
    ],
)
def test_names_are_listed_one_a_line(config, args, lines):
    assert config(SMALL, *args).splitlines() == lines


def test_nothing_is_printed_when_only_checking(config):
    assert config(SMALL.replace(", env_file: a.env", ""), "-q") == ""


def test_it_is_written_to_a_file(config, tmp_path):
    assert config("name: s\nservices: {a: {image: i}}\n", "-o", "out.yaml") == ""
    assert "image: i" in (tmp_path / "out.yaml").read_text()


def test_variables_are_listed_with_what_stands_in_for_them(config):
    text = "name: s\nservices: {a: {image: '${A:-x}', user: '${B:?no}', hostname: '${C:+y}$D'}}\n"

    found = json.loads(config(text, "--variables", "--format", "json"))

    assert found == {
        name: {
            "Name": name,
            "DefaultValue": default,
            "PresenceValue": presence,
            "Required": required,
        }
        for name, default, presence, required in [
            ("A", "x", "", False),
            ("B", "", "", True),
            ("C", "", "y", False),
            ("D", "", "", False),
        ]
    }
    assert config(text, "--variables").splitlines()[1].split() == ["A", "false", "x"]


def test_the_environment_is_listed(config, monkeypatch):
    monkeypatch.setenv("SHOWN", "yes")

    printed = config("name: s\nservices: {a: {image: i}}\n", "--environment").splitlines()

    assert "SHOWN=yes" in printed
    assert "COMPOSE_PROJECT_NAME=s" in printed
    assert printed == sorted(printed)


def test_a_hash_changes_with_what_needs_a_new_container_and_with_nothing_else(config):
    def hashed(more):
        text = f"name: s\nservices: {{a: {{image: i{more}}}, b: {{image: i}}}}\n"
        return config(text, "--hash", "a").split()

    assert hashed("")[0] == "a"
    assert hashed("") == hashed(", profiles: []") == hashed(", depends_on: [b]")
    assert hashed("") != hashed(", user: u")
    every = config("name: s\nservices: {a: {image: i}, b: {image: j}}\n", "--hash", "*")
    assert [line.split()[0] for line in every.splitlines()] == ["a", "b"]


@pytest.mark.parametrize(
    ("flag", "kept", "gone"),
    [
        ("--no-interpolate", "b:${TAG:-1}", "b:1\n    profiles"),
        ("--no-normalize", "context: ", "dockerfile"),
        ("--no-path-resolution", "source: ./x", "source: /"),
        ("--no-env-resolution", "env_file:", "FROM_FILE"),
    ],
)
def test_a_step_can_be_left_out(config, write, flag, kept, gone):
    write({"a.env": "FROM_FILE=1\n"})

    printed = config(SMALL, flag, before=("--profile", "p"))

    assert kept in printed
    assert gone not in printed


def test_contradictions_can_be_printed(config):
    text = "name: s\nservices: {a: {networks: [nowhere]}}\n"

    assert "nowhere" in config(text, "--no-consistency")
    with pytest.raises(AssertionError, match="undeclared network"):
        config(text)


def test_warnings_are_told_once_and_apart(config):
    service = "{image: i$X, cpu_count: 1}"

    config(f"version: '3'\nname: s\nservices: {{a: {service}, b: {service}}}\n")

    assert config.warned.splitlines() == [
        "warning: compose.yaml:3:16: services.a.image: the variable `X` is not set,"
        " a blank string is used",
        "warning: compose.yaml: `version` is obsolete and ignored",
        "warning: services.a.cpu_count: accepted, but it is of Windows only",
    ]


@given(text=st.text(st.characters(blacklist_categories=["Cs", "Cc"])), as_json=st.booleans())
@example(text="1e3", as_json=False)
@example(text="0o17", as_json=False)
@example(text="017", as_json=False)
@example(text="no", as_json=False)
@example(text="~", as_json=False)
@example(text="<<", as_json=False)
@example(text="=", as_json=False)
@example(text="22:22", as_json=False)
@example(text="2024-01-01", as_json=False)
@example(text="$A ${B} $$", as_json=False)
@example(text=" a\n b\n\n", as_json=False)
@example(text="\ta: b #c", as_json=True)
def test_any_text_survives_being_printed_and_read(text, as_json):
    service = Service.model_validate(
        {"image": "i", "environment": {"A": text}, "command": [text], "labels": {"l": text}}
    )
    stack = StackFile.model_validate({"name": "s", "services": {"a": service}})

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "compose.yaml")
        path.write_text(dump(stack, as_json=as_json))
        request = LoadRequest(files=(str(path),), cwd=Path(folder), to_run=False)
        found = load_stack(request).stack.services["a"]

    assert found.environment == {"A": text}
    assert found.command == (text,)
    assert found.labels == {"l": text}


def test_dollars_of_keys_are_printed_as_they_are_and_read_again(load):
    text = "services: {a: {image: i, labels: {'a$b': 'c$$d'}}}"

    printed = dump(load(text).stack)

    assert "a$b: c$$d" in printed
    assert load(printed).stack.services["a"].labels == {"a$b": "c$d"}


def test_config_answers_to_the_name_it_has_elsewhere(tmp_path, monkeypatch, capsys):
    (tmp_path / "compose.yaml").write_text("name: x\nservices: {a: {image: i}}")
    monkeypatch.chdir(tmp_path)

    assert [run_command(["convert", "--services"]), capsys.readouterr().out] == [0, "a\n"]


def test_a_dependency_that_may_be_missing_and_is_does_not_stand_in_the_way_of_reading_again(load):
    stack = load("""
services:
  a: {image: i, depends_on: {b: {condition: service_started, required: false}}}
  b: {image: i, profiles: [more]}
""").stack

    assert "depends_on" not in dump(stack)
    assert load(dump(stack)).stack.services.keys() == {"a"}
    assert json.loads(dump(stack, as_json=True))["services"]["a"]["depends_on"].keys() == {"b"}
