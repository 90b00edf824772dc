"""A runtime that hangs or says what is not so: told, cleared away, tried again, and no more."""

import os
import shutil
from pathlib import Path

import pytest

from runtime.oci.choice import choose_runtime
from tests.lab import eventually
from tests.patience import patient

pytestmark = pytest.mark.root

PATIENCE = patient(3.0)
FAKE = """#!/bin/sh
# The real one, but for the verb that stands in the file beside it.
read -r verb does <{folder}/does
for word in "$@"; do
  [ "$word" = "$verb" ] || continue
  case "$does" in
    hangs) echo $$ >>{folder}/hung; exec sleep 1000 ;;
    lies) exit 0 ;;
    babbles) head -c 100000 /dev/urandom >&2; exit 1 ;;
    names) while [ $# -gt 0 ]; do [ "$1" = --pid-file ] && echo {victim} >"$2"; shift; done
           exit 0 ;;
  esac
done
exec {real} "$@"
"""
STACK = """
name: fake
services:
  one: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
"""


@pytest.fixture
def victim():
    """A process of ours that has nothing to do with containers."""
    import subprocess

    process = subprocess.Popen(["sleep", "1000"])
    yield process
    assert process.poll() is None, "it was taken for a container"
    process.kill()
    process.wait()


@pytest.fixture
def fake(pyorch, tmp_path, victim):
    """A runtime in front of the real one; write what it is to do into its file `does`."""
    folder = tmp_path / "fake"
    folder.mkdir()
    name, _ = choose_runtime()
    script = FAKE.format(folder=folder, real=shutil.which(name), victim=victim.pid)
    for known in ("crun", "runc"):
        (folder / known).write_text(script)
        (folder / known).chmod(0o755)
    (folder / "does").write_text("nothing works\n")
    pyorch.run("daemon", "stop")
    pyorch.environment["PATH"] = f"{folder}:{os.environ['PATH']}"
    pyorch.environment["PYORCH_RUNTIME_PATIENCE"] = f"{PATIENCE:g}"
    pyorch.serve()
    return folder


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("create hangs", "the runtime did not answer in {:g} s"),
        ("create lies", ""),
        ("create babbles", ""),
        ("create names", "which is none of the container's"),
        ("start hangs", "the runtime did not start it in {:g} s"),
        ("start lies", "the runtime did not start it in {:g} s"),
        ("start babbles", ""),
    ],
)
def test_f45_a_runtime_that_does_not_do_what_it_says_is_told_and_tried_again(
    pyorch, fake, does, told
):
    (fake / "does").write_text(f"{does}\n")
    pyorch.write(STACK)
    command = pyorch.start("up", "-d")
    assert "Created" in command.stderr.readline(), "the network is there, and so is the stack"

    state = pyorch.until("fake", lambda found: found["errors"])
    command.kill()
    command.communicate()
    left = pyorch.processes("fake/one.1")
    phase = pyorch.ps("fake")["fake-one-1"]["State"]
    (fake / "does").write_text("nothing works\n")
    pyorch.until("fake", lambda found: found["settled"])

    message = state["errors"][0]["message"]
    assert message.startswith("cannot start container `fake.one.1`: ")
    assert told.format(PATIENCE) in message
    assert message.isprintable()
    assert len(message) < 500
    assert len(left) <= 1, "at most that of the attempt that goes on"
    assert phase == "created"
    assert pyorch.ps("fake")["fake-one-1"]["State"] == "running"
    hung = fake / "hung"
    for pid in hung.read_text().split() if hung.exists() else ():
        assert not Path(f"/proc/{pid}/exe").exists(), "the runtime that hung is still there"


def test_f45_a_runtime_that_hangs_for_one_stack_holds_up_no_other(pyorch, fake):
    pyorch.write(STACK.replace("fake", "good"), "good.yml")
    pyorch.run("-f", "good.yml", "up", "-d", "--wait")
    (fake / "does").write_text("create hangs\n")
    pyorch.write(STACK)
    process = pyorch.start("up", "-d", "--wait")
    try:
        hung = fake / "hung"
        eventually(hung.exists, bool)
        pyorch.run("-p", "good", "exec", "-T", "one", "true")
        pyorch.run("-p", "good", "down")
    finally:
        process.kill()
        process.communicate()
    assert pyorch.ps("good") == {}
