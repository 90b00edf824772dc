"""`pre_start`, `post_start` and `pre_stop`, by what they leave behind."""

import os
import signal
import subprocess

import pytest

from runtime.oci.capabilities import BY_NUMBER, available
from tests.patience import patient

pytestmark = pytest.mark.root

STACK = """
name: hooked
services:
  a:
    image: busybox
    command: sh -c 'echo main >> /log/all; exec sleep 1000'
    stop_grace_period: 0s
    volumes: [log:/log]
    environment: {OWN: of-the-service}
    pre_start:
      - command:
          - sh
          - -c
          - |
            echo "pre $$OWN $$MORE $$(pwd) $$(id -u)" >> /log/all
            busybox chmod 666 /log/all
            busybox grep CapBnd /proc/self/status >> /log/capabilities
            busybox chmod 666 /log/capabilities
        user: root
        privileged: true
        working_dir: /tmp
        environment: {MORE: more}
      - {image: tools, command: "sh -c 'echo second >> /log/all; ls /only-tools >> /log/all'"}
    post_start:
      - command: [sh, -c, 'until busybox grep -q main /log/all; do :; done; echo post >> /log/all']
      - command:
          - sh
          - -c
          - |
            echo "post $$OWN $$MORE $$(pwd) $$(id -u)" >> /log/all
            busybox grep CapBnd /proc/self/status >> /log/capabilities
        user: web
        privileged: true
        working_dir: /tmp
        environment: {MORE: more}
    pre_stop:
      - command:
          - sh
          - -c
          - |
            echo "stop $$OWN $$MORE $$(pwd) $$(id -u)" >> /log/all
            busybox grep CapBnd /proc/self/status >> /log/capabilities
        user: web
        privileged: true
        working_dir: /tmp
        environment: {MORE: more}
  b:
    image: busybox
    command: sh -c 'echo dependent >> /log/all; exec sleep 1000'
    stop_grace_period: 0s
    volumes: [log:/log]
    depends_on: [a]
volumes: {log: }
"""
FIRST = [
    "pre of-the-service more /tmp 0",
    "second",
    "/only-tools",
    "main",
    "post",
    "post of-the-service more /tmp 7",
    "dependent",
]
STOP = "stop of-the-service more /tmp 7"


@pytest.fixture
def hooked(pyorch, busybox, tmp_path):
    root = tmp_path / "tools"
    root.mkdir()
    subprocess.run(["tar", "-xf", busybox, "-C", root], check=True)
    (root / "only-tools").touch()
    pyorch.run("image", "import", str(root), "tools")
    pyorch.write(STACK)
    return pyorch


def said(pyorch, file="all"):
    """Return the lines hooks and services have written, in order."""
    path = pyorch.settings.data / "volumes" / "hooked_log" / "_data" / file
    return path.read_text().splitlines()


def all_capabilities():
    """Return those there are, as the bits the kernel shows."""
    return sum(1 << BY_NUMBER.index(name) for name in available())


@pytest.mark.attribute("services.*.pre_start", "services.*.post_start", "services.*.pre_stop")
def test_hooks_run_in_order_before_dependents_and_again_only_when_they_must(hooked):
    hooked.run("up", "-d", "--wait")
    assert said(hooked) == FIRST
    assert "hooked-a.pre_start-1" not in hooked.ps("hooked"), "what has succeeded is gone"

    hooked.run("up", "-d", "--wait")
    assert said(hooked) == FIRST

    hooked.run("up", "-d", "--force-recreate", "--wait")
    again = said(hooked)[len(FIRST) :]
    assert again[:1] == [STOP], "pre_stop runs when a container is replaced"
    assert "second" not in again, "pre_start does not run again"
    assert [one for one in again if one.startswith("post")] == FIRST[4:6]

    before = len(said(hooked))
    hooked.run("restart", "a")
    assert said(hooked)[before] == STOP

    before = len(said(hooked))
    hooked.run("down")
    assert said(hooked)[before:] == [STOP]
    seen = {line.split()[1] for line in said(hooked, "capabilities")}
    assert {int(bits, 16) for bits in seen} == {all_capabilities()}
    hooked.run("volume", "rm", "hooked_log")


def test_pre_stop_is_left_out_where_no_time_is_given(hooked):
    hooked.run("up", "-d", "--wait")

    hooked.run("restart", "-t", "0", "a")
    hooked.run("kill", "a")
    hooked.run("start", "a")
    hooked.run("stop", "-t", "0", "a")

    assert hooked.ps("hooked")["hooked-a-1"]["State"] == "exited"
    assert said(hooked).count("main") == 3
    assert "stop" not in said(hooked)


def test_pre_stop_is_not_run_for_a_container_that_dies_by_itself(hooked):
    hooked.write(
        STACK.replace(
            "image: busybox\n    command", "restart: always\n    image: busybox\n    command"
        )
    )
    hooked.run("up", "-d", "--wait")

    os.kill(hooked.main_process("hooked/a.1"), signal.SIGKILL)
    hooked.until("hooked", lambda state: state["settled"] and state["replicas"][0]["restarts"])

    assert STOP not in said(hooked)
    assert said(hooked).count("main") == 2
    assert said(hooked).count("post") == 2, "post_start runs in every run"


@pytest.mark.parametrize("kind", ["pre_start", "post_start"])
def test_a_hook_that_fails_before_the_start_is_told_with_what_it_said(hooked, kind):
    hook = "[{command: [sh, -c, 'echo it is broken; exit 3']}]"
    text = f"""
name: hooked
services:
  a: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, {kind}: {hook}}}
  b: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, depends_on: [a]}}
"""
    hooked.write(text)

    done = hooked.try_("up", "-d", "--wait")

    assert done.code == 1
    assert f"{kind} 1 of 1 exited with 3: it is broken" in done.err
    assert hooked.ps("hooked")["hooked-b-1"]["State"] == "created"
    assert ("hooked-a.pre_start-1" in hooked.ps("hooked")) is (kind == "pre_start")
    assert ("it is broken" in hooked.run("logs")) is (kind == "pre_start")
    hooked.write(text.replace("exit 3", "exit 0"))
    hooked.run("up", "-d", "--wait")
    assert hooked.ps("hooked")["hooked-b-1"]["State"] == "running"
    assert "hooked-a.pre_start-1" not in hooked.ps("hooked")


def test_a_pre_stop_that_fails_keeps_the_container_until_nobody_waits_for_it(hooked):
    hooked.write(STACK.replace('echo "stop', 'echo no >&2; exit 4; echo "stop'))
    hooked.run("up", "-d", "--wait")

    done = hooked.try_("down")

    assert done.code == 1
    assert "pre_stop 1 of 1 exited with 4: no" in done.err
    assert hooked.ps("hooked")["hooked-a-1"]["State"] == "running"
    hooked.run("down", "-t", "0")
    hooked.run("volume", "rm", "hooked_log")


@pytest.mark.parametrize("kind", ["pre_start", "post_start", "pre_stop"])
def test_hooks_survive_a_daemon_that_is_killed_in_the_middle(hooked, kind):
    line = (
        "echo begun >> /log/all; until [ -e /log/go ]; do sleep 0.05; done; echo ended >> /log/all"
    )
    hooked.write(f"""
name: hooked
services:
  a:
    image: busybox
    command: sh -c 'echo main >> /log/all; exec sleep 1000'
    stop_grace_period: 0s
    volumes: [log:/log]
    {kind}:
      - {{command: [sh, -c, 'echo one >> /log/all']}}
      - {{command: [sh, -c, '{line}']}}
volumes: {{log: }}
""")
    folder = hooked.settings.data / "volumes" / "hooked_log" / "_data"
    if kind == "pre_stop":
        hooked.run("up", "-d", "--wait")
        command = hooked.start("down")
    else:
        command = hooked.start("up", "-d", "--wait")
    while not (folder / "all").exists() or "begun" not in said(hooked):
        assert command.poll() is None
    if kind == "pre_start":
        # Its program may run before the daemon has written down that it does; until then, one
        # that is killed leaves a container that counts as never started.
        while hooked.ps("hooked")["hooked-a.pre_start-2"]["State"] != "running":
            assert command.poll() is None

    os.kill(hooked.daemon_pid(), signal.SIGKILL)
    hooked.run("ls")
    (folder / "go").touch()
    out, err = command.communicate(timeout=patient(60))

    assert command.returncode == 0, out + err
    assert said(hooked).count("one") == 1, "what has run does not run again"
    assert said(hooked).count("ended") == 1, "what was cut off does not go on beside itself"
    if kind == "pre_start":
        main = "until busybox grep -q main /log/all; do :; done"
        hooked.run("exec", "-T", "a", "sh", "-c", main)
    assert said(hooked)[-1] == ("main" if kind == "pre_start" else "ended")
    if kind == "pre_stop":
        hooked.run("volume", "rm", "hooked_log")
