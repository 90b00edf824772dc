"""What runs is paused, waited for, and looked at: what it uses, and which processes it has."""

import json
import os
import signal

import pytest

pytestmark = pytest.mark.root

SHOP = """
name: shop
services:
  web:
    image: busybox
    command: sh -c 'while :; do sleep 0.01; done'
    restart: always
    healthcheck: {test: "true", interval: 200ms, timeout: 5s}
    stop_grace_period: 20s
    stop_signal: SIGKILL
    mem_limit: 64m
    scale: 2
  idle: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
"""


def cpu_of(pyorch, container):
    """Return the ticks a container's processes have used."""
    used = pyorch.client.get("/v1/stacks/shop/usage")
    return next(one["cpu"] for one in used if one["container"] == container)


@pytest.fixture
def shop(pyorch):
    pyorch.write(SHOP)
    pyorch.run("up", "-d", "--wait")
    return pyorch


def test_what_is_paused_stands_still_and_is_left_so(shop):
    shop.run("pause", "web")

    before = cpu_of(shop, "shop-web-1")
    listed = shop.ps("shop")
    assert listed["shop-web-1"]["State"] == "paused"
    assert "(Paused)" in shop.run("ps")
    assert listed["shop-idle-1"]["State"] == "running"
    refused = shop.try_("exec", "web", "true")
    assert (refused.code, "it is paused" in refused.err) == (1, True)
    os.kill(shop.daemon_pid(), signal.SIGKILL)
    shop.run("up", "-d")
    shop.until("shop", lambda state: state["reported"])
    after = shop.ps("shop")["shop-web-1"]
    assert (after["State"], after["Restarts"]) == ("paused", 0)
    assert cpu_of(shop, "shop-web-1") == before

    shop.run("unpause", "web")

    shop.run("up", "-d", "--wait")
    assert shop.ps("shop")["shop-web-1"]["Health"] == "healthy"
    assert shop.run("exec", "web", "echo", "here") == "here\n"
    assert cpu_of(shop, "shop-web-1") > before


def test_what_is_paused_can_be_stopped_killed_and_removed(shop):
    for line in (["stop"], ["kill", "web"], ["restart", "web"], ["down", "-t", "0"]):
        shop.run("up", "-d")
        shop.run("pause")
        shop.run(*line)


def test_nothing_is_paused_where_nothing_runs(shop):
    shop.run("stop")

    done = shop.try_("pause", "web")

    assert (done.code, "nothing of `web` runs" in done.err) == (1, True)


def test_stats_tell_what_each_replica_uses(shop):
    told = shop.run("stats", "--no-stream", "--format", "json", "web").splitlines()
    shown = shop.run("stats", "--no-stream", "--all")

    figures = {one["Name"]: one for one in map(json.loads, told)}
    assert set(figures) == {"shop-web-1", "shop-web-2"}
    busy = figures["shop-web-1"]
    assert busy["CPUPerc"] > 0
    assert 0 < busy["Memory"] < busy["MemoryLimit"] == 64 * 1024**2
    assert busy["PIDs"] >= 1
    assert busy["NetReceived"] is not None
    assert "shop-idle-1" in shown
    assert "/ 67.1MB" in shown


def test_top_lists_the_processes_of_every_replica(shop):
    lines = [line.split() for line in shop.run("top").splitlines()]

    assert lines[0][:5] == ["SERVICE", "#", "UID", "PID", "PPID"]
    idle = next(line for line in lines if line[0] == "idle")
    assert idle[2] == "root"
    assert int(idle[3]) == shop.main_process("shop/idle.1")
    assert idle[-2:] == ["sleep", "1000"]
    assert {line[1] for line in lines if line[0] == "web"} == {"1", "2"}


def test_ps_lists_what_is_in_a_state_and_what_services_that_are(shop):
    shop.run("stop", "idle")
    shop.run("pause", "web")

    assert shop.run("ps", "--services", "--orphans") == "web\n"
    assert shop.run("ps", "--services", "--status", "exited") == "idle\n"
    assert shop.run("ps", "-q", "--filter", "status=paused") == "shop-web-1\nshop-web-2\n"
    assert "while :; do sleep 0.01; done" in shop.run("ps", "--no-trunc")
    assert "is no filter" in shop.try_("ps", "--filter", "name=web").err
    assert shop.run("ls", "-a", "-q", "--filter", "name=sho") == "shop\n"
    assert shop.run("ls", "-q", "--filter", "name=nobody") == ""


def test_scripts_that_say_more_than_they_have_to_are_understood(shop):
    shop.run("scale", "--no-deps", "web=1")
    shop.run("up", "-d", "--remove-orphans")
    assert json.loads(shop.run("version", "-f", "json"))["version"] in shop.run("version")
    assert shop.run("version", "--short").strip() in shop.run("version")
    shop.run("down", "--remove-orphans", "-t", "0")


WAITED = """
name: wait
services:
  soon:
    image: busybox
    command: sh -c 'while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 4'
  done: {image: busybox, command: sh -c 'exit 3'}
  long: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
"""


@pytest.fixture
def waited(pyorch):
    pyorch.write(WAITED)
    pyorch.run("up", "-d")
    return pyorch


def test_wait_ends_with_the_code_of_the_last_that_ends(waited):
    waiting = waited.start("wait", "done", "soon")
    assert waiting.stdout.readline() == "container wait-done-1 exited with status code 3\n"

    waited.run("exec", "soon", "touch", "/tmp/go")

    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (4, "container wait-soon-1 exited with status code 4\n")


def test_wait_takes_the_stack_down_when_the_first_ends(waited):
    done = waited.try_("wait", "--down-project", "done", "long")

    assert done.code == 3
    assert waited.stacks() == []


def test_there_is_nothing_to_wait_for_where_nothing_is(waited):
    waited.run("rm", "-fs", "long")

    assert "nothing of `long` is there" in waited.try_("wait", "long").err
