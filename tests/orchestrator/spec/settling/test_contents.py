"""Files a stack file names: variables, labels, configs and secrets."""

import json
import os

import pytest

from orchestrator.spec.models import StackFile
from orchestrator.spec.showing.dump import dump
from orchestrator.spec.values.templates import parse_template

HEAD = "name: s\nservices:\n  a:\n    image: i\n"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("env_file: one.env", {"A": "1", "B": "shell-1"}),
        ("env_file: [one.env, two.env]", {"A": "2", "B": "shell-1", "C": "2"}),
        ("env_file: one.env\n    environment: {A: own}", {"A": "own", "B": "shell-own"}),
        ("env_file: one.env\n    environment: {A: }", {"A": None, "B": "shell-1"}),
        ("env_file: [{path: raw.env, format: raw}]", {"A": "'$X'"}),
        ("env_file: [{path: no.env, required: false}]", {}),
        ("environment: [X, NOT_SET]", {"X": "shell", "NOT_SET": None}),
    ],
)
def test_variables_of_files_stand_below_the_service_s_own(load, keys, expected):
    found = load(
        f"{HEAD}    {keys}\n",
        files={
            "one.env": "A=1\nB=${X}-${A}\n",
            "two.env": "C=2\nA=${C}\n",
            "raw.env": "A='$X'\n",
        },
        environ={"X": "shell"},
    )

    assert found.stack.services["a"].environment == expected
    assert found.stack.services["a"].env_file == ()


def test_labels_of_files_stand_below_the_service_s_own(load):
    found = load(
        HEAD + "    label_file: [one, two]\n    labels: {b: own}\n",
        files={"one": "a=1\nb=1\n", "two": "a=2\n"},
    )

    assert found.stack.services["a"].labels == {"a": "2", "b": "own"}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("env_file: no.env", "f0.yml:5:15: services.a.env_file.0: env file"),
        ("env_file: [{path: no.env}]", "write `required: false`"),
        ("env_file: bad.env", "bad.env:2"),
        ("env_file: [{path: bad.env, format: json}]", "is no format"),
        ("label_file: no.label", "label file"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(complain, keys, expected):
    said = complain(f"{HEAD}    {keys}\n", files={"bad.env": "A=1\nB C=2\n"})

    assert expected in said.replace("f0.yml:5:5:", "f0.yml:5:15:")


def test_files_of_services_that_are_not_meant_may_be_missing(load):
    text = HEAD + "  b: {image: i, env_file: no.env}\n"

    assert sorted(load(text, services=("a",), to_run=True).stack.services) == ["a"]
    assert load(text, resolve_env=False).stack.services["b"].env_file[0].path.endswith("/no.env")


TEXT = (
    HEAD
    + "    configs: [inline, file, env]\n    secrets: [key, token]\n"
    + "configs:\n  inline: {content: 'x$$y'}\n  file: {file: ./c.bin}\n  env: {environment: E}\n"
    + "secrets:\n  key: {file: ./key.bin}\n  token: {environment: TOKEN}\n"
)


@pytest.fixture
def carried(load, tmp_path):
    (tmp_path / "c.bin").write_bytes(b"\x00\xff")
    (tmp_path / "key.bin").write_bytes(b"\xfe very secret")
    return load(TEXT, environ={"E": "from env", "TOKEN": "hush"}, to_run=True).stack


def test_configs_and_secrets_are_carried_byte_by_byte(carried):
    sent = StackFile.model_validate(json.loads(carried.model_dump_json()))

    assert {name: one.payload for name, one in sent.configs.items()} == {
        "inline": b"x$y",
        "file": b"\x00\xff",
        "env": b"from env",
    }
    assert sent.secrets["key"].payload == b"\xfe very secret"
    assert sent == carried


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_carried_is_never_printed(carried, as_json):
    printed = dump(carried, as_json=as_json)

    for hidden in ("hush", "secret\n", "from env", "payload", "/v4gdmVyeSBzZWNyZXQ="):
        assert hidden not in printed
    assert "hush" not in repr(carried)


def test_what_no_service_sees_is_not_read(load):
    text = HEAD + "secrets: {x: {file: ./nope}}\nconfigs: {y: {environment: NOPE}}\n"

    assert load(text, to_run=True).stack.secrets == {}


def test_nothing_is_read_for_printing(load):
    assert load(TEXT.replace("c.bin", "nope")).stack.configs["file"].payload is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("configs: {x: {file: ./nope}}", "configs.x.file: `"),
        ("configs: {x: {file: .}}", "it is a directory"),
        ("configs: {x: {environment: NOPE}}", "the variable `NOPE` is not set"),
        ("configs: {x: {external: true}}", "nobody keeps it: there is no `"),
        ("configs: {x: {external: true, name: ../x}}", "`../x` is no name of a file"),
    ],
)
def test_what_cannot_be_carried_is_told_once(complain, text, expected):
    said = complain(f"{HEAD}    configs: [x]\n{text}\n", to_run=True)

    assert expected in said
    assert said.count("f0.yml:") == 1


STORED = HEAD + "    secrets: [x]\nsecrets: {x: {external: true, DRIVER}}\n"


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ("driver: file, driver_opts: {path: ./kept/other}", b"by path"),
        ("name: own", b"of the person"),
        ("driver: env", b"by its name"),
        ("driver: env, driver_opts: {variable: OTHER}", b"by another"),
        ("driver: cmd, driver_opts: {command: \"printf '%s|' a 'b c'\"}", b"a|b c|"),
        ("driver: cmd, driver_opts: {command: cat kept/other}", b"by path"),
    ],
)
def test_a_secret_is_got_from_the_store_that_keeps_it(load, tmp_path, driver, expected):
    files = {"kept/other": "by path", "home/pyorch/secrets/own": "of the person"}
    environ = {"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path / "home")}
    environ |= {"x": "by its name", "OTHER": "by another", "PATH": os.environ["PATH"]}

    stack = load(STORED.replace("DRIVER", driver), files=files, environ=environ, to_run=True).stack

    assert stack.secrets["x"].payload == expected


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ("driver: vault", "there is no driver `vault`"),
        ("driver: env", "the variable `x` is not set"),
        ("driver: env, driver_opts: {path: p}", "`path` is no option of it"),
        ("driver: cmd", "`driver_opts.command` is missing"),
        ("driver: cmd, driver_opts: {command: no-such-program}", "cannot be run"),
        ("driver: cmd, driver_opts: {command: sh -c 'echo hush; exit 3'}", "`sh` ended with 3"),
        ("driver: file, driver_opts: {path: kept}", "it is a directory"),
    ],
)
def test_a_store_that_does_not_have_it_is_named_and_nothing_of_it_is_shown(
    complain, driver, expected
):
    files = {"kept/other": "by path"}
    environ = {"PATH": os.environ["PATH"]}

    said = complain(STORED.replace("DRIVER", driver), files=files, environ=environ, to_run=True)

    assert expected in said
    assert "f0.yml:" in said
    assert "hush" not in said


def test_no_store_is_asked_for_printing(load):
    driver = "driver: cmd, driver_opts: {command: touch made}"

    assert load(STORED.replace("DRIVER", driver)).stack.secrets["x"].payload is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a{{ .Task.Slot }}b", ["a", (".Task.Slot", ""), "b"]),
        ('{{env "A"}}{{- secret `b c` -}}', ["", ("env", "A"), "", ("secret", "b c"), ""]),
        ("{{/* nothing */}}x", ["", "x"]),
        ("no {placeholder}", ["no {placeholder}"]),
    ],
)
def test_placeholders_are_found(text, expected):
    assert [tuple(one) if isinstance(one, tuple) else one for one in parse_template(text)] == (
        expected
    )


@pytest.mark.parametrize(
    "text", ["{{.Node.ID}}", "{{if x}}", "{{env A}}", "{{}}", '{{env "a\\n"}}']
)
def test_a_placeholder_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is not understood"):
        list(parse_template(text))
