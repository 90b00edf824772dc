"""`x-pyorch.rates`: what goes over a replica's links, as the kernel holds it back."""

import json
import socket
import subprocess

import pytest

pytestmark = pytest.mark.root

MIB = 2**20
STACK = """
name: rates
services:
  web:
    image: busybox
    command: [sh, -c, 'dd if=/dev/zero of=/tmp/much bs=500000 count=1; httpd -f -h /tmp']
    healthcheck: {{test: [CMD, wget, -qO, /dev/null, 'http://127.0.0.1/much'], interval: 1s}}
    stop_grace_period: 0s
    networks: [front, back]
    {rates}
  peer: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, networks: [front]}}
networks: {{front: {{}}, back: {{}}}}
"""
BOTH = "x-pyorch: {rates: {receive: 1mb, send: 3mb}}"


def held(words):
    """Return what a link is held to, in bytes a second, and what of it had to wait."""
    (queue, *_) = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    if queue["kind"] != "tbf":
        return None, 0
    return queue["options"]["rate"], queue["overlimits"]


def received(pyorch, link):
    """Return what the host holds back of what it sends into a link of the replica's."""
    place = f"/sys/class/net/{link}/iflink"
    index = int(pyorch.run("-p", "rates", "exec", "-T", "web", "cat", place))
    return held(["tc", "-s", "-j", "qdisc", "show", "dev", socket.if_indextoname(index), "root"])


def sent(pyorch, link):
    """Return what is held back of what the replica sends over a link."""
    enter = ["nsenter", "-t", str(pyorch.main_process("rates/web.1")), "-n"]
    return held([*enter, "tc", "-s", "-j", "qdisc", "show", "dev", link, "root"])


def rates(pyorch):
    return [(received(pyorch, link)[0], sent(pyorch, link)[0]) for link in ("eth0", "eth1")]


@pytest.mark.attribute("services.*.x-pyorch.rates")
def test_x_pyorch_rates_hold_back_what_is_received_and_sent(pyorch):
    pyorch.write(STACK.format(rates=BOTH))
    pyorch.run("up", "-d", "--wait")

    fetch = ("wget", "-qO", "/dev/null", "http://web/much")
    pyorch.run("-p", "rates", "exec", "-T", "peer", *fetch)

    assert rates(pyorch) == [(MIB, 3 * MIB)] * 2
    assert sent(pyorch, "eth1")[1] > 0, "it had to wait"
    assert sent(pyorch, "eth0")[1] == 0, "each network has a rate of its own"


def test_changed_rates_hold_for_the_process_that_runs_and_for_those_after_it(pyorch):
    pyorch.write(STACK.format(rates=""))
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("rates/web.1")
    assert rates(pyorch) == [(None, None)] * 2

    pyorch.write(STACK.format(rates=BOTH))
    planned = pyorch.try_("plan").out
    pyorch.run("up", "-d", "--wait")
    assert "bytes received over each network none → 1 MiB/s" in planned
    assert "bytes sent over each network none → 3 MiB/s" in planned
    assert rates(pyorch) == [(MIB, 3 * MIB)] * 2
    assert pyorch.try_("plan").code == 0

    pyorch.run("restart", "web", "-t", "0")
    pyorch.run("up", "-d", "--wait")
    assert rates(pyorch) == [(MIB, 3 * MIB)] * 2

    again = pyorch.main_process("rates/web.1")
    pyorch.write(STACK.format(rates="x-pyorch: {rates: {send: 5mb}}"))
    pyorch.run("up", "-d", "--wait")
    assert rates(pyorch) == [(None, 5 * MIB)] * 2
    assert before != again == pyorch.main_process("rates/web.1"), "no new container"
