"""What a stack keeps to as a whole, and what becomes of it where not everything fits."""

import os

import pytest

from tests import groups

pytestmark = pytest.mark.root

MIB = 2**20
STACK = """
name: whole
x-pyorch: {{resources: {{{ceiling}}}}}
services:
  a: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, {own}}}
  b: {{image: busybox, command: sleep 1000, stop_grace_period: 0s}}
"""
WAITING = """
name: {name}
services:
  web:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    deploy: {{resources: {{reservations: {{cpus: "{cpus}"}}}}}}
    x-pyorch: {{priority: {priority}}}
"""


def kept(pyorch):
    return (
        groups.memory(pyorch, "whole"),
        groups.processor_time(pyorch, "whole"),
        groups.processes(pyorch, "whole"),
    )


@pytest.mark.attribute("x-pyorch.resources")
def test_x_pyorch_resources_is_a_ceiling_over_all_containers_of_the_stack(pyorch):
    pyorch.write(STACK.format(ceiling="cpus: 0.5, memory: 64m, pids: 40", own="cpus: 0.25"))
    pyorch.run("up", "-d", "--wait")
    found = kept(pyorch)
    script = groups.CROWD.format(count=60)
    crowded = pyorch.try_("-p", "whole", "exec", "-T", "b", "sh", "-c", script)
    greedy = ("dd", "if=/dev/zero", "of=/dev/null", "bs=150M", "count=1")
    killed = pyorch.try_("-p", "whole", "exec", "-T", "b", *greedy)
    again = pyorch.try_("plan")

    assert found == (64 * MIB, (50_000, 100_000), 40)
    assert "can't fork" in crowded.err
    assert killed.code == 137
    assert again.code == 0, again.out


def test_x_pyorch_resources_changes_under_running_containers(pyorch):
    pyorch.write(STACK.format(ceiling="cpus: 0.5, memory: 64m", own="cpus: 0.5"))
    pyorch.run("up", "-d", "--wait")
    before = [pyorch.main_process(f"whole/{name}.1") for name in "ab"]
    pyorch.write(STACK.format(ceiling="cpus: 0.25, memory: 128m", own="cpus: 0.25"))
    planned = pyorch.try_("plan")
    pyorch.run("up", "-d", "--wait")
    lower = groups.processor_time(pyorch, "whole"), groups.memory(pyorch, "whole")
    pyorch.write(STACK.format(ceiling="cpus: 1", own="cpus: 1"))
    pyorch.run("up", "-d", "--wait")

    assert "update limits of the stack after #1: cpus 0.5 → 0.25, memory 64 MiB → 128 MiB" in (
        planned.out
    )
    assert lower == ((25_000, 100_000), 128 * MIB)
    assert groups.processor_time(pyorch, "whole") == (100_000, 100_000)
    assert [pyorch.main_process(f"whole/{name}.1") for name in "ab"] == before


def test_x_pyorch_resources_is_named_where_it_ends_a_container(pyorch):
    greedy = STACK.format(ceiling="memory: 24m", own="").replace(
        "command: sleep 1000", "command: [sh, -c, 'x=a; while :; do x=$$x$$x$$x; done']", 1
    )
    pyorch.write(greedy)
    pyorch.try_("up", "-d")

    state = pyorch.until("whole", lambda found: found["failure"])

    assert "a.1 exited with 137, out of memory, limit of its stack 24 MiB" in state["failure"]


def test_cpus_above_the_ceiling_are_refused_with_the_line(pyorch):
    pyorch.write(STACK.format(ceiling="cpus: 0.5", own="cpus: 1"))

    done = pyorch.try_("up", "-d")

    assert done.code == 1
    assert "services.a.cpus: more than the 0.5 all services of the stack have together" in done.err


@pytest.mark.attribute("services.*.x-pyorch.priority")
def test_x_pyorch_priority_says_who_gets_the_room_that_becomes_free(pyorch):
    whole = os.cpu_count()
    for name, cpus, priority in (
        ("holder", whole, 0),
        ("humble", whole, 1),
        ("proud", whole, 2),
    ):
        pyorch.write(WAITING.format(name=name, cpus=cpus, priority=priority), f"{name}.yml")
        pyorch.try_("-f", f"{name}.yml", "up", "-d", "--wait")
    held = [pyorch.ps(name) for name in ("humble", "proud")]

    pyorch.run("-p", "holder", "down")
    pyorch.until("proud", lambda state: state["settled"])

    assert held == [{}, {}]
    assert pyorch.ps("humble") == {}
