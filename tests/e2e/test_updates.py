"""Replicas that run give way to new ones and nobody notices, on real containers."""

import json
import os
import random
import signal
import socket
import threading

import pytest

from tests.load import SERVING, Load

pytestmark = pytest.mark.root

STACK = """
name: shop
services:
  web:
    image: busybox
    command: [sh, -c, "{command}"]
    environment: {{RELEASE: "{release}"}}
    stop_grace_period: 0s
    restart: always
    scale: {scale}
    deploy:
      update_config:
        {{order: {order}, failure_action: {action}, monitor: 300ms, parallelism: {parallelism}}}
    x-pyorch: {{update: {{drain: 100ms}}}}
"""


def write(pyorch, release, *, command="sleep inf", order="start-first", **more):
    values = {"scale": 1, "action": "rollback", "parallelism": 1} | more
    pyorch.write(STACK.format(release=release, command=command, order=order, **values))


def told(pyorch, *names):
    """Return the events of some kinds, the oldest first."""
    lines = pyorch.run("events", "--since", "1h", "--until", "0s", "--json").splitlines()
    return [one for one in map(json.loads, lines) if one["name"] in names]


def releases(pyorch):
    """Return what runs, by container."""
    return {
        name: pyorch.run(
            "exec", "--index", name.rpartition("-")[2], "web", "sh", "-c", "echo $RELEASE"
        ).strip()
        for name, one in pyorch.ps("shop").items()
        if one["State"] == "running"
    }


def test_the_new_one_is_there_before_the_old_one_goes(pyorch):
    write(pyorch, "1")
    pyorch.run("up", "-d", "--wait")
    write(pyorch, "2")

    pyorch.run("up", "-d", "--wait")

    assert releases(pyorch) == {"shop-web-2": "2"}


def test_stop_first_gives_the_new_one_the_place_of_the_old_one(pyorch):
    write(pyorch, "1", order="stop-first", scale=3, parallelism=2)
    pyorch.run("up", "-d", "--wait")
    write(pyorch, "2", order="stop-first", scale=3, parallelism=2)

    pyorch.run("up", "-d", "--wait")

    assert releases(pyorch) == {f"shop-web-{slot}": "2" for slot in (1, 2, 3)}


def test_a_bad_image_is_rolled_back_and_up_says_so(pyorch):
    write(pyorch, "1")
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("shop/web.1")
    write(pyorch, "2", command="exit 3")

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "web.2 exited with 3; rolled back" in done.err
    pyorch.until("shop", lambda state: state["settled"] and len(state["replicas"]) == 1)
    assert pyorch.main_process("shop/web.1") == before
    assert "rollback to 1" in pyorch.run("history")


def test_an_update_that_fails_waits_where_nothing_else_is_asked_for(pyorch):
    write(pyorch, "1", action="pause")
    pyorch.run("up", "-d", "--wait")
    write(pyorch, "2", command="exit 3", action="pause")

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "its update is paused: web.2 exited with 3" in done.err
    assert releases(pyorch)["shop-web-1"] == "1"
    write(pyorch, "3", action="pause")
    pyorch.run("up", "-d", "--wait")
    assert set(releases(pyorch).values()) == {"3"}


def test_an_update_is_told_of_paused_and_goes_on_when_somebody_says_so(pyorch):
    write(pyorch, "1", command="sleep inf", scale=2, action="pause")
    pyorch.run("up", "-d", "--wait")
    write(pyorch, "2", command="exit 3", scale=2, action="pause")
    assert pyorch.try_("up", "-d", "--wait").code == 1

    def status():
        return json.loads(pyorch.run("rollout", "status", "--format", "json"))

    assert (status()["state"], status()["before"]) == ("paused", 1)
    assert "web.3 exited with 3" in pyorch.run("rollout", "status")
    assert pyorch.try_("rollout", "resume", "--wait").code == 1, "it fails again"
    assert status()["state"] == "paused"
    assert "has had no update" in pyorch.try_("rollout", "pause", "db").err

    pyorch.run("rollback", "--wait")

    assert set(releases(pyorch).values()) == {"1"}
    assert "no update of stack `shop` is paused" in pyorch.try_("rollout", "resume").err


# ── under load ───────────────────────────────────────────────────────────────────────────

LOADED = """
name: shop
services:
  web:
    image: busybox
    command: /usr/bin/python3 /serve.py
    environment: {{RELEASE: "{release}", CHECK: "{check}"}}
    entrypoint: {entrypoint}
    volumes: [/usr:/usr:ro, /usr/lib:/lib:ro, /usr/lib64:/lib64:ro, ./serve.py:/serve.py:ro]
    ports: ["{port}:80"]
    restart: always
    stop_grace_period: 10s
    healthcheck: {{test: [CMD-SHELL, 'eval "$$CHECK"'], interval: 500ms, retries: 3}}
    deploy:
      update_config: {{order: start-first, failure_action: rollback, monitor: {monitor}}}
    x-pyorch: {{update: {{drain: 300ms, deadline: 2m}}}}
"""
WELL = "wget -q -O /dev/null http://127.0.0.1"
UPDATES = int(os.environ.get("PYORCH_UPDATES", "3"))
"""How many updates in a row; `make updates` makes 50."""


def write_loaded(pyorch, release, port, *, check=WELL, entrypoint="[]", monitor="300ms"):
    pyorch.write(SERVING, "serve.py")
    pyorch.write(
        LOADED.format(
            release=release, port=port, check=check, entrypoint=entrypoint, monitor=monitor
        )
    )


@pytest.fixture
def port():
    """Return a port of this host that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_no_request_fails_while_one_release_after_another_takes_over(pyorch, port):
    write_loaded(pyorch, "0", port)
    pyorch.run("up", "-d", "--wait")

    with Load(port) as load:
        for number in range(1, UPDATES + 1):
            write_loaded(pyorch, str(number), port)
            pyorch.run("up", "-d", "--wait")

    assert load.failures == []
    assert set(load.answers) == {str(number) for number in range(UPDATES + 1)}
    print(f"{load.answers.total()} requests, {load.rate:.0f}/s, slowest {load.slowest:.3f} s")


BAD = {
    "crashes": {"entrypoint": "[/bin/false]"},
    "never ready": {"check": "false"},
    "ill later": {
        "check": "[ ! -e /tmp/begun ] && touch /tmp/begun && exit 0; touch /tmp/ill; exit 1",
        "monitor": "5s",
    },
}
"""Releases that must not come to serve anybody."""


@pytest.mark.parametrize("kind", BAD)
def test_no_request_fails_while_a_bad_release_is_tried_and_taken_back(pyorch, port, kind):
    write_loaded(pyorch, "good", port)
    pyorch.run("up", "-d", "--wait")

    with Load(port) as load:
        for number in range(1, max(UPDATES // 3, 1) + 1):
            write_loaded(pyorch, f"bad{number}", port, **BAD[kind])
            done = pyorch.try_("up", "-d", "--wait")
            assert (done.code, "rolled back" in done.err) == (1, True), done.err
        pyorch.until("shop", lambda state: state["settled"] and len(state["replicas"]) == 1)

    assert load.failures == []
    assert set(load.answers) == {"good"}


def test_no_request_fails_while_the_daemon_is_killed_again_and_again(pyorch, port):
    write_loaded(pyorch, "0", port)
    pyorch.run("up", "-d", "--wait")
    chance, over = random.Random(7), threading.Event()

    def kill():
        while not over.wait(chance.uniform(0.3, 3.0)):
            os.kill(pyorch.daemon_pid(), signal.SIGKILL)
            pyorch.run("ps")  # which starts another one

    with Load(port) as load:
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            for number in range(1, UPDATES + 1):
                write_loaded(pyorch, str(number), port)
                while not {one for one in load.answers if one == str(number)}:
                    pyorch.try_("up", "-d", "--wait")
        finally:
            over.set()
            killer.join()
        pyorch.run("up", "-d", "--wait")

    assert load.failures == []
