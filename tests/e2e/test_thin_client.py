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


@pytest.mark.parametrize("words", [["ls"], ["-p", "x", "ps"], ["image", "ls"], ["version"]])
def test_a_plain_command_imports_the_standard_library_only(bare, words):
    bare.run("ls")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        check=True,
        env=bare.environment,
    )

    modules = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split(",")}
    assert "orchestrator" in modules
    assert not modules & HEAVY
