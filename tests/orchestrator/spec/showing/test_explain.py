"""``pyorch config --explain``: where a value was set, by what, over what."""

import json

import pytest

from orchestrator.cli import run as run_command
from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.spec.showing.dump import document_of
from orchestrator.spec.showing.explain import explain as explained
from orchestrator.spec.showing.lookup import named
from tests.orchestrator.spec.examples import FULL

HEAD = "name: s\nservices:\n  a:\n    image: i\n"


@pytest.fixture
def explain(write, tmp_path, monkeypatch, capsys):
    """Run `pyorch config --explain` beside files; return what it prints."""

    def explain(files, path, *args, environ=None, before=(), code=0):
        write({"compose.yaml": files} if isinstance(files, str) else files)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PWD", str(tmp_path))
        for name, value in (environ or {}).items():
            monkeypatch.setenv(name, value)
        ended = run_command([*before, "config", "--explain", path, *args])
        printed = capsys.readouterr()
        assert ended == code, printed
        return printed.err if code else printed.out

    return explain


@pytest.fixture
def lines(explain):
    """Return what is said, as pairs of a word and what stands behind it."""

    def lines(*args, **more):
        _, *rest = explain(*args, **more).splitlines()
        return [tuple(line.split(None, 1)) for line in rest if not line.startswith("    ")]

    return lines


OVERRIDDEN = {
    "compose.yaml": "services:\n  a:\n    image: one\n    user: u\n    ports: ['1:1']\n",
    "compose.override.yml": "services:\n  a:\n    image: two\n    ports: ['2:2']\n",
}


def test_a_value_of_the_file_itself(explain):
    assert explain(HEAD, "services.a.image") == (
        "services.a.image = i\n"
        "  what  string: What it runs from.\n"
        "  set   compose.yaml:4:5 (the file itself)\n"
    )


@pytest.mark.parametrize("path", ["services.a.ports[1].target", "services.a.ports.1.target"])
def test_entries_of_lists_are_counted_in_either_writing(explain, path):
    said = explain(OVERRIDDEN, path)

    assert said.startswith("services.a.ports[1].target = 2\n")
    assert "compose.override.yml:4:13 (override file)" in said


def test_an_override_file_and_what_it_hides(lines):
    found = lines(OVERRIDDEN, "services.a.image")

    assert ("set", "compose.override.yml:3:5 (override file)") in found
    assert [text for word, text in found if word == "over"] == [
        "compose.yaml:3:5 (the file itself; a later file lies over it): one"
    ]


def test_everything_that_is_hidden_is_told_the_most_recent_first(lines):
    files = {f"{name}.yml": f"services: {{a: {{image: {name}}}}}\n" for name in ("x", "y", "z")}
    found = lines(
        {**files, "compose.yaml": ""}, "services.a.image",
        before=("-f", "x.yml", "-f", "y.yml", "-f", "z.yml"),
    )  # fmt: skip

    assert [text.split()[0] for word, text in found if word in ("set", "over")] == [
        "z.yml:1:16",
        "y.yml:1:16",
        "x.yml:1:16",
    ]
    assert [text.split(": ")[-1] for word, text in found if word == "over"] == ["y", "x"]


def test_what_is_extended_is_told_with_the_place_that_says_so(lines):
    files = {
        "compose.yaml": (
            "services:\n  a:\n    extends: {file: sub/b.yml, service: b}\n    user: mine\n"
        ),
        "sub/b.yml": (
            "services:\n  b:\n    extends: c\n    user: theirs\n  c: {image: i, hostname: h}\n"
        ),
    }
    user = lines(files, "services.a.user")

    assert ("set", "compose.yaml:4:5 (the file itself)") in user
    assert (
        "over",
        "sub/b.yml:4:5 (extends `b` (compose.yaml:3:5);"
        " the service that extends it says otherwise): theirs",
    ) in user
    assert (
        "set",
        "sub/b.yml:5:17 (extends `c` (sub/b.yml:3:5), then extends `b` (compose.yaml:3:5))",
    ) in lines(files, "services.a.hostname")


def test_what_is_included_is_told_with_the_place_that_says_so(lines):
    files = {
        "compose.yaml": "include: [sub/c.yml]\nservices:\n  b:\n    user: mine\n",
        "sub/c.yml": "services:\n  b:\n    image: 'i:${TAG}'\n    user: theirs\n",
        "sub/.env": "# a comment\nTAG=7\n",
    }
    image = lines(files, "services.b.image")

    assert ("set", "sub/c.yml:3:5 (include (compose.yaml:1:11))") in image
    assert ("written", "i:${TAG}") in image
    assert ("$TAG", "sub/.env:2:1 (env file of an include)") in image
    assert (
        "over",
        "sub/c.yml:4:5 (include (compose.yaml:1:11);"
        " the file that includes it says otherwise): theirs",
    ) in lines(files, "services.b.user")


def test_variables_of_env_files_are_told_with_file_and_line(lines):
    files = {
        "compose.yaml": HEAD
        + "    environment:\n    - ONE=x\n    - MINE=m\n    env_file: [a, b]\n",
        "a": "ONE=1\nTWO=2\n",
        "b": "\nTWO=two\nMINE=no\n",
    }
    two = lines(files, "services.a.environment.TWO")
    mine = lines(files, "services.a.environment.MINE")

    assert ("set", "b:2:1 (env_file)") in two
    assert ("over", "a:2:1 (env_file; a later env file wins): 2") in two
    assert ("set", "compose.yaml:7:7 (the file itself)") in mine
    assert ("over", "b:3:1 (env_file; `environment` wins over `env_file`): no") in mine


def test_a_label_of_a_file_is_told_with_file_and_line(lines):
    files = {"compose.yaml": HEAD + "    label_file: l\n", "l": "com.example.a=1\n"}

    assert ("set", "l:1:1 (label_file)") in lines(files, "services.a.labels.com.example.a")
    assert ("set", "l:1:1 (label_file)") in lines(files, "services.a.labels['com.example.a']")


ASKING = HEAD.replace("image: i", "image: 'i:${TAG:-${OTHER-x}}'")


@pytest.mark.parametrize(
    ("dotenv", "args", "environ", "expected"),
    [
        ("", (), {"TAG": "1"}, [("$TAG", "shell"), ("$OTHER", "not set; default `x`")]),
        ("A=1\nTAG=2\n", (), {}, [("$TAG", ".env:2:1 (.env file)")]),
        ("TAG=2\n", (), {"TAG": "1"}, [("$TAG", "shell")]),
        ("TAG=2\n", ("--env-file", "e"), {}, [("$TAG", "e:1:1 (--env-file)")]),
        ("TAG=2\n", (), {"COMPOSE_ENV_FILES": "e"}, [("$TAG", "e:1:1 (COMPOSE_ENV_FILES)")]),
        ("", (), {}, [("$TAG", "not set; default `${OTHER-x}` written at compose.yaml:4:5")]),
        ("TAG=\n", (), {}, [("$TAG", ".env:1:1 (.env file), blank; default `${OTHER-x}`")]),
    ],
)  # fmt: skip
def test_every_variable_is_told_with_its_origin(lines, dotenv, args, environ, expected):
    files = {"compose.yaml": ASKING, ".env": dotenv, "e": "TAG=3\n"}
    found = dict(lines(files, "services.a.image", environ=environ, before=args))

    for name, origin in expected:
        assert found[name].startswith(origin)
    assert found["written"] == "i:${TAG:-${OTHER-x}}"


def test_of_several_env_files_the_earlier_line_is_told_too(lines):
    files = {"compose.yaml": ASKING, "e": "TAG=3\n", "f": "TAG=4\n"}
    found = dict(lines(files, "services.a.image", before=("--env-file", "e", "--env-file", "f")))

    assert found["$TAG"] == "f:1:1 (--env-file), over e:1:1"


@pytest.mark.parametrize("given", ["['FROM']", "{FROM: }"])
def test_a_variable_that_is_passed_on_is_told_with_its_origin(lines, given):
    found = lines(HEAD + f"    environment: {given}\n", "services.a.environment.FROM",
                  environ={"FROM": "here"})  # fmt: skip

    assert ("written", "FROM") in found
    assert ("$FROM", "shell") in found


def test_a_default_is_told_as_one(explain):
    assert explain(HEAD, "services.a.read_only").endswith("  set   default: nothing sets it\n")


def test_what_is_filled_in_is_told_as_such(lines):
    text = HEAD + "    ports: [{target: 80}]\n"

    assert ("set", "filled in: what leaving it out means") in lines(
        text, "services.a.ports[0].protocol"
    )
    assert ("set", "filled in: the stack's name and the key") in lines(
        text, "networks.default.name"
    )


def test_the_implicit_network_is_told_as_such(lines):
    assert ("set", "implicit network: services that name none share it") in lines(
        HEAD, "networks.default"
    )
    assert ("set", "implicit network: the service names none") in lines(
        HEAD, "services.a.networks.default"
    )


def test_an_implied_dependency_is_told_with_what_implies_it(lines):
    text = HEAD + "    links: [b]\n  b: {image: i}\n"

    assert ("set", "compose.yaml:5:5 (implied by `links`)") in lines(
        text, "services.a.depends_on.b"
    )


@pytest.mark.parametrize(
    ("files", "before", "environ", "expected"),
    [
        (HEAD, ("-p", "q"), {}, ["command line: -p", "compose.yaml:1:1 (the file itself)"]),
        (HEAD, (), {"COMPOSE_PROJECT_NAME": "q"}, ["COMPOSE_PROJECT_NAME: shell"]),
        (
            {"compose.yaml": HEAD, ".env": "COMPOSE_PROJECT_NAME=q\n"}, (), {},
            ["COMPOSE_PROJECT_NAME: .env:1:1 (.env file)"],
        ),
        (HEAD, (), {}, ["compose.yaml:1:1 (the file itself)"]),
        ("services: {a: {image: i}}\n", (), {}, ["filled in: the name of the stack's directory"]),
    ],
)  # fmt: skip
def test_the_stack_s_name_is_told_with_what_gave_it(lines, files, before, environ, expected):
    found = lines(files, "name", before=before, environ=environ)
    told = [text for word, text in found if word in ("set", "over")]

    assert told[: len(expected)] == expected


def test_of_two_keys_that_say_the_same_the_deciding_one_is_told(lines):
    text = HEAD + "    deploy: {mode: replicated}\n    scale: 3\n"

    assert ("set", "compose.yaml:6:5 (`scale`, which decides about it; the file itself)") in lines(
        text, "services.a.deploy.replicas"
    )


def test_a_mapping_is_told_with_the_places_of_its_parts(explain):
    said = explain(OVERRIDDEN, "services.a")

    assert "    image = two  compose.override.yml:3:5 (override file)\n" in said
    assert "    ports        compose.yaml:5:5 (the file itself)\n" in said
    assert "    user = u     compose.yaml:4:5 (the file itself)\n" in said


def test_entries_that_are_put_in_order_keep_their_places(lines):
    text = HEAD + "    extra_hosts: ['z=1.1.1.1', 'a=2.2.2.2']\n"

    assert ("set", "compose.yaml:5:32 (the file itself)") in lines(
        text, "services.a.extra_hosts[0]"
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("services.a.imag", "there is no `imag` in `services.a`"),
        ("services.a.imag", "hint: did you mean `services.a.image`?"),
        ("services.a.reed_only", "hint: did you mean `services.a.read_only`?"),
        ("service.a", "hint: did you mean `services`?"),
        ("services.b", "hint: no profile activates it: add `--profile`"),
        ("volumes.v", "hint: no service here uses it"),
        ("services.a.ports[1]", "hint: `services.a.ports` has 1 entry, counted from 0"),
        ("services.a.ports.x", "there is no `x` in `services.a.ports`"),
        ("services.a.image.x", "there is no `x` in `services.a.image`"),
        ("services[", "is no path of a stack"),
        ("", "the path is empty"),
    ],
)
def test_a_path_that_is_not_there_is_an_error_with_a_suggestion(explain, path, expected):
    text = HEAD + "    ports: ['1']\n  b: {image: i, profiles: [p]}\nvolumes: {v: }\n"

    assert expected in explain(text, path, code=1)


def test_what_a_secret_holds_is_never_printed(explain):
    text = (
        HEAD + "    secrets: [key, file]\n    environment: {A: '<${KEY}>', B: 'x'}\n"
        "secrets: {key: {environment: KEY}, file: {file: ./f}}\n"
    )
    files = {
        "compose.yaml": text,
        "compose.override.yml": "services: {a: {environment: {B: y}}}\n",
        ".env": "KEY=hush-hush\n",
        "f": "quiet-please",
    }

    for path in ("services.a", "services.a.environment", "services.a.environment.A",
                 "secrets", "secrets.key", "secrets.key.environment", "secrets.file"):  # fmt: skip
        for form in ("yaml", "json"):
            said = explain(files, path, "--format", form)
            assert "hush" not in said
            assert "quiet" not in said
    assert "(not shown: a secret holds it)" in explain(files, "services.a.environment.A")


def test_a_value_cannot_play_tricks_with_the_terminal(explain):
    said = explain(HEAD + '    labels: {x: "a\\u001b[31mb\\nc"}\n', "services.a.labels.x")

    assert said.splitlines()[0] == "services.a.labels.x = a\\x1b[31mb\\nc"


def test_programs_get_the_same_as_json(explain):
    found = json.loads(explain(OVERRIDDEN, "services.a.image", "--format", "json"))

    assert found["value"] == "two"
    assert found["set"] == {"place": "compose.override.yml:3:5", "step": "override file"}
    assert [one["value"] for one in found["over"]] == ["one"]


def test_only_what_is_settled_can_be_explained(explain):
    assert "leave out --no-interpolate" in explain(HEAD, "name", "--no-interpolate", code=1)


def test_every_value_of_a_stack_can_be_explained(write):
    def paths(value, path):
        yield path
        inner = value.items() if isinstance(value, dict) else ()
        inner = enumerate(value) if isinstance(value, list) else inner
        for key, one in inner:
            yield from paths(one, (*path, str(key)))

    cwd = write({"compose.yaml": FULL, "key": "hush"})
    request = LoadRequest(cwd=cwd, profiles=("*",), trace=True, to_run=False)
    loaded = load_stack(request)
    document = document_of(loaded.stack, as_json=False)
    for path in paths(document, ()):
        if path:
            found = explained(named(path), loaded, request)
            assert found.path == path
            assert found.setting.place or found.setting.step
