"""The machine starts again: what it takes along, and what must still be there.

A reboot is made here from what it does: nothing runs, nothing is mounted, no link, no run
directory, and a boot id that is not the one written down.
"""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from runtime.syscalls import MNT_DETACH, umount2
from tests.invariants import check_invariants
from tests.leaks import find_cgroups, find_links, find_mounts, find_processes

pytestmark = pytest.mark.root

STACK = """
name: one
services:
  db:
    image: busybox
    command: sh -c 'echo run >>/runs; exec sleep 1000'
    restart: always
    stop_grace_period: 0s
    healthcheck: {test: [CMD, "true"], interval: 1s}
    configs: [{source: settings, target: /settings}]
  job:
    image: busybox
    command: sh -c 'echo run >>/runs; exit 0'
  web:
    image: busybox
    command: sh -c 'echo run >>/runs; exec sleep 1000'
    restart: always
    stop_grace_period: 0s
    depends_on: {db: {condition: service_healthy}}
  alone:
    image: busybox
    command: sleep 1000
    restart: always
    stop_grace_period: 0s
    network_mode: host
configs:
  settings: {content: a setting}
"""


def reboot(pyorch):
    """Take everything that a machine loses, as a power cut would."""
    instance = pyorch.settings.instance()
    pyorch.run("daemon", "stop")
    for line in find_processes(instance):
        os.kill(int(line.split()[1].rstrip(":")), signal.SIGKILL)
    for line in find_mounts(instance):
        umount2(Path(line.split()[1]), MNT_DETACH)
    for line in find_links(instance):
        # A pair goes with its other end.
        subprocess.run(["ip", "link", "del", line.split()[1]], check=False, capture_output=True)
    subprocess.run(["nft", "delete", "table", "inet", instance.table], check=True)
    shutil.rmtree(instance.run)
    for place in find_cgroups(instance):
        for folder, _, _ in os.walk(place.split()[1], topdown=False):
            os.rmdir(folder)
    for path in (instance.data / "containers").glob("*/state.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))


def come_back(pyorch):
    """Start a daemon, as the machine would, and wait for everything it has to start."""
    pyorch.run("ls")
    pyorch.until("one", has_run)


def has_run(state):
    """Whether what serves runs, and what ends has ended."""
    found = {one["service"]: one for one in state["replicas"]}
    return (
        len(found) == 4
        and found["job"]["phase"] == "exited"
        and all(found[name]["phase"] == "running" for name in ("db", "web", "alone"))
        and found["db"]["health"] == "healthy"
    )


def read(pyorch, service, path):
    return pyorch.run("-p", "one", "exec", "-T", service, "cat", path)


def started(pid):
    """When a process began, in ticks since boot."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@pytest.fixture
def up(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d")
    pyorch.until("one", has_run)
    return pyorch


def test_f24_after_a_reboot_everything_that_ran_runs_again_in_order(up):
    reboot(up)
    come_back(up)

    db, web = (up.main_process(f"one/{name}.1") for name in ("db", "web"))
    assert started(db) < started(web)


def test_f24_what_was_stopped_by_hand_stays_so_after_a_reboot(up):
    up.run("stop", "web")

    reboot(up)
    up.run("ls")
    up.until("one", lambda state: state["reported"] and state["settled"])

    assert up.ps("one")["one-web-1"]["State"] == "exited"
    assert up.ps("one")["one-db-1"]["State"] == "running"
    check_invariants(up)
    up.run("start", "web")
    assert up.ps("one")["one-web-1"]["State"] == "running"


def test_f24_what_a_container_wrote_is_still_there_after_a_reboot(up):
    reboot(up)
    come_back(up)

    assert read(up, "db", "/runs") == "run\nrun\n"
    assert read(up, "web", "/runs") == "run\nrun\n"
    assert read(up, "db", "/settings") == "a setting"


def test_f24_what_had_ended_before_a_reboot_does_not_run_again(up):
    reboot(up)
    come_back(up)

    assert up.ps("one")["one-job-1"]["State"] == "exited"
    layer = up.settings.data / "containers" / "one.job.1" / "upper"
    assert (layer / "runs").read_text() == "run\n"


def test_f24_a_plan_after_a_reboot_is_empty_once_everything_runs(up):
    reboot(up)
    come_back(up)

    assert up.try_("plan").code == 0
    check_invariants(up)


def test_stopped_with_its_containers_the_daemon_leaves_nothing_running(up):
    up.run("daemon", "stop", "--containers")

    assert [up.processes(f"one/{name}.1") for name in ("db", "web", "alone")] == [[], [], []]

    come_back(up)
    assert read(up, "db", "/runs") == "run\nrun\n"
