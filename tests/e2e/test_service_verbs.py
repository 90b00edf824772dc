"""stop, start, restart, kill, rm, scale, create and up of single services, on real containers."""

import pytest

pytestmark = pytest.mark.root

STACK = """
name: shop
services:
  db: {image: busybox, command: [sleep, inf], restart: always, stop_grace_period: 0s}
  web:
    image: busybox
    command: [sleep, inf]
    restart: always
    stop_grace_period: 0s
    depends_on: {db: {condition: service_started, restart: true}}
"""


def states(pyorch):
    return {name: one["State"] for name, one in pyorch.ps("shop").items()}


def pids(pyorch):
    return {name: pyorch.processes(f"shop/{name}.1") for name in ("db", "web")}


@pytest.mark.attribute("services.*.depends_on.*.restart")
def test_a_service_is_stopped_started_restarted_and_killed_by_hand(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d")
    before = pids(pyorch)

    pyorch.run("stop", "web")
    assert states(pyorch) == {"shop-db-1": "running", "shop-web-1": "exited"}
    pyorch.run("daemon", "stop")
    pyorch.run("ls")
    assert states(pyorch)["shop-web-1"] == "exited"

    pyorch.run("start", "web")
    assert states(pyorch)["shop-web-1"] == "running"
    assert pids(pyorch)["db"] == before["db"]

    begun = pids(pyorch)
    pyorch.run("restart", "db")
    after = pids(pyorch)
    assert not set(begun["db"]) & set(after["db"])
    assert not set(begun["web"]) & set(after["web"])
    assert all(after.values())

    pyorch.run("kill", "-s", "HUP", "web")
    pyorch.until("shop", lambda state: state["settled"])
    pyorch.run("kill", "web")
    assert states(pyorch)["shop-web-1"] == "exited"
    refused = pyorch.try_("kill", "web")
    assert refused.code == 1
    assert "nothing of `web` runs" in refused.err


def test_containers_are_removed_by_hand_and_made_again(pyorch):
    pyorch.write(STACK)
    pyorch.run("create")
    assert set(states(pyorch).values()) == {"created"}
    pyorch.run("start")
    assert set(states(pyorch).values()) == {"running"}

    assert "no stopped containers" in pyorch.try_("rm", "-f", "web").err
    pyorch.run("rm", "-f", "-s", "web")
    assert states(pyorch) == {"shop-db-1": "running"}
    refused = pyorch.try_("start", "web")
    assert refused.code == 1
    assert "service `web` has no containers" in refused.err
    pyorch.run("up", "-d", "web")
    assert set(states(pyorch).values()) == {"running"}


def test_some_services_are_brought_up_and_scaled_alone(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d", "--no-deps", "web")
    assert states(pyorch) == {"shop-web-1": "running"}
    pyorch.run("up", "-d", "web")
    assert set(states(pyorch)) == {"shop-db-1", "shop-web-1"}
    pyorch.run("scale", "web=2")
    assert set(states(pyorch)) == {"shop-db-1", "shop-web-1", "shop-web-2"}
    refused = pyorch.try_("stop", "wbe")
    assert refused.code == 1
    assert "no such service in stack `shop`: `wbe`" in refused.err
