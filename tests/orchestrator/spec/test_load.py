"""From files to a settled stack; and what a person reads when that cannot be."""

import pytest

from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.spec.problems import SpecError
from orchestrator.spec.showing.dump import dump

WEB = "name: s\nservices:\n  web:\n    image: img\n"


def test_short_and_long_forms_mean_the_same(load):
    short = load(WEB + "    ports: ['8080:80']\n    environment: [A=1]\n    command: run it\n")
    long = load(
        WEB
        + "    ports: [{target: 80, published: 8080, protocol: tcp}]\n"
        + "    environment: {A: 1}\n    command: [run, it]\n"
    )

    assert short.stack == long.stack


def test_scalars_stay_what_the_author_wrote(load):
    found = load(WEB + "    environment: {A: no, C: 22:22, E: true}\n")

    assert found.stack.services["web"].environment == {
        "A": "no",
        "C": "22:22",
        "E": "true",
    }


def test_later_files_win_and_lists_grow(load):
    found = load(
        WEB + "    environment: {A: 1, B: 2}\n    cap_add: [CHOWN]\n",
        "services: {web: {image: other, environment: [B=3], cap_add: [KILL]}}\n",
    )
    web = found.stack.services["web"]

    assert web.image == "other"
    assert web.environment == {"A": "1", "B": "3"}
    assert web.cap_add == ("CHOWN", "KILL")


def test_a_reset_takes_away_and_an_override_replaces(load):
    found = load(
        WEB + "    cap_add: [CHOWN]\n    cap_drop: [KILL]\n",
        "services: {web: {cap_add: !reset [], cap_drop: !override [MKNOD]}}\n",
    )

    assert found.stack.services["web"].cap_add == ()
    assert found.stack.services["web"].cap_drop == ("MKNOD",)


def test_variables_come_from_the_shell_then_from_dotenv(load, tmp_path):
    (tmp_path / ".env").write_text("TAG=file\nONLY=here\n")

    found = load("name: s\nservices: {a: {image: 'i:$TAG-$ONLY'}}\n", environ={"TAG": "shell"})

    assert found.stack.services["a"].image == "i:shell-here"


def test_services_of_profiles_are_left_out_until_asked_for(load):
    text = "name: s\nservices: {a: {image: i}, b: {image: i, profiles: [debug]}}\n"

    assert sorted(load(text).stack.services) == ["a"]
    assert sorted(load(text, profiles=("debug",)).stack.services) == ["a", "b"]


def test_what_may_be_missing_and_is_of_no_active_profile_is_nothing_to_run_with(load):
    text = """
name: s
services:
  a:
    image: i
    depends_on:
      b: {condition: service_started, required: false}
      c: {condition: service_started}
  b: {image: i, profiles: [debug]}
  c: {image: i}
"""

    assert sorted(load(text, to_run=True).stack.services["a"].depends_on) == ["c"]
    assert sorted(load(text).stack.services["a"].depends_on) == ["b", "c"], "it is printed"
    found = load(text, to_run=True, profiles=("debug",)).stack.services["a"].depends_on
    assert sorted(found) == ["b", "c"]


def test_the_name_is_that_of_the_directory_unless_given(load, tmp_path):
    text = "services: {a: {image: i}}\n"

    assert load(text, project_name="mine").stack.name == "mine"
    assert load(text, environ={"COMPOSE_PROJECT_NAME": "env"}).stack.name == "env"
    assert load(text).stack.name == "".join(
        mark for mark in tmp_path.name.lower() if mark.isalnum() or mark in "-_"
    )


def test_what_config_prints_loads_to_the_same_stack(load):
    text = (
        WEB
        + "    command: sh -c 'echo $$HOME'\n    ports: ['8080:80', '53:53/udp']\n"
        + "    depends_on: {db: {condition: service_healthy}}\n    mem_limit: 64m\n"
        + "    healthcheck: {test: curl -f x, interval: 1m30s}\n    networks: [front, back]\n"
        + "  db: {image: db, volumes: ['data:/data'], networks: [back],"
        + " healthcheck: {test: 'true'}}\n"
        + "networks: {front: {}, back: {internal: true}}\nvolumes: {data: {}}\n"
    )
    first = load(text)

    again = load(dump(first.stack))

    assert again.stack == first.stack


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "name: s\nservices:\n  web:\n    imagee: x\n",
            ["f0.yml:4:5: services.web.imagee", "`image`"],
        ),
        (WEB + "    scale: many\n", ["f0.yml:5:5: services.web.scale"]),
        (WEB + "    depends_on: [db]\n", ["f0.yml:5", "services.web.depends_on", "db"]),
        (WEB + "    networks: [front]\n", ["services.web.networks", "front"]),
        (WEB + "    volumes: ['data:/data']\n", ["services.web.volumes", "data"]),
        (WEB + "    env_file: nope.env\n", ["nope.env"]),
        (WEB + "    image: again\n", ["f0.yml:5", "image", "4"]),
        (WEB + "    mem_limit: lots\n", ["f0.yml:5:5: services.web.mem_limit", "512m"]),
        (WEB + "    command: '${X:?set X}'\n", ["f0.yml:5", "set X"]),
        ("services: [\n", ["f0.yml:"]),
        ("", ["f0.yml"]),
        ("- a\n", ["f0.yml"]),
        ("name: s\nservices: {a: {}}\n", ["f0.yml:2:12", "services.a", "image"]),
        ("a: &a [x]\nname: s\nservices: *b\n", ["f0.yml:3"]),
    ],
)
def test_a_mistake_is_told_with_its_place(complain, text, expected):
    said = complain(text)

    for words in expected:
        assert words in said, said


def test_every_mistake_is_told_at_once(complain):
    said = complain(WEB + "    scale: many\n    mem_limit: lots\n    imagee: x\n")

    assert [line.split(":")[1] for line in said.splitlines() if line.startswith("f0.yml")] == [
        "5",
        "6",
        "7",
    ]


@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 50_000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
            for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "x" * 20_000_000,
    ],
    ids=["depth", "aliases", "bytes"],
)
def test_a_bomb_is_refused(complain, bomb):
    assert complain(bomb)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"nope\.yml"):
        load_stack(LoadRequest(files=("nope.yml",), cwd=tmp_path))
    with pytest.raises(SpecError):
        load_stack(LoadRequest(files=("/dev/zero",), cwd=tmp_path))
