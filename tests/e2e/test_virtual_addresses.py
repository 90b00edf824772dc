"""A service has one address that stays, and leads to whoever is ready, on real containers."""

import re

import pytest

from tests.lab import eventually

pytestmark = pytest.mark.root

STACK = """
name: shop
services:
  web:
    image: busybox
    command: [sh, -c, "mkdir /w; echo $$RELEASE-$$(hostname) > /w/index.html; httpd -f -p 80 -h /w"]
    environment: {{RELEASE: "{release}"}}
    stop_grace_period: 0s
    scale: {scale}
    deploy: {{endpoint_mode: {mode}}}
    healthcheck: {{test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1"], interval: 500ms}}
  client:
    image: busybox
    command: sleep inf
    stop_grace_period: 0s
"""


def up(pyorch, release="1", *, scale=2, mode="vip"):
    pyorch.write(STACK.format(release=release, scale=scale, mode=mode))
    pyorch.run("up", "-d", "--wait")


def addresses(pyorch):
    """Return what the service's name leads to, for its neighbour."""
    said = pyorch.run("exec", "client", "nslookup", "-type=a", "web.")
    return re.findall(r"^Address: ([0-9.]+)$", said, re.M)


def ask(pyorch, address):
    return pyorch.try_(
        "exec", "client", "timeout", "5", "wget", "-q", "-O", "-", f"http://{address}"
    )


@pytest.mark.attribute("services.*.deploy.endpoint_mode")
def test_a_service_has_one_address_that_leads_to_each_of_its_replicas(pyorch):
    up(pyorch)

    (address,) = eventually(lambda: addresses(pyorch), lambda found: len(found) == 1)
    answers = {ask(pyorch, address).out for _ in range(4)}

    replicas = pyorch.client.get("/v1/stacks/shop")["replicas"]
    assert len(answers) == 2
    assert address not in {one["addresses"]["shop_default"] for one in replicas}


def test_the_address_stays_through_updates_and_refuses_while_nobody_is_there(pyorch):
    up(pyorch, "1")
    before = eventually(lambda: addresses(pyorch), lambda found: len(found) == 1)

    up(pyorch, "2", scale=1)

    assert addresses(pyorch) == before
    eventually(lambda: ask(pyorch, before[0]).out, lambda out: out.startswith("2-"))
    pyorch.run("stop", "web")
    refused = eventually(lambda: ask(pyorch, before[0]), lambda done: done.code != 0)
    assert "refused" in refused.err
    pyorch.run("start", "web")
    eventually(lambda: ask(pyorch, before[0]), lambda done: done.code == 0)


def test_an_address_that_is_not_wanted_any_more_is_nobodys(pyorch):
    up(pyorch)
    (address,) = eventually(lambda: addresses(pyorch), lambda found: len(found) == 1)

    up(pyorch, mode="dnsrr")

    found = eventually(lambda: addresses(pyorch), lambda found: len(found) == 2)
    assert address not in found
    assert ask(pyorch, address).code != 0
