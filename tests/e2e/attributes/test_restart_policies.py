"""Whatever ends comes back as its policy says, so often and so patiently."""

import os
import signal

import pytest

pytestmark = pytest.mark.root

STACK = """
name: back
x-fails: &fails
  image: busybox
  command: sh -c 'echo run >> /runs/$$HOSTNAME; exit 3'
  volumes: [runs:/runs]
services:
  always: {<<: *fails, hostname: always, restart: always}
  tries: {<<: *fails, hostname: tries, restart: 'on-failure:2'}
  never: {<<: *fails, hostname: never, restart: 'no'}
  done: {<<: *fails, hostname: done, restart: on-failure, command: sh -c 'echo run >> /runs/done'}
  within:
    <<: *fails
    hostname: within
    deploy: {restart_policy: {condition: any, max_attempts: 1, window: 60s, delay: 10ms}}
  quiet:
    <<: *fails
    hostname: quiet
    restart: unless-stopped
    x-pyorch: {quarantine: 3, backoff: {delay: 1ms, max_delay: 2ms}}
  stays: {image: busybox, command: sleep 1000, restart: unless-stopped, stop_grace_period: 0s}
volumes: {runs: }
"""


def held(state):
    return {one["subject"]: one["reason"] for one in state["held"] if one["stuck"]}


@pytest.mark.attribute(
    "services.*.restart",
    "services.*.deploy.restart_policy",
    "services.*.x-pyorch.backoff.delay",
    "services.*.x-pyorch.backoff.max_delay",
    "services.*.x-pyorch.quarantine",
)
def test_restart_and_deploy_restart_policy_bring_back_what_they_say_and_no_more(pyorch):
    pyorch.write(STACK)
    pyorch.try_("up", "-d")
    folder = pyorch.settings.data / "volumes" / "back_runs" / "_data"

    def runs(name):
        return len((folder / name).read_text().splitlines())

    state = pyorch.until(
        "back",
        lambda state: (
            {"tries.1", "within.1", "quiet.1"} <= held(state).keys() and runs("always") > 4
        ),
    )
    assert held(state) == {
        "tries.1": "exited with 3, gave up after 2 restarts",
        "within.1": "exited with 3, gave up after 1 restarts within 60 s",
        "quiet.1": "exited with 3, in quarantine after 3 restarts in a row",
    }
    counts = {name: runs(name) for name in ("tries", "within", "quiet", "never", "done")}
    assert counts == {"tries": 3, "within": 2, "quiet": 4, "never": 1, "done": 1}
    shown = pyorch.ps("back")
    assert shown["back-quiet-1"]["Status"] == f"Exited (3), given up: {held(state)['quiet.1']}"
    assert shown["back-quiet-1"]["LastExitCodes"] == [3, 3, 3, 3]
    assert shown["back-always-1"]["CrashLoop"]
    assert "crash loop: " in shown["back-always-1"]["Status"]
    assert not shown["back-stays-1"]["CrashLoop"]

    os.kill(pyorch.main_process("back/stays.1"), signal.SIGKILL)
    pyorch.until(
        "back",
        lambda state: any(
            (one["service"], one["restarts"], one["phase"]) == ("stays", 1, "running")
            for one in state["replicas"]
        ),
    )
    pyorch.run("stop", "stays")
    pyorch.run("daemon", "stop")
    assert pyorch.ps("back")["back-stays-1"]["State"] == "exited"
    assert {name: runs(name) for name in counts} == counts

    pyorch.try_("up", "-d")
    pyorch.until("back", lambda _: runs("tries") == 6 and runs("never") == 2)
    assert runs("done") == 1


@pytest.mark.attribute("services.*.x-pyorch.backoff.reset_after")
def test_a_run_that_was_long_enough_begins_the_row_anew(pyorch):
    pyorch.write(
        "name: steady\nservices:\n  a: {image: busybox, command: 'false', restart: always,"
        " x-pyorch: {quarantine: 3, backoff: {delay: 1ms, max_delay: 1ms, reset_after: 1ms}}}\n"
    )
    pyorch.try_("up", "-d")

    state = pyorch.until("steady", lambda state: state["replicas"][0]["restarts"] > 5)

    assert held(state) == {}
