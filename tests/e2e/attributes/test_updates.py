"""What a file says of how replicas are replaced is how they are."""

import json

import pytest

pytestmark = pytest.mark.root

FILE = """
name: upd
services:
  web:
    image: busybox
    command: [sh, -c, '{command}']
    environment: {{RELEASE: "{release}"}}
    stop_grace_period: 0s
    restart: always
    scale: {scale}
    deploy: {{{deploy}}}
    x-pyorch: {{{own}}}
"""
QUICK = "monitor: 100ms"


def up(pyorch, release, deploy, *, command="sleep inf", scale=2, own="update: {drain: 0s}"):
    text = FILE.format(release=release, deploy=deploy, command=command, scale=scale, own=own)
    pyorch.write(text)
    return pyorch.try_("up", "-d", "--wait")


def updated(pyorch, deploy, **more):
    """Have one release and then another; return what was told of the second, the oldest first."""
    first = {name: one for name, one in more.items() if name != "command"}
    assert up(pyorch, "1", deploy, **first).code == 0
    done = up(pyorch, "2", deploy, **more)
    return done, told(pyorch)


def told(pyorch, since="update.started"):
    lines = [json.loads(line) for line in pyorch.run("events", "--format", "json").splitlines()]
    begun = max(number for number, one in enumerate(lines) if one["name"] == since)
    return lines[begun:]


def moments(events, name):
    return [one["at_wall"] for one in events if one["name"] == name]


def names(events, *wanted):
    return [one["name"] for one in events if one["name"] in wanted]


@pytest.mark.attribute("services.*.deploy.update_config.order")
@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_order_says_who_comes_first(pyorch, order):
    _, events = updated(pyorch, f"update_config: {{order: {order}, {QUICK}}}", scale=1)

    first = names(events, "replica.created", "replica.removed")[0]
    assert first == {"start-first": "replica.created", "stop-first": "replica.removed"}[order]


@pytest.mark.attribute("services.*.deploy.update_config.parallelism")
@pytest.mark.parametrize("parallelism", [1, 2])
def test_parallelism_is_how_many_are_replaced_at_a_time(pyorch, parallelism):
    config = f"{{order: start-first, {QUICK}, parallelism: {parallelism}}}"
    _, events = updated(pyorch, f"update_config: {config}")

    order = names(events, "replica.created", "replica.admitted")
    assert order[:parallelism] == ["replica.created"] * parallelism
    assert order[parallelism] == "replica.admitted"


@pytest.mark.attribute("services.*.deploy.update_config.delay")
@pytest.mark.attribute("services.*.deploy.update_config.monitor")
def test_delay_and_monitor_are_waited_for(pyorch):
    config = "{order: start-first, monitor: 2s, delay: 2s}"
    _, events = updated(pyorch, f"update_config: {config}")

    created = moments(events, "replica.created")
    started, admitted = moments(events, "replica.started"), moments(events, "replica.admitted")
    assert admitted[0] - started[0] >= 1.0
    assert created[1] - admitted[0] >= 1.0


@pytest.mark.attribute("services.*.deploy.update_config.failure_action")
@pytest.mark.parametrize(
    ("action", "name"), [("pause", "update.paused"), ("rollback", "update.rolled_back")]
)
def test_failure_action_is_what_becomes_of_a_bad_release(pyorch, action, name):
    config = f"{{order: start-first, failure_action: {action}, {QUICK}}}"
    done, events = updated(pyorch, f"update_config: {config}", command="exit 3", scale=1)

    assert done.code == 1
    assert name in {one["name"] for one in events}


@pytest.mark.attribute("services.*.deploy.update_config.max_failure_ratio")
def test_max_failure_ratio_is_what_is_put_up_with(pyorch):
    # The first one of them fails once.
    once = "[ $(hostname) = web-3 -a ! -e /failed ] && touch /failed && exit 3; sleep inf"
    config = f"{{order: start-first, max_failure_ratio: 0.5, {QUICK}}}"
    done, events = updated(pyorch, f"update_config: {config}", command=once)

    assert done.code == 0, done.err
    assert names(events, "replica.failed", "update.completed", "update.paused") == [
        "replica.failed",
        "update.completed",
    ]


@pytest.mark.attribute("services.*.deploy.rollback_config.order")
@pytest.mark.attribute("services.*.deploy.rollback_config.parallelism")
@pytest.mark.attribute("services.*.deploy.rollback_config.delay")
@pytest.mark.attribute("services.*.deploy.rollback_config.monitor")
def test_rollback_config_is_how_the_way_back_goes(pyorch):
    back = "{order: start-first, parallelism: 2, monitor: 2s, delay: 2s}"
    deploy = f"update_config: {{{QUICK}, parallelism: 0}}, rollback_config: {back}"
    updated(pyorch, deploy, scale=3)

    pyorch.run("rollback", "--wait")

    events = told(pyorch)
    created, admitted = moments(events, "replica.created"), moments(events, "replica.admitted")
    assert names(events, "replica.created", "replica.removed")[:2] == ["replica.created"] * 2
    assert names(events, "replica.created", "replica.admitted")[2] == "replica.admitted"
    assert admitted[0] - moments(events, "replica.started")[0] >= 1.0
    assert created[2] - admitted[1] >= 1.0


@pytest.mark.attribute("services.*.deploy.rollback_config.failure_action")
@pytest.mark.attribute("services.*.deploy.rollback_config.max_failure_ratio")
@pytest.mark.parametrize(
    ("more", "told_of"),
    [("", True), (", failure_action: continue", False), (", max_failure_ratio: 1", False)],
)
def test_what_fails_on_the_way_back_is_treated_as_rollback_config_says(pyorch, more, told_of):
    # The release of before does not work any more: what it needs is gone.
    command = "[ $$RELEASE = 1 -a -e /data/gone ] && exit 3; touch /data/gone; sleep inf"
    deploy = f"update_config: {{{QUICK}}}, rollback_config: {{{QUICK}{more}}}"
    text = (
        FILE.format(
            release="{release}", deploy=deploy, command=command, scale=1, own="update: {drain: 0s}"
        ).replace("    scale", "    volumes: ['data:/data']\n    scale")
        + "volumes: {data: {}}\n"
    )
    for release in "12":
        pyorch.write(text.replace("{release}", release))
        assert pyorch.try_("up", "-d", "--wait").code == 0

    assert pyorch.try_("rollback", "--wait", "--wait-timeout", "3").code == 1

    names_told = {one["name"] for one in told(pyorch)}
    assert "replica.failed" in names_told
    assert ("update.paused" in names_told) is told_of


@pytest.mark.attribute("services.*.x-pyorch.update.mode")
def test_safe_is_start_first_and_back_again(pyorch):
    deploy, own = f"update_config: {{{QUICK}}}", "update: safe"

    done, events = updated(pyorch, deploy, command="exit 3", scale=1, own=own)

    assert done.code == 1
    assert names(events, "replica.created", "update.rolled_back", "replica.removed")[:2] == [
        "replica.created",
        "update.rolled_back",
    ]


@pytest.mark.attribute("services.*.x-pyorch.update.drain")
def test_drain_is_how_long_the_old_one_goes_on(pyorch):
    deploy = f"update_config: {{order: start-first, {QUICK}}}"
    _, events = updated(pyorch, deploy, scale=1, own="update: {drain: 2s}")

    withdrawn, killed = moments(events, "replica.withdrawn"), moments(events, "replica.killed")
    assert killed[0] - withdrawn[0] >= 1.0


@pytest.mark.attribute("services.*.x-pyorch.update.deadline")
def test_deadline_is_how_long_a_new_one_may_take(pyorch):
    probe = "probes: {readiness: {log: welcome, interval: 100ms, retries: 1000}}"
    deploy = f"update_config: {{order: start-first, failure_action: rollback, {QUICK}}}"
    own = f"update: {{deadline: 1s}}, {probe}"
    assert up(pyorch, "1", deploy, own=own, command="echo welcome; sleep inf", scale=1).code == 0

    done = up(pyorch, "2", deploy, own=own, scale=1)

    assert done.code == 1
    assert "web.2 was not ready within 1 s; rolled back" in done.err
