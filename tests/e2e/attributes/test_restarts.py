"""When what has ended is started again, by the marks every start leaves behind."""

import os
import signal

import pytest

from tests.lab import eventually

pytestmark = pytest.mark.root

THRICE = '[ "$$(wc -l < /starts/$$NAME)" -ge 3 ]'
STACK = f"""
name: again
x-job: &job {{image: busybox, stop_grace_period: 0s, volumes: ["./starts:/starts"]}}
services:
  never:
    <<: *job
    command: [sh, -c, "echo x >> /starts/never; exit 1"]
  "no":
    <<: *job
    restart: "no"
    command: [sh, -c, "echo x >> /starts/no; exit 1"]
  twice:
    <<: *job
    restart: on-failure:2
    command: [sh, -c, "echo x >> /starts/twice; exit 1"]
  fine:
    <<: *job
    restart: on-failure
    command: [sh, -c, "echo x >> /starts/fine; exit 0"]
  at-last:
    <<: *job
    restart: on-failure
    environment: {{NAME: at-last}}
    command: [sh, -c, 'echo x >> /starts/at-last; {THRICE}']
  always:
    <<: *job
    restart: always
    environment: {{NAME: always}}
    command: [sh, -c, 'echo x >> /starts/always; {THRICE} && exec sleep 1000; exit 0']
  unless-stopped:
    <<: *job
    restart: unless-stopped
    environment: {{NAME: unless-stopped}}
    command: [sh, -c, 'echo x >> /starts/unless-stopped; {THRICE} && exec sleep 1000; exit 0']
  none:
    <<: *job
    restart: always
    deploy: {{restart_policy: {{condition: none}}}}
    command: [sh, -c, "echo x >> /starts/none; exit 1"]
  attempts:
    <<: *job
    deploy: {{restart_policy: {{condition: on-failure, max_attempts: 2}}}}
    command: [sh, -c, "echo x >> /starts/attempts; exit 1"]
  any:
    <<: *job
    environment: {{NAME: any}}
    deploy: {{restart_policy: {{condition: any, delay: 10ms}}}}
    command: [sh, -c, 'echo x >> /starts/any; {THRICE} && exec sleep 1000; exit 0']
  patient:
    <<: *job
    deploy: {{restart_policy: {{condition: any, delay: 1h}}}}
    command: [sh, -c, "echo x >> /starts/patient; exit 1"]
"""
STARTS = {
    "never": 1,
    "no": 1,
    "twice": 3,
    "fine": 1,
    "at-last": 3,
    "always": 3,
    "unless-stopped": 3,
    "none": 1,
    "attempts": 3,
    "any": 3,
}
"""How often each is started until nothing more is to be done."""


@pytest.fixture(scope="module")
def again(begun):
    """The stack of this file, once all but the patient one has come to its end."""
    (begun.work / "starts").mkdir()
    begun.write(STACK)
    begun.try_("up", "-d")
    eventually(lambda: starts(begun), lambda found: STARTS.items() <= found.items())
    return begun


def starts(pyorch):
    """Return how often every service was started."""
    files = (pyorch.work / "starts").iterdir()
    return {file.name: len(file.read_text().splitlines()) for file in files}


def states(pyorch):
    return {one["Service"]: (one["State"], one["ExitCode"]) for one in pyorch.ps("again").values()}


def ended(pyorch, *services):
    """Wait until these have ended, and return with which exit codes."""
    found = eventually(
        lambda: states(pyorch), lambda found: all(found[one][0] == "exited" for one in services)
    )
    return [found[one][1] for one in services]


@pytest.mark.attribute("services.*.restart")
def test_restart_no_is_what_holds_unless_the_file_says_otherwise(again):
    assert ended(again, "never", "no") == [1, 1]
    assert starts(again)["never"] == starts(again)["no"] == 1


@pytest.mark.attribute("services.*.restart")
def test_restart_on_failure_goes_on_until_it_succeeds_or_was_tried_often_enough(again):
    assert ended(again, "twice", "fine", "at-last") == [1, 0, 0]
    assert [starts(again)[one] for one in ("twice", "fine", "at-last")] == [3, 1, 3]


@pytest.mark.attribute("services.*.restart")
def test_restart_always_and_unless_stopped_come_back_after_success_and_after_a_kill(again):
    before = starts(again)
    for service in ("always", "unless-stopped"):
        assert states(again)[service][0] == "running"
        os.kill(again.main_process(f"again/{service}.1"), signal.SIGKILL)

        eventually(
            lambda service=service: starts(again)[service],
            lambda count, service=service: count == before[service] + 1,
        )


@pytest.mark.attribute("services.*.restart")
def test_restart_unless_stopped_stays_stopped_by_hand_whatever_becomes_of_the_daemon(again):
    again.run("stop", "unless-stopped")
    before = starts(again)["unless-stopped"]

    again.run("daemon", "stop")
    again.run("ls")
    again.until("again", lambda state: state["reported"])

    assert states(again)["unless-stopped"][0] == "exited"
    assert starts(again)["unless-stopped"] == before
    again.run("start", "unless-stopped")
    assert states(again)["unless-stopped"][0] == "running"


@pytest.mark.attribute(
    "services.*.deploy.restart_policy.condition",
    "services.*.deploy.restart_policy.max_attempts",
)
def test_deploy_restart_policy_goes_over_restart(again):
    assert ended(again, "none", "attempts") == [1, 1]
    assert [starts(again)[one] for one in ("none", "attempts", "any")] == [1, 3, 3]
    assert states(again)["any"][0] == "running"


@pytest.mark.attribute("services.*.deploy.restart_policy.delay")
def test_deploy_restart_policy_delay_holds_the_next_attempt_back(again):
    # The others have gone through all of theirs meanwhile.
    assert starts(again)["patient"] <= 2
    assert ended(again, "patient") == [1]
