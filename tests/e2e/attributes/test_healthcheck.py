"""How containers are seen to be well, by the marks every check leaves behind."""

import pytest

from tests.images import write_layout
from tests.lab import eventually

pytestmark = pytest.mark.root

STACK = """
name: health
x-one: &one {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ["./told:/told"]}
services:
  inherited: {<<: *one, image: checked}
  disabled: {<<: *one, image: checked, healthcheck: {disable: true}}
  none: {<<: *one, image: checked, healthcheck: {test: [NONE]}}
  own: {<<: *one, image: checked, healthcheck: {test: [CMD, touch, /told/own]}}
  beginning:
    <<: *one
    healthcheck:
      test: echo x >> /told/beginning; [ -e /told/well ]
      start_period: 1h
      start_interval: 50ms
      interval: 1h
      retries: 1
  twice:
    <<: *one
    healthcheck:
      test: >
        echo x >> /told/twice;
        until [ -e /told/go-$$(wc -l < /told/twice) ]; do sleep 0.05; done;
        [ $$(wc -l < /told/twice) = 1 ]
      interval: 50ms
      timeout: 1h
      retries: 2
  slow:
    <<: *one
    healthcheck: {test: [CMD, sleep, "1000"], interval: 50ms, timeout: 100ms, retries: 1}
"""
CHECKED = {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 50_000_000}}


@pytest.fixture(scope="module")
def health(begun, busybox):
    """The stack of this file, just started."""
    (begun.work / "told").mkdir()
    layout = write_layout(begun.home / "layout", busybox.read_bytes(), CHECKED)
    begun.run("image", "load", str(layout), "--name", "checked")
    begun.write(STACK)
    begun.run("up", "-d")
    return begun


def how(pyorch, service):
    return pyorch.ps("health")[f"health-{service}-1"]["Health"]


def becomes(pyorch, service, health):
    eventually(lambda: how(pyorch, service), lambda found: found == health)


def checks(pyorch, service):
    """Return how many checks have begun."""
    path = pyorch.work / "told" / service
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.attribute("services.*.healthcheck.test", "services.*.healthcheck.disable")
def test_healthcheck_is_the_images_the_files_or_none(health):
    becomes(health, "inherited", "healthy")
    becomes(health, "own", "healthy")
    assert (health.work / "told" / "own").exists()
    assert how(health, "disabled") == how(health, "none") == ""


@pytest.mark.attribute(
    "services.*.healthcheck.start_period", "services.*.healthcheck.start_interval"
)
def test_healthcheck_failures_of_the_start_period_do_not_count(health):
    eventually(lambda: checks(health, "beginning"), lambda count: count > 5)
    assert how(health, "beginning") == "starting"

    (health.work / "told" / "well").touch()

    # Within the start period checks come every `start_interval`, not every hour.
    becomes(health, "beginning", "healthy")


@pytest.mark.attribute("services.*.healthcheck.interval", "services.*.healthcheck.retries")
def test_healthcheck_retries_are_failures_in_a_row_before_it_is_unhealthy(health):
    (health.work / "told" / "go-1").touch()
    becomes(health, "twice", "healthy")
    (health.work / "told" / "go-2").touch()
    eventually(lambda: checks(health, "twice"), lambda count: count == 3)
    assert how(health, "twice") == "healthy", "one failure is not two"

    (health.work / "told" / "go-3").touch()

    becomes(health, "twice", "unhealthy")


@pytest.mark.attribute("services.*.healthcheck.timeout")
def test_healthcheck_timeout_makes_a_failure_of_a_check_that_hangs(health):
    becomes(health, "slow", "unhealthy")
    assert len(health.processes("health/slow.1")) <= 2, "the check is not left behind"
