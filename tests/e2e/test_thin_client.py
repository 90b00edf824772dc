"""How fast a command starts is decided by what it imports."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

HEAVY = {"pydantic", "yaml", "aiohttp", "networkx", "structlog", "pyroute2", "rich", "asyncio"}
PROGRAM = """
import sys
from orchestrator.cli import run
run(sys.argv[1:])
print(",".join(sys.modules))
"""


STACK = """
services:
  one:
    image: busybox
    command: [sleep, inf]
    stop_grace_period: 0s
"""


def imported_by(pyorch, *words):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=pyorch.work,
        env=pyorch.environment,
    )
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split(",")}


@pytest.mark.parametrize("words", [["ls"], ["-p", "x", "ps"], ["image", "ls"], ["version"]])
def test_a_plain_command_imports_the_standard_library_only(bare, words):
    bare.run("ls")
    modules = imported_by(bare, *words)

    assert "orchestrator" in modules
    assert not modules & HEAVY


def test_with_a_stack_file_that_has_not_changed_commands_import_the_standard_library_only(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d")

    for words in (["up", "-d"], ["ps"], ["logs"], ["exec", "one", "true"], ["plan"], ["down"]):
        modules = imported_by(pyorch, *words)
        assert "orchestrator" in modules
        assert not modules & HEAVY, words
