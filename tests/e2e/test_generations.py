"""A stack can be gone back to what it was, on real containers and by what people type."""

import json

import pytest

pytestmark = pytest.mark.root

STACK = """
name: shop
services:
  web:
    image: busybox
    command: [sh, -c, "echo release $$RELEASE; sleep inf"]
    environment: {{RELEASE: "{release}"}}
    stop_grace_period: 0s
"""


def test_what_was_is_listed_compared_and_gone_back_to(pyorch):
    for release in "12":
        pyorch.write(STACK.format(release=release))
        pyorch.run("up", "-d")

    listed = [json.loads(line) for line in pyorch.run("history", "--format", "json").splitlines()]
    assert [(one["number"], one["present"]) for one in listed] == [(2, True), (1, False)]
    assert pyorch.run("diff") == "services.web.environment.RELEASE: 1 → 2\n"
    assert pyorch.run("diff", "2", "1") == "services.web.environment.RELEASE: 2 → 1\n"

    pyorch.run("rollback", "--wait")
    assert pyorch.run("exec", "web", "sh", "-c", "echo $RELEASE") == "1\n"
    assert "rollback to 1" in pyorch.run("history")
    assert pyorch.run("history", "-q") == "3\n2\n1\n"

    # The file still says otherwise, and so it holds again with the next `up`.
    planned = pyorch.try_("plan")
    assert planned.code == 2
    assert "environment.RELEASE: 1 → 2" in planned.out
    pyorch.run("up", "-d")
    assert pyorch.run("exec", "web", "sh", "-c", "echo $RELEASE") == "2\n"


def test_a_generation_that_is_not_kept_is_refused_and_nothing_happens(pyorch):
    pyorch.write(STACK.format(release="1"))
    pyorch.run("up", "-d")

    for words in (["rollback", "7"], ["diff", "7", "1"]):
        refused = pyorch.try_(*words)
        assert refused.code == 1
        assert "has no generation 7" in refused.err
    assert "nothing to roll stack `shop` back to" in pyorch.try_("rollback").err
    assert pyorch.run("history", "-q") == "1\n"
