"""What ends again and again, and what is never well: seen, told, and waited for no longer."""

import pytest

pytestmark = pytest.mark.root

LOOP = """
name: loop
x-one: &one {image: busybox, stop_grace_period: 0s, restart: always}
services:
  fails: {<<: *one, command: sh -c 'echo no such table; exit 7'}
  well: {<<: *one, command: sleep 1000}
"""
NEEDED = """
name: loop
x-one: &one {image: busybox, stop_grace_period: 0s}
services:
  db:
    <<: *one
    restart: always
    command: sh -c 'echo no such table; exit 7'
    healthcheck: {test: "true", interval: 1h, start_period: 1h}
  api: {<<: *one, command: sleep 1000, depends_on: {db: {condition: service_healthy}}}
  web: {<<: *one, command: sleep 1000, depends_on: [api]}
"""
PATIENT = """
name: loop
x-one: &one {image: busybox, stop_grace_period: 0s, volumes: [all:/all]}
services:
  db:
    <<: *one
    command: sh -c 'until [ -e /all/six ]; do sleep 0.1; done; exec sleep 1000'
    healthcheck: {test: test -e /all/six, interval: 200ms, start_period: 1h}
  api:
    <<: *one
    restart: always
    command: sh -c 'echo x >>/all/api; [ "$$(wc -l </all/api)" -ge 6 ] && touch /all/six;
      [ -e /all/six ] && exec sleep 1000; exit 1'
volumes: {all: }
"""
ILL = """
name: ill
services:
  a:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    restart: always
    healthcheck: {test: "false", interval: 100ms, retries: 1}
    x-pyorch: {heal_limit: 2, backoff: {delay: 1ms, max_delay: 1ms}}
"""


def test_up_wait_ends_at_a_crash_loop_with_what_it_said(pyorch):
    pyorch.write(LOOP)

    done = pyorch.try_("up", "-d", "--wait", "--wait-timeout", "1000")

    assert done.code == 1
    assert "error: stack `loop`: fails.1 is in a crash loop: " in done.err
    assert "restarts in a row, last exit codes 7, 7" in done.err
    assert "error:   fails.1 | no such table\n" in done.err
    assert pyorch.ps("loop")["loop-well-1"]["State"] == "running"


def test_up_ends_at_a_crash_loop_somebody_waits_for_however_indirectly(pyorch):
    pyorch.write(NEEDED)

    done = pyorch.try_("up", "-d")

    assert done.code == 1
    assert "error: stack `loop`: db.1 is in a crash loop: " in done.err
    assert "error:   db.1 | no such table\n" in done.err


def test_up_wait_goes_on_while_a_crash_loop_may_be_waiting_for_somebody(pyorch):
    pyorch.write(PATIENT)

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 0, done.err
    assert " api.1 is in a crash loop: " in done.err
    shown = pyorch.ps("loop")
    assert (shown["loop-api-1"]["Restarts"], shown["loop-db-1"]["Restarts"]) == (5, 0)


@pytest.mark.attribute("services.*.x-pyorch.heal_limit")
def test_what_is_never_well_is_left_as_it_is_and_shown_and_told_as_that(pyorch):
    pyorch.write(ILL)
    pyorch.try_("up", "-d")
    why = "is unhealthy, left as it is after 2 restarts in a row"

    state = pyorch.until("ill", lambda state: state["replicas"][0]["given_up"])
    before = pyorch.main_process("ill/a.1")
    shown = pyorch.ps("ill")["ill-a-1"]

    assert [one["reason"] for one in state["held"] if one["stuck"]] == [why]
    assert (shown["State"], shown["Restarts"], shown["GivenUp"]) == ("running", 2, why)
    assert shown["Status"].endswith(f"(unhealthy), given up: {why}")
    events = pyorch.run("-p", "ill", "events")
    assert events.count("given_up") == 1
    assert why in pyorch.run("-p", "ill", "why", "a")
    assert pyorch.main_process("ill/a.1") == before
