"""What files a stack is made of, and which of its services run, seen by what runs."""

import json
from pathlib import Path

import pytest

from tests.lab import eventually

pytestmark = pytest.mark.root

STACK = """
name: loaded
include:
  - path: [parts/first.yml, parts/second.yml]
    env_file: [parts/own.env]
    project_directory: ./elsewhere
services:
  web:
    extends: {file: common/base.yml, service: base}
    hostname: extended
    command: sh -c 'mkdir /www; echo here > /www/index.html; exec httpd -f -p 8000 -h /www'
    expose: ['8000', 9000-9001/udp]
    label_file: web.labels
    env_file:
      - {path: raw.env, format: raw}
      - {path: plain.env}
      - {path: absent.env, required: false}
  again: {extends: web, command: sleep 1000, environment: {OWN: again}}
  asked: {image: busybox, command: sleep 1000, stop_grace_period: 0s, profiles: [live, other]}
  unasked: {image: busybox, command: sleep 1000, stop_grace_period: 0s, profiles: [debug]}
  guest:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    networks: [made]
    volumes: [kept:/kept]
    configs: [outside]
    secrets: [outside]
  lodger: {image: busybox, command: sleep 1000, stop_grace_period: 0s, networks: [lodging]}
networks:
  lodging: {name: lodging-house, attachable: true, labels: {com.example.team: web}}
  made: {external: {name: made-elsewhere}}
volumes: {kept: {external: {name: kept-elsewhere}}}
configs: {outside: {external: {name: kept-here}}}
secrets: {outside: {external: {name: WORD}, driver: env}}
"""
FILES = {
    "common/base.yml": """
services:
  base:
    image: busybox
    stop_grace_period: 0s
    environment: {OWN: base, BASE: base}
    volumes: ['./beside:/beside']
""",
    "parts/first.yml": """
services:
  part:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    environment: {WORD: "${WORD_OF_PART}", FILE: first, FIRST: first}
    volumes: ['./data:/data']
""",
    "parts/second.yml": "services: {part: {environment: {FILE: second}}}\n",
    "parts/own.env": "WORD_OF_PART=included\n",
    "raw.env": "RAW='$HOME'\n",
    "plain.env": "PLAIN='quoted'\n",
    "web.labels": "com.example.of=a-file\n",
    "home/pyorch/configs/kept-here": "a config",
    "common/beside/file": "beside the base",
    "elsewhere/data/file": "elsewhere",
}
OTHER = """
name: elsewhere
services:
  a:
    image: busybox
    command: sh -c 'echo left > /kept/file; exec sleep 1000'
    stop_grace_period: 0s
    networks: [made]
    volumes: [kept:/kept]
networks: {made: {name: made-elsewhere}}
volumes: {kept: {name: kept-elsewhere}}
"""


def prepare(pyorch):
    for name, text in FILES.items():
        path = pyorch.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    pyorch.environment |= {
        "COMPOSE_PROFILES": "live",
        "XDG_CONFIG_HOME": str(pyorch.work / "home"),
        "WORD": "of the environment",
    }


@pytest.fixture(scope="module", autouse=True)
def elsewhere(begun):
    """Another stack, whose network and volume are used."""
    begun.write(OTHER, "other.yml")
    begun.run("-f", "other.yml", "up", "-d", "--wait")


def variables(shown, service):
    """Return the variables of a container's first process."""
    text = Path(f"/proc/{shown.pid(service)}/environ").read_text()
    return dict(line.split("=", 1) for line in text.rstrip("\0").split("\0"))


@pytest.mark.attribute("include")
def test_include_takes_services_of_other_files_with_their_own_variables_and_place(shown):
    found = variables(shown, "part")

    assert (found["FIRST"], found["FILE"]) == ("first", "second"), "later files go over earlier"
    assert found["WORD"] == "included"
    assert shown.run("part", "cat", "/data/file") == "elsewhere"


@pytest.mark.attribute("services.*.extends")
def test_extends_takes_over_a_service_of_a_file_and_of_this_one(shown):
    assert variables(shown, "web")["BASE"] == variables(shown, "again")["BASE"] == "base"
    assert (variables(shown, "web")["OWN"], variables(shown, "again")["OWN"]) == ("base", "again")
    assert shown.run("again", "cat", "/beside/file") == "beside the base"
    assert shown.run("again", "hostname") == "extended"


@pytest.mark.attribute("services.*.env_file")
def test_env_file_has_a_format_and_need_not_be_there(shown):
    found = variables(shown, "web")

    assert (found["RAW"], found["PLAIN"]) == ("'$HOME'", "quoted")


@pytest.mark.attribute("services.*.label_file")
def test_label_file_labels_the_container(shown):
    record = shown.pyorch.settings.data / "containers" / "loaded.web.1" / "record.json"
    config = json.loads(record.read_text())["config"]

    assert (config["remarks"] | config["labels"])["com.example.of"] == "a-file"


@pytest.mark.attribute("services.*.expose")
def test_expose_keeps_nobody_from_other_ports_and_publishes_none(shown):
    ask = "wget -qO- http://web:8000/"
    eventually(lambda: shown.sh("again", ask), lambda answer: answer == "here")
    assert not shown.pyorch.ps("loaded")["loaded-web-1"]["Ports"]


@pytest.mark.attribute("name", "services.*.profiles")
def test_profiles_decide_what_runs_and_naming_a_service_is_enough(shown):
    services = {"web", "again", "asked", "guest", "lodger", "part"}
    assert set(shown.pyorch.ps("loaded")) == {f"loaded-{name}-1" for name in services}

    shown.pyorch.run("up", "-d", "--wait", "unasked")
    assert shown.pyorch.ps("loaded")["loaded-unasked-1"]["State"] == "running"
    shown.pyorch.run("rm", "-f", "-s", "unasked")


@pytest.mark.attribute(
    "networks.*.external.name",
    "volumes.*.external.name",
    "configs.*.external.name",
    "secrets.*.external.name",
)
def test_external_with_a_name_of_its_own_is_what_others_made(shown):
    assert shown.run("guest", "cat", "/kept/file") == "left"
    address = shown.pyorch.ps("elsewhere")["elsewhere-a-1"]["Addresses"]["made-elsewhere"]
    assert address in shown.run("guest", "nslookup", "a")
    assert shown.run("guest", "cat", "/outside") == "a config"
    assert shown.run("guest", "cat", "/run/secrets/outside") == "of the environment"


@pytest.mark.attribute("networks.*.attachable", "networks.*.labels", "networks.*.name")
def test_networks_are_called_as_they_say_and_others_may_join(shown):
    shown.pyorch.write(
        "name: joining\nservices:\n  a: {image: busybox, command: sleep 1000,"
        " stop_grace_period: 0s, networks: [house]}\n"
        "networks: {house: {name: lodging-house, external: true}}\n",
        "joining.yml",
    )
    shown.pyorch.run("-f", "joining.yml", "up", "-d", "--wait")

    (network,) = json.loads(shown.pyorch.run("network", "inspect", "lodging-house"))
    address = shown.pyorch.ps("joining")["joining-a-1"]["Addresses"]["lodging-house"]
    assert network["labels"]["com.example.team"] == "web"
    assert address in shown.run("lodger", "nslookup", "a")
