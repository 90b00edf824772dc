"""The process that holds a container's output is killed: noticed, told, and made good."""

import os
import signal
from pathlib import Path

import pytest

from tests.invariants import check_invariants

pytestmark = pytest.mark.root

TALKS = "[sh, -c, 'while :; do echo word; sleep 0.1; done']"
STACK = """
name: mon
services:
  one: {{image: busybox, command: {command}, stop_grace_period: 1s, restart: "{restart}"{more}}}
"""


def monitor(pyorch):
    """Return the process that holds the container."""
    return int((pyorch.settings.run / "containers" / "mon.one.1" / "conmon.pid").read_text())


def killed(pyorch, last):
    """Kill the monitor; return what is told from then on, up to the event ``last``."""
    found = []
    gone = False
    for entry in pyorch.client.stream("GET", "/v1/stacks/mon/events"):
        if not gone:
            gone = True
            os.kill(monitor(pyorch), signal.SIGKILL)
        if entry["type"] == "event":
            found.append((entry["name"], entry["reason"]))
            if entry["name"] == last:
                return found
    raise AssertionError(f"no event {last}: {found}")


@pytest.mark.parametrize("more", ["", ", tty: true"], ids=["pipes", "tty"])
@pytest.mark.parametrize("command", [TALKS, "sleep 1000"], ids=["talking", "silent"])
def test_f11_a_container_whose_monitor_dies_is_told_and_started_again(pyorch, command, more):
    pyorch.write(STACK.format(command=command, restart="always", more=more))
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("mon/one.1")

    told = killed(pyorch, "replica.started")
    pyorch.until("mon", lambda state: state["settled"])

    names = [name for name, _ in told]
    assert (
        "replica.unmonitored" in names
        or (
            "replica.exited",
            "exited with 141, monitor died",
        )
        in told
    ), told
    assert pyorch.main_process("mon/one.1") != before
    assert monitor(pyorch) in map(int, filter(str.isdigit, os.listdir("/proc")))
    check_invariants(pyorch)


def test_f11_a_job_whose_monitor_dies_goes_on_and_its_exit_code_is_kept(pyorch):
    command = "[sh, -c, 'until [ -e /go ]; do sleep 0.05; done; exit 7']"
    pyorch.write(STACK.format(command=command, restart="no", more=""))
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("mon/one.1")
    told = killed(pyorch, "replica.unmonitored")

    same = pyorch.main_process("mon/one.1")
    Path(f"/proc/{before}/root/go").touch()
    pyorch.until("mon", lambda state: state["replicas"][0]["phase"] == "exited")

    assert told[-1][1] == "its monitor died: nobody keeps its output"
    assert same == before
    assert pyorch.ps("mon")["mon-one-1"]["Status"] == "Exited (7), monitor died"


def test_f11_the_death_of_a_monitor_is_known_to_the_daemon_that_comes_next(pyorch):
    pyorch.write(STACK.format(command="sleep 1000", restart="always", more=""))
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("mon/one.1")
    os.kill(pyorch.daemon_pid(), signal.SIGKILL)
    os.kill(monitor(pyorch), signal.SIGKILL)

    pyorch.run("ls")
    pyorch.until(
        "mon", lambda state: state["settled"] and pyorch.processes("mon/one.1") != [before]
    )

    assert pyorch.main_process("mon/one.1") != before
    check_invariants(pyorch)
