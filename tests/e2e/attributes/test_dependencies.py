"""Who waits for whom, and for what; how many there are of a service."""

import pytest

from tests.lab import eventually

pytestmark = pytest.mark.root

STACK = """
name: order
x-one: &one {image: busybox, stop_grace_period: 0s, volumes: ["./told:/told"]}
services:
  job:
    <<: *one
    command: [sh, -c, "sleep 0.2; echo job >> /told/all"]
  db:
    <<: *one
    command: [sh, -c, "sleep 0.2; echo db >> /told/all; touch /ready; exec sleep 1000"]
    healthcheck: {test: [CMD, cat, /ready], interval: 100ms, retries: 1000}
  cache:
    <<: *one
    command: [sh, -c, "exec sleep 1000"]
  broken:
    <<: *one
    command: [sh, -c, "exit 3"]
  absent:
    <<: *one
    profiles: [never]
  app:
    <<: *one
    command: [sh, -c, "echo app >> /told/all; exec sleep 1000"]
    depends_on:
      job: {condition: service_completed_successfully}
      db: {condition: service_healthy}
      cache: {condition: service_started}
      broken: {condition: service_completed_successfully, required: false}
      absent: {condition: service_healthy, required: false}
  needy:
    <<: *one
    command: [sh, -c, "echo needy >> /told/all; exec sleep 1000"]
    depends_on: {broken: {condition: service_completed_successfully}}
  several: {<<: *one, command: sleep 1000, scale: 2}
  more: {<<: *one, command: sleep 1000, deploy: {replicas: 3}}
"""


@pytest.fixture(scope="module")
def order(begun):
    """What `up` said, and the stack once all that can run does."""
    (begun.work / "told").mkdir()
    begun.write(STACK)
    done = begun.try_("up", "-d", "--wait")
    eventually(lambda: told(begun), lambda lines: "app" in lines)
    return done, begun


def told(pyorch):
    """Return who said so, in order."""
    path = pyorch.work / "told" / "all"
    return path.read_text().split() if path.exists() else []


def states(pyorch):
    return {name: one["State"] for name, one in pyorch.ps("order").items()}


@pytest.mark.attribute("services.*.depends_on.*.condition", "services.*.depends_on.*.required")
def test_depends_on_waits_for_what_must_be_started_healthy_or_done(order):
    done, pyorch = order
    lines = told(pyorch)

    assert sorted(lines[:2]) == ["db", "job"]
    assert lines[2:] == ["app"], "it waits for no longer than it must, and not for what failed"
    assert done.code == 1
    assert "broken" in done.err
    assert states(pyorch)["order-needy-1"] == "created", "what it needs has failed"


@pytest.mark.attribute("services.*.scale", "services.*.deploy.replicas")
def test_scale_and_deploy_replicas_are_how_many_run(order):
    _, pyorch = order
    found = states(pyorch)

    assert [found[f"order-several-{slot}"] for slot in (1, 2)] == ["running"] * 2
    assert [found[f"order-more-{slot}"] for slot in (1, 2, 3)] == ["running"] * 3
    assert len([name for name in found if "several" in name or "more" in name]) == 5
