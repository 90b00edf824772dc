"""`why`, `describe` and `events`: what people are told of a stack, also when it is gone."""

import json

import pytest

pytestmark = pytest.mark.root

STACK = """name: told
services:
  web:
    image: busybox
    command: sleep 1000
    depends_on:
      db: {condition: service_healthy}
  db:
    image: busybox
    command: sh -c 'echo cannot open the disk; exec sleep 1000'
    stop_grace_period: 0s
    healthcheck:
      test: echo no disk; exit 7
      interval: 100ms
      retries: 2
  loop:
    image: busybox
    command: sh -c 'echo giving up; exit 3'
    restart: on-failure:1
"""


def facts(pyorch, *words):
    told = pyorch.run("-p", "told", "events", "--format", "json", *words).splitlines()
    return [(one["subject"], one["name"], one["reason"]) for one in map(json.loads, told)]


def test_why_tells_what_led_there_who_is_waited_for_and_which_line_says_so(pyorch):
    pyorch.write(STACK)
    failed = pyorch.try_("up", "-d")
    assert failed.code == 1
    assert "db.1 |   no disk" in failed.err or "loop.1 | giving up" in failed.err
    pyorch.until("told", lambda state: "loop.1" in str(state["held"]) and "unhealthy" in str(state))

    why = pyorch.run("why", "web").splitlines()
    waits = why.index("  waits: db is unhealthy")
    assert "  services.web.depends_on.db = " in why[waits + 1]
    assert why[waits + 1].endswith(", at stack.yml:7:7")
    assert any(line.startswith("  db.1: Up ") and "(unhealthy)" in line for line in why)
    fact = "db.1  replica.unhealthy: healthcheck failed: no disk"
    assert any(line.endswith(fact) for line in why)
    assert any("services.db.healthcheck = " in line and ", at stack.yml:" in line for line in why)
    assert "      db.1 |   no disk" in why
    assert "      db.1 | cannot open the disk" in why

    why = pyorch.run("why", "loop")
    assert "exited with 3, gave up after 1 restarts" in why
    assert "services.loop.restart = on-failure:1, at " in why
    assert "loop.1 | giving up" in why
    assert pyorch.try_("why", "nobody").code == 1

    about = pyorch.run("-p", "told", "describe", "db")
    assert "db.1: Up " in about
    assert "health failed (7) after " in about
    assert "told-loop-1" not in about


def test_events_are_remembered_with_their_reasons_when_the_stack_is_gone(pyorch):
    pyorch.write(STACK)
    pyorch.try_("up", "-d")
    pyorch.until("told", lambda state: "loop.1" in str(state["held"]))
    loop = [one[1:] for one in facts(pyorch, "loop")]

    assert [name for name, _ in loop] == [
        "replica.created",
        "replica.started",
        "replica.exited",
        "replica.started",
        "replica.exited",
        "replica.given_up",
    ]
    assert loop[3][1] == "exited with 3, restart 1"
    assert loop[5][1] == "exited with 3, gave up after 1 restarts"

    pyorch.run("down")
    assert facts(pyorch, "-n", "1") == [("", "stack.gone", "nothing is left of it")]
    assert facts(pyorch, "loop")[:6] == [("loop.1", *one) for one in loop]
    assert facts(pyorch, "--since", "0s") == []
    assert "write 90s" in pyorch.try_("-p", "told", "events", "--since", "soon").err
