"""What runs by the clock: begun by hand and by the minute, with its history and its logs."""

import json
import os
import signal
import time

import pytest

from tests.patience import patient

pytestmark = pytest.mark.root

PATIENCE = patient(60.0) + 60.0
"""Seconds: a minute until it is time, and what a run takes."""

STACK = """
name: clock
services:
  job:
    image: busybox
    command: [sh, -c, "test ! -e /was-here && touch /was-here && echo run of $$HOSTNAME; exit CODE"]
    hostname: a-machine
    x-pyorch:
      schedule: {cron: "CRON", timezone: Europe/Berlin, overlap: skip, catch_up: none}
  other: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
"""


def history(pyorch):
    lines = pyorch.run("cron", "history", "job", "--format", "json").splitlines()
    return [json.loads(line) for line in reversed(lines)]


@pytest.mark.attribute("services.*.x-pyorch.schedule")
def test_a_service_with_a_schedule_runs_when_it_is_time_and_when_it_is_told_to(pyorch):
    pyorch.write(STACK.replace("CODE", "0").replace("CRON", "* * * * *"))
    pyorch.run("up", "-d", "--wait")
    before = len(history(pyorch))

    pyorch.run("cron", "run", "job")

    run = history(pyorch)[before]
    assert (run["origin"], run["state"], run["code"]) == ("hand", "succeeded", 0)
    assert pyorch.run("cron", "logs", "job", str(run["number"])) == "run of a-machine\n"
    assert "* * * * *   Europe/Berlin" in pyorch.run("cron", "ls")

    # The clock goes on without anybody: a daemon that is killed takes none of it along.
    os.kill(pyorch.daemon_pid(), signal.SIGKILL)
    pyorch.run("cron", "ls")

    def has_come(_):
        found = pyorch.client.get("/v1/stacks/clock/schedules")[0]["runs"]
        ended = [one for one in found if one["state"] == "succeeded"]
        return any(one["origin"] == "schedule" for one in ended)

    deadline = time.monotonic() + PATIENCE
    events = pyorch.client.stream("GET", "/v1/stacks/clock/events", deadline=deadline)
    next(entry for entry in events if has_come(entry))
    by_clock = next(one for one in history(pyorch) if one["origin"] == "schedule")
    assert by_clock["due_wall"] % 60 == 0
    assert len({one["due_wall"] for one in history(pyorch)}) == len(history(pyorch))


def test_a_run_that_fails_fails_whoever_asked_for_it_and_not_the_stack(pyorch):
    pyorch.write(STACK.replace("CODE", "3").replace("CRON", "0 0 29 2 *"))
    pyorch.run("up", "-d", "--wait")
    assert pyorch.ps("clock").keys() == {"clock-other-1"}, "its time is far away"

    done = pyorch.try_("cron", "run", "job")
    assert (done.code, "Run 1 of job failed with 3" in done.err) == (1, True)

    pyorch.run("up", "-d", "--wait")
    assert [one["state"] for one in history(pyorch)] == ["failed"]
    assert pyorch.ps("clock")["clock-job-1"]["ExitCode"] == 3
    assert "run 1 failed: exited with 3" in pyorch.run("events")


def test_what_is_no_schedule_is_shown_where_it_is_written(pyorch):
    pyorch.write(STACK.replace("CODE", "0").replace("CRON", "61 * * * *"))

    done = pyorch.try_("up", "-d")

    assert done.code == 1
    assert "services.job.x-pyorch.schedule" in done.err
    assert "`61 * * * *` is no cron expression: bad minute" in done.err
