"""A machine is drained: everything stops in order, stays so, and what ran before comes back."""

import os
import signal

import pytest

from tests.e2e.test_reboot import reboot

pytestmark = pytest.mark.root

STACK = """
name: one
services:
  db:
    image: busybox
    command: [sh, -c, "trap 'echo db >>/told/all; exit 0' TERM; sleep 1000 & wait"]
    volumes: ['told:/told']
    restart: always
  web:
    image: busybox
    command: [sh, -c, "trap 'echo web >>/told/all; exit 0' TERM; sleep 1000 & wait"]
    volumes: ['told:/told']
    depends_on: [db]
  job: {image: busybox, command: [sh, -c, "echo job >>/told/all"], volumes: ['told:/told']}
  still: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
volumes: {told: {}}
"""


def states(pyorch):
    return {name[4:-2]: one["State"] for name, one in pyorch.ps("one").items()}


def told(pyorch):
    (folder,) = (pyorch.settings.data / "volumes").glob("one_told*/**/all")
    return folder.read_text().split()


@pytest.fixture
def up(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d")
    pyorch.until("one", lambda state: state["settled"])
    pyorch.run("stop", "still")
    return pyorch


BEFORE = {"db": "running", "web": "running", "job": "exited", "still": "exited"}
DRAINED = dict.fromkeys(BEFORE, "exited")


def test_what_ran_stops_in_order_stays_so_under_another_daemon_and_comes_back(up):
    assert states(up) == BEFORE

    up.run("drain")

    assert states(up) == DRAINED
    assert told(up) == ["job", "web", "db"]
    os.kill(up.daemon_pid(), signal.SIGKILL)
    up.run("ls")
    assert states(up) == DRAINED
    refused = up.try_("up", "-d")
    assert (refused.code, "this machine is drained" in refused.err) == (1, True)
    assert "pyorch drain --end" in refused.err
    assert "drained" in up.run("daemon", "status")

    up.run("drain", "--end")

    assert states(up) == BEFORE
    assert "job" not in told(up)[1:], "what was done is done"


def test_after_the_reboot_it_was_drained_for_the_same_runs_as_before(up):
    up.run("drain")

    reboot(up)
    up.run("ls")
    up.until("one", lambda state: state["reported"] and state["settled"])

    assert states(up) == BEFORE, "also what has no restart policy"


def test_who_does_not_stop_within_the_budget_is_killed_and_the_others_are_still_in_order(pyorch):
    deaf = STACK.replace("exit 0' TERM", "' TERM").replace("& wait", "& wait; wait; sleep 1000")
    pyorch.write(deaf.replace("restart: always", "restart: always\n    stop_grace_period: 1h"))
    pyorch.run("up", "-d")
    pyorch.until("one", lambda state: state["settled"])

    pyorch.run("drain", "--budget", "1")

    assert states(pyorch) == DRAINED
    assert pyorch.ps("one")["one-db-1"]["ExitCode"] == 137
    pyorch.run("drain", "--end")
    assert states(pyorch) == {**BEFORE, "still": "running"}


def test_the_machine_is_started_anew_once_nothing_runs(up):
    bin_ = up.work / "bin"
    bin_.mkdir()
    mark = up.work / "asked"
    script = bin_ / "reboot"
    script.write_text(f"#!/bin/sh\ncp {up.settings.run}/drained {mark}\n")
    script.chmod(0o755)
    systemctl = bin_ / "systemctl"
    systemctl.write_text(f'#!/bin/sh\n[ "$1" = reboot ] && exec {script}\n')
    systemctl.chmod(0o755)
    up.environment["PATH"] = f"{bin_}:{os.environ['PATH']}"

    up.run("drain", "--reboot")

    assert mark.exists()
    assert states(up) == DRAINED
    up.run("drain", "--end")
