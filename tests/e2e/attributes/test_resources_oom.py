"""Memory that runs out is told as that: by `ps`, in events, and in the reason of the restart."""

import pytest

pytestmark = pytest.mark.root

GREEDY = "[sh, -c, 'x=a; while :; do x=$$x$$x$$x; done']"
WAITS = "until [ -e /go ]; do sleep 0.05; done; rm /go; "
GREEDY_LATER = f"[sh, -c, '{WAITS} x=a; while :; do x=$$x$$x; done']"
GREEDY_CHILD = f"[sh, -c, '{WAITS} dd if=/dev/zero of=/dev/null bs=60M; sleep 1000']"
EXITED = ("replica.exited", "greedy.1")
STACK = """
name: oom
services:
  greedy:
    image: busybox
    command: {command}
    mem_limit: 24m
    memswap_limit: 24m
    stop_grace_period: 0s
    {more}
"""


def events_after_go(pyorch, last):
    """Let the container go on; return what happens then, up to the first event ``last``."""
    found = []
    gone = False
    for entry in pyorch.client.stream("GET", "/v1/stacks/oom/events"):
        if not gone:
            gone = True
            pyorch.run("-p", "oom", "exec", "-T", "greedy", "touch", "/go")
        if entry["type"] == "event":
            found.append((entry["name"], entry["subject"], entry["reason"]))
            if entry["name"] == last:
                return found
    raise AssertionError(f"no event {last}: {found}")


def test_mem_limit_that_ends_a_container_is_told_as_out_of_memory(pyorch):
    pyorch.write(STACK.format(command=GREEDY, more=""))
    pyorch.try_("up", "-d")

    state = pyorch.until("oom", lambda found: found["failure"])

    one = pyorch.ps("oom")["oom-greedy-1"]
    assert state["failure"] == "greedy.1 exited with 137, out of memory, limit 24 MiB"
    assert one["Status"] == "Exited (137), out of memory, limit 24 MiB"
    assert one["ExitCode"] == 137
    assert one["OOMKilled"] is True


def test_f13_an_exit_for_want_of_memory_is_an_event_and_the_reason_of_the_restart(pyorch):
    pyorch.write(STACK.format(command=GREEDY_LATER, more="restart: always"))
    pyorch.run("up", "-d", "--wait")

    told = events_after_go(pyorch, "replica.started")

    assert ("replica.oom", "greedy.1", "out of memory, limit 24 MiB") in told
    (exited,) = (reason for name, who, reason in told if (name, who) == EXITED)
    assert exited.startswith("exited with 137, out of memory, limit 24 MiB after ")
    assert told[-1][2] == "exited with 137, out of memory, limit 24 MiB, restart 1"


def test_f13_a_child_that_is_killed_for_want_of_memory_is_an_event_of_a_container_that_runs(pyorch):
    pyorch.write(STACK.format(command=GREEDY_CHILD, more=""))
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("oom/greedy.1")

    told = events_after_go(pyorch, "replica.oom")

    assert told[-1] == ("replica.oom", "greedy.1", "out of memory, limit 24 MiB")
    assert pyorch.main_process("oom/greedy.1") == before
    assert pyorch.ps("oom")["oom-greedy-1"]["OOMKilled"] is False
