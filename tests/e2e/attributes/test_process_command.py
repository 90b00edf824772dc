"""What runs in a container, as whom, where, with which variables, and how it ends."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from runtime.oci.choice import choose_runtime
from tests.images import write_layout
from tests.instance import make_busybox

pytestmark = pytest.mark.root

STACK = """
name: cmd
x-idle: &idle
  image: busybox
  command: sleep 1000
  stop_grace_period: 0s
x-image: &image {image: configured, stop_grace_period: 0s}
services:
  plain: {<<: *idle}
  words: {<<: *idle, command: sh -c 'echo "a  b" $$HOME > /said; exec sleep 1000'}
  listed: {<<: *idle, command: [sleep, '1000']}
  default: {<<: *image}
  other-command: {<<: *image, command: more words}
  other-entrypoint: {<<: *image, entrypoint: sleep 1000}
  both: {<<: *image, entrypoint: [/bin/sleep], command: ['1000']}
  cleared: {<<: *image, entrypoint: [], command: sleep 1000}
  emptied: {<<: *image, image: commanded, entrypoint: ''}
  said-nothing: {<<: *image, command: []}
  variables:
    <<: *image
    env_file: [first.env, second.env]
    environment: {C: yaml, D: , IMAGE_B: , E: ""}
    tty: true
  numbers: {<<: *idle, user: '1234:4321', working_dir: /made/for/it}
  person: {<<: *idle, user: web, group_add: [audio, '99'], init: true}
  person-and-group: {<<: *idle, user: 'web:audio'}
  reaped: {<<: *idle, init: true, command: sh -c '(sleep 0.1 &) ; exec sleep 1000'}
  terminal: {<<: *idle, tty: true, stdin_open: true}
  listening: {<<: *idle, stdin_open: true, command: sh -c 'cat > /heard'}
  labelled:
    <<: *image
    labels: {com.example.own: file, com.example.both: file, pyorch.slot: '9'}
    depends_on: {plain: {condition: service_started, restart: true}}
    annotations: {com.example.note: hello}
"""

CONFIG = {
    "Entrypoint": ["/bin/sh", "-c", 'echo "$0 $@" > /args; exec sleep 1000'],
    "Cmd": ["of", "image"],
    "Env": ["IMAGE_A=image", "IMAGE_B=image", "C=image", "PATH=/bin:/own"],
    "User": "web",
    "WorkingDir": "/home/made",
    "StopSignal": "SIGUSR1",
    "Labels": {"com.example.image": "image", "com.example.both": "image", "pyorch.stack": "evil"},
}


def prepare(pyorch):
    folder = pyorch.home / "image"
    folder.mkdir()
    busybox = make_busybox(folder)
    layout = write_layout(pyorch.home / "layout", busybox.read_bytes(), CONFIG | {"User": ""})
    pyorch.write("A=first\nB=first\nC=first\n", "first.env")
    pyorch.write("B=second\nC=second\n", "second.env")
    pyorch.environment["D"] = "shell"
    pyorch.environment.pop("IMAGE_B", None)
    pyorch.run("image", "load", str(layout), "--name", "configured")
    more = {"Entrypoint": ["/bin/false"], "Cmd": ["/bin/sleep", "900"]}
    layout = write_layout(pyorch.home / "second", busybox.read_bytes(), more)
    pyorch.run("image", "load", str(layout), "--name", "commanded")


def argv(shown, service):
    """Return the command line of a container's first process."""
    return Path(f"/proc/{shown.pid(service)}/cmdline").read_text().rstrip("\0").split("\0")


def variables(shown, service):
    """Return the variables of a container's first process."""
    text = Path(f"/proc/{shown.pid(service)}/environ").read_text()
    return dict(line.split("=", 1) for line in text.rstrip("\0").split("\0"))


@pytest.mark.attribute("services.*.command")
def test_command_is_split_as_a_shell_would_without_being_one(shown):
    assert argv(shown, "plain") == argv(shown, "listed") == ["sleep", "1000"]
    assert shown.run("words", "cat", "/said") == "a  b /"


def test_command_replaces_that_of_the_image_and_keeps_its_entrypoint(shown):
    assert shown.run("default", "cat", "/args") == "of image"
    assert shown.run("other-command", "cat", "/args") == "more words"


@pytest.mark.attribute("services.*.entrypoint")
def test_entrypoint_discards_the_command_of_the_image(shown):
    assert argv(shown, "other-entrypoint") == ["sleep", "1000"]
    assert argv(shown, "both") == ["/bin/sleep", "1000"]
    assert argv(shown, "cleared") == ["sleep", "1000"]


def test_entrypoint_and_command_that_are_empty_keep_the_command_of_the_image(shown):
    assert argv(shown, "emptied") == ["/bin/sleep", "900"]
    assert shown.run("said-nothing", "cat", "/args") == "of image"


@pytest.mark.attribute("services.*.environment", "services.*.env_file.*.path")
def test_environment_goes_over_env_file_and_that_over_the_image(shown):
    found = variables(shown, "variables")

    assert {name: found.get(name) for name in ("IMAGE_A", "A", "B", "C", "D", "E")} == {
        "IMAGE_A": "image", "A": "first", "B": "second", "C": "yaml", "D": "shell", "E": "",
    }  # fmt: skip
    assert "IMAGE_B" not in found, "a name without a value takes the image's away"
    assert found["PATH"] == "/bin:/own"
    assert found["HOSTNAME"] == "variables-1"
    assert found["TERM"] == "xterm"
    assert "TERM" not in variables(shown, "plain")
    assert variables(shown, "plain")["PATH"].startswith("/usr/local/sbin:")
    assert variables(shown, "plain")["HOME"] == "/"


@pytest.mark.attribute("services.*.user")
def test_user_is_numbers_or_names_of_the_image(shown):
    uids = {name: shown.status(name)["Uid"].split() for name in ("numbers", "person", "plain")}
    gids = {name: shown.status(name)["Gid"].split() for name in ("numbers", "person", "plain")}

    assert uids == {"numbers": ["1234"] * 4, "person": ["7"] * 4, "plain": ["0"] * 4}
    assert gids == {"numbers": ["4321"] * 4, "person": ["8"] * 4, "plain": ["0"] * 4}
    assert shown.status("person-and-group")["Gid"].split() == ["63"] * 4


@pytest.mark.attribute("services.*.group_add")
def test_group_add_takes_names_and_numbers(shown):
    assert shown.status("person")["Groups"].split() == ["8", "63", "99"]


@pytest.mark.attribute("services.*.working_dir")
def test_working_dir_is_made_and_belongs_to_root(shown):
    assert os.readlink(f"/proc/{shown.pid('numbers')}/cwd").endswith("/made/for/it")
    found = os.stat(f"/proc/{shown.pid('numbers')}/root/made/for/it")
    assert (found.st_uid, found.st_gid, oct(found.st_mode & 0o7777)) == (0, 0, "0o755")
    assert shown.sh("default", "pwd") == "/home/made"


@pytest.mark.attribute("services.*.init")
def test_init_is_the_first_process_and_reaps(shown):
    assert argv(shown, "person")[0] == "/sbin/pyorch-init"
    assert argv(shown, "plain")[0] == "sleep"
    listed = shown.sh("reaped", "cat /proc/[0-9]*/stat | busybox grep -c ' Z '")
    assert listed == "0"


@pytest.mark.attribute("services.*.tty", "services.*.stdin_open")
def test_tty_and_stdin_open_give_a_terminal_and_an_open_input(shown):
    assert shown.sh("terminal", "ls -l /proc/1/fd/1").endswith("/dev/pts/0")
    assert shown.run("plain", "busybox", "readlink", "/proc/1/fd/0") == "/dev/null"
    assert shown.pyorch.ps("cmd")["cmd-listening-1"]["State"] == "running"


@pytest.mark.attribute("services.*.labels")
def test_labels_are_those_of_the_image_the_file_and_compose(shown):
    record = shown.pyorch.settings.data / "containers" / "cmd.labelled.1" / "record.json"
    config = json.loads(record.read_text())["config"]
    found = config["remarks"] | config["labels"]

    assert found["com.example.image"] == "image"
    assert found["com.example.own"] == found["com.example.both"] == "file"
    assert (found["pyorch.stack"], found["pyorch.slot"]) == ("cmd", "1")
    compose = {
        name.removeprefix("com.docker.compose."): value
        for name, value in found.items()
        if name.startswith("com.docker.compose.")
    }
    assert compose["project"] == "cmd"
    assert compose["service"] == "labelled"
    assert compose["container-number"] == "1"
    assert compose["oneoff"] == "False"
    assert compose["depends_on"] == "plain:service_started:true"
    assert compose["image"].startswith("sha256:")
    assert len(compose["config-hash"]) > 8
    assert compose["version"]
    assert compose["project.working_dir"] == str(shown.pyorch.work)
    assert compose["project.config_files"] == str(shown.pyorch.work / "stack.yml")


@pytest.mark.attribute("services.*.annotations")
def test_annotations_reach_the_runtime_and_labels_do_not(shown):
    states = shown.pyorch.settings.run / "oci"
    state = subprocess.run(
        [choose_runtime()[0], "--root", states, "state", "cmd.labelled.1"],
        capture_output=True,
        check=True,
    )
    found = json.loads(state.stdout)["annotations"]

    assert found["com.example.note"] == "hello"
    assert not [
        name for name in found if name.startswith(("pyorch", "com.docker", "com.example.own"))
    ]


ENDING = """
name: end
services:
  image-signal: {image: configured, entrypoint: [/bin/sh, -c], command: ["%s"]}
  own-signal: {image: configured, entrypoint: [/bin/sh, -c], command: ["%s"], stop_signal: SIGUSR2}
  real-time: {image: busybox, command: ["sh", "-c", "%s"], stop_signal: RTMIN+1}
  deaf: {image: busybox, command: ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
         stop_grace_period: 300ms}
"""
TRAPS = "trap 'exit 3' USR1; trap 'exit 4' USR2; trap 'exit 5' 35; while :; do sleep 0.1; done"


@pytest.mark.attribute("services.*.stop_signal", "services.*.stop_grace_period")
def test_stop_signal_and_stop_grace_period_end_it(pyorch, busybox):
    layout = write_layout(pyorch.home / "layout", busybox.read_bytes(), CONFIG)
    pyorch.run("image", "load", str(layout), "--name", "configured")
    pyorch.write(ENDING % ((TRAPS,) * 3))
    pyorch.run("up", "-d", "--wait")

    pyorch.run("stop")

    codes = {one["Service"]: one["ExitCode"] for one in pyorch.ps("end").values()}
    assert codes == {"image-signal": 3, "own-signal": 4, "real-time": 5, "deaf": 137}


HOSTILE = {
    "M17 a number beyond all": ({"User": "4294967295"}, "is no id between 0 and 2147483647"),
    "M17 half of that": ({"User": "2147483648"}, "is no id between 0 and 2147483647"),
    "M17 a line break": ({"User": "root\nx"}, "the image has no such user"),
    "M17 nobody": ({"User": "nosuch"}, "`nosuch`: the image has no such user"),
    "M17 no group": ({"User": "web:nosuch"}, "`nosuch`: the image has no such group"),
    "M19 a descriptor": ({"WorkingDir": "/proc/self/fd/7"}, "`/proc/self/fd/7`: it is in /proc"),
    "M19 upwards": ({"WorkingDir": "../.."}, "`../..`: it leads upwards"),
    "M19 a way round": ({"WorkingDir": "/etc/../proc/self/fd"}, "it leads upwards"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_user_and_working_dir_of_a_hostile_image_are_refused(begun, busybox, tmp_path, name):
    config, cause = HOSTILE[name]
    layout = write_layout(tmp_path / "layout", busybox.read_bytes(), config)
    begun.run("image", "load", str(layout), "--name", "evil")
    begun.write("name: x\nservices:\n  a: {image: evil, command: sleep 9}\n", "evil.yml")

    done = begun.try_("-f", "evil.yml", "up", "-d", "--wait")
    begun.try_("-f", "evil.yml", "down")

    assert done.code == 1
    assert cause in done.err
    assert "Traceback" not in done.err


def test_a_command_that_cannot_be_run_ends_with_the_code_of_a_shell_and_is_told_at_once(pyorch):
    text = """
name: cmd
services:
  a:
    image: busybox
    command: [no-such-program]
    configs: [{source: text, target: /text, mode: 0444}]
    restart: 'no'
configs: {text: {content: hello}}
"""
    pyorch.write(text)

    done = pyorch.try_("up", "-d")

    assert done.code == 1
    assert "exited with 127, its program `no-such-program` was not found" in done.err
    found = pyorch.ps("cmd")["cmd-a-1"]
    assert (found["State"], found["ExitCode"]) == ("exited", 127)
    # Whoever wants it to run always does not wait for it always.
    pyorch.write(text.replace("no-such-program", "/text").replace("'no'", "always"))
    done = pyorch.try_("up", "-d")
    assert done.code == 1
    assert "exited with 126, its program `/text` cannot be run: permission denied" in done.err
    pyorch.write(text.replace("no-such-program", "sleep, '1000'"))
    pyorch.run("up", "-d", "--wait")
    codes = {one: pyorch.try_("exec", "-T", "a", one).code for one in ("/text", "/none", "none")}
    assert codes == {"/text": 126, "/none": 127, "none": 127}
    pyorch.run("down", "-t", "0")
