"""What does not fit the machine is held and told; what runs goes on."""

import os

import pytest

pytestmark = pytest.mark.root

STACK = """
name: shop
services:
  web:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    scale: {scale}
    deploy: {{resources: {{reservations: {{cpus: "{cpus}"}}}}}}
"""


@pytest.mark.attribute("services.*.deploy.resources.reservations.cpus")
def test_the_replica_that_does_not_fit_is_told_with_the_sum_and_the_others_run(pyorch):
    whole = os.cpu_count()
    pyorch.write(STACK.format(scale=2, cpus=0.75 * whole))

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert f"web.2: needs {0.75 * whole:g} cpus: {0.25 * whole:g} of {whole} free" in done.err
    assert "reserve less, run fewer replicas" in done.err
    assert {name: one["State"] for name, one in pyorch.ps("shop").items()} == {
        "shop-web-1": "running"
    }


def test_a_stack_finds_the_room_another_one_left(pyorch):
    text = STACK.format(scale=1, cpus=0.75 * os.cpu_count())
    pyorch.write(text)
    pyorch.run("up", "-d", "--wait")
    pyorch.write(text.replace("shop", "blog"), "blog.yml")
    held = pyorch.try_("-f", "blog.yml", "up", "-d", "--wait")
    pyorch.run("-p", "shop", "down")

    pyorch.run("-f", "blog.yml", "up", "-d", "--wait")

    assert held.code == 1
    assert "blog-web-1" in pyorch.ps("blog")
