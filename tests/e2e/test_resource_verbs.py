"""Volumes and networks can be listed, looked at and taken away, but not from under a stack."""

import json

import pytest

pytestmark = pytest.mark.root

STACK = """
name: shop
services:
  db:
    image: busybox
    command: [sh, -c, "echo kept > /data/file; sleep inf"]
    stop_grace_period: 0s
    volumes: [data:/data]
    ports: ["127.0.0.1:{port}:80"]
volumes: {{data: }}
"""


def lines(done):
    return [json.loads(line) for line in done.splitlines()]


def test_volumes_and_networks_are_told_with_their_users_and_stay_while_they_are_used(
    pyorch, free_port
):
    pyorch.write(STACK.format(port=free_port))
    pyorch.run("up", "-d")

    (volume,) = lines(pyorch.run("volume", "ls", "--format", "json"))
    assert (volume["name"], volume["stack"], volume["users"]) == ("shop_data", "shop", ["shop"])
    (network,) = lines(pyorch.run("network", "ls", "--format", "json"))
    assert network["name"] == "shop_default"
    assert list(network["containers"]) == ["shop-db-1"]
    assert pyorch.run("volumes", "-q") == "shop_data\n"

    for kind, name in (("volume", "shop_data"), ("network", "shop_default")):
        refused = pyorch.try_(kind, "rm", name)
        assert refused.code == 1
        assert "is used by `shop`" in refused.err
        assert json.loads(pyorch.run(kind, "inspect", name))[0]["name"] == name

    pyorch.run("down")
    assert pyorch.run("volume", "ls", "-q", "--unused") == "shop_data\n"
    pyorch.run("volume", "rm", "shop_data")
    assert pyorch.run("volume", "ls", "-q") == ""


def test_a_stack_that_is_stopped_keeps_its_volumes_from_being_removed(pyorch):
    pyorch.write(STACK.format(port=0).replace('\n    ports: ["127.0.0.1:0:80"]', ""))
    pyorch.run("up", "-d")
    pyorch.client.post("/v1/stacks/shop/stop")

    assert pyorch.try_("volume", "rm", "shop_data").code == 1


def test_an_external_volume_is_made_by_hand_and_outlives_its_stacks(pyorch):
    pyorch.run("volume", "create", "kept", "--label", "of=me")
    again = pyorch.try_("volume", "create", "kept")
    assert "there is a volume `kept` already" in again.err
    pyorch.write(
        """
        services:
          db: {image: busybox, command: [sleep, inf], stop_grace_period: 0s,
               volumes: ["kept:/d"]}
        volumes: {kept: {external: true}}
        """
    )
    pyorch.run("up", "-d")
    pyorch.run("down", "-v")

    (volume,) = json.loads(pyorch.run("volume", "inspect", "kept"))
    assert volume["labels"] == {"of": "me"}
    pyorch.run("volume", "rm", "kept")


@pytest.mark.parametrize("kind", ["volume", "network"])
def test_what_is_not_there_is_named_and_nothing_with_force(bare, kind):
    refused = bare.try_(kind, "rm", "nothing")

    assert refused.code == 1
    assert f"there is no {kind} `nothing`" in refused.err
    assert bare.try_(kind, "rm", "-f", "nothing").code == 0


def test_published_ports_and_images_of_a_stack_are_printed(pyorch, free_port):
    pyorch.write(STACK.format(port=free_port))
    pyorch.run("up", "-d")

    assert pyorch.run("port", "db", "80") == f"127.0.0.1:{free_port}\n"
    refused = pyorch.try_("port", "db", "81")
    assert refused.code == 1
    assert f"published are 127.0.0.1:{free_port}->80/tcp" in refused.err
    (image,) = json.loads(pyorch.run("images", "--format", "json"))
    assert image["ContainerName"] == "shop-db-1"
    assert image["Size"] > 0
    assert pyorch.run("images", "-q").strip() in image["ID"]
