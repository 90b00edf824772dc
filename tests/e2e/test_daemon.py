"""The daemon dies, comes back, meets itself; two people ask at once."""

import os
import shutil
import signal
from pathlib import Path

import pytest

import orchestrator
from orchestrator.dialect import models_mark
from tests.patience import patient

pytestmark = pytest.mark.root

STACK = """
name: one
services:
  a: {image: busybox, command: sleep 1000, restart: always, scale: 2, stop_grace_period: 0s}
"""


def pids(pyorch):
    return pyorch.processes("one/a.1") + pyorch.processes("one/a.2")


def test_a_stopped_daemon_leaves_containers_running(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d", "--wait")
    before = pids(pyorch)

    pyorch.run("daemon", "stop")

    assert pids(pyorch) == before


def test_what_died_while_nobody_watched_runs_again(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d", "--wait")
    pyorch.run("daemon", "stop")
    for pid in pyorch.processes("one/a.1"):
        os.kill(pid, signal.SIGKILL)

    pyorch.run("ls")
    pyorch.until("one", lambda state: state["reported"] and state["settled"])

    assert {one["State"] for one in pyorch.ps("one").values()} == {"running"}


def test_a_container_whose_record_is_broken_is_replaced_and_the_others_are_not(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d", "--wait")
    broken, whole = pyorch.processes("one/a.1"), pyorch.processes("one/a.2")
    pyorch.run("daemon", "stop")
    record = pyorch.settings.data / "containers" / "one.a.1" / "record.json"
    record.write_bytes(record.read_bytes()[:20])

    pyorch.run("ls")
    pyorch.until("one", lambda state: state["reported"] and state["settled"])

    assert pyorch.processes("one/a.2") == whole
    assert not set(pyorch.processes("one/a.1")) & set(broken)
    assert {one["State"] for one in pyorch.ps("one").values()} == {"running"}
    assert pyorch.try_("plan").code == 0


NAMELESS = r"""
name: nameless
services:
  a:
    image: busybox
    command:
      - sh
      - -c
      - |
        printf '\377) \015' > /proc/self/comm
        > /named
        while :; do sleep 1; done
    restart: always
    stop_grace_period: 0s
    ports: ["127.0.0.1::80"]
    healthcheck: {test: "[ -e /named ]", interval: 50ms}
"""


def test_a_container_may_call_itself_what_it_likes(pyorch):
    pyorch.write(NAMELESS)
    pyorch.run("up", "-d", "--wait")
    main = pyorch.main_process("nameless/a.1")
    assert Path(f"/proc/{main}/comm").read_bytes() == b"\377) \r\n"

    os.kill(pyorch.daemon_pid(), signal.SIGKILL)
    assert {one["State"] for one in pyorch.ps("nameless").values()} == {"running"}
    assert pyorch.main_process("nameless/a.1") == main
    os.kill(main, signal.SIGKILL)
    pyorch.until("nameless", lambda state: state["settled"] and state["replicas"][0]["restarts"])

    pyorch.run("down")


def test_networks_whose_records_are_broken_go_on_under_what_runs(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d", "--wait")
    before = pids(pyorch)
    pyorch.run("daemon", "stop")
    for record in (pyorch.settings.run / "network").rglob("*.json"):
        record.write_bytes(b"{}")

    pyorch.run("ls")
    pyorch.until("one", lambda state: state["reported"] and state["settled"])

    assert pids(pyorch) == before
    assert "one-a-2" in pyorch.run("exec", "a", "nslookup", "one-a-2")
    assert pyorch.try_("plan").code == 0


def test_two_ups_at_once_have_one_result(pyorch):
    pyorch.write(STACK)

    both = [pyorch.start("up", "-d", "--wait") for _ in range(2)]
    ends = [(process.communicate(timeout=patient(60)), process.returncode) for process in both]

    assert [code for _, code in ends] == [0, 0], ends
    assert sorted(pyorch.ps("one")) == ["one-a-1", "one-a-2"]


def test_a_daemon_killed_under_a_waiting_up_is_started_again_and_goes_on(pyorch):
    pyorch.write(
        "name: one\nservices:\n  a: {image: busybox, command: sleep 1000, stop_grace_period: 0s,"
        " healthcheck: {test: [CMD, cat, /tmp/ready], interval: 1s, retries: 1000}}\n"
    )
    waiting = pyorch.start("up", "-d", "--wait")
    assert "Started" in next(line for line in waiting.stderr if "Started" in line)

    os.kill(pyorch.daemon_pid(), signal.SIGKILL)
    assert "starting it again" in next(line for line in waiting.stderr if "again" in line)
    pyorch.run("-p", "one", "exec", "-T", "a", "touch", "/tmp/ready")
    _, err = waiting.communicate(timeout=patient(60))

    assert waiting.returncode == 0, err


NEWER = """
name: newer
services:
  a:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    x-pyorch: {heal_limit: 3}
"""


def older_pyorch(tmp_path, path, line, instead):
    """Return where a copy of pyorch's code is in which one line of a file is another one."""
    root = Path(orchestrator.__file__).parent.parent
    for package in ("orchestrator", "scheduler", "runtime"):
        shutil.copytree(root / package, tmp_path / package)
    text = (tmp_path / path).read_text()
    assert text.count(line) == 1
    (tmp_path / path).write_text(text.replace(line, instead))
    return tmp_path


def serve_older(pyorch, folder):
    """Have the daemon of a copy of the code answer from now on."""
    pyorch.run("daemon", "stop")
    pyorch.environment["PYTHONPATH"] = str(folder)
    pyorch.serve()
    del pyorch.environment["PYTHONPATH"]


def test_an_older_daemon_that_does_not_know_a_key_is_named_with_its_version(pyorch, tmp_path):
    models = "orchestrator/spec/models/extensions.py"
    serve_older(pyorch, older_pyorch(tmp_path / "old", models, "    heal_limit: ", "    other: "))
    pyorch.write(NEWER)

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "error: the daemon is another version than this pyorch: services.a.x_pyorch" in done.err
    assert f"  daemon: version {orchestrator.__version__}, models " in done.err
    assert f"  this pyorch: version {orchestrator.__version__}, models {models_mark()}" in done.err
    assert "hint: `pyorch daemon restart`" in done.err
    assert f"models {models_mark()} (pid" not in done.err
    assert "running: pid" in pyorch.run("daemon", "restart")
    pyorch.run("up", "-d", "--wait")
    before = pyorch.processes("newer/a.1")
    pyorch.run("daemon", "restart")
    assert pyorch.processes("newer/a.1") == before


def test_a_daemon_that_speaks_another_api_is_asked_for_nothing(bare, tmp_path):
    bare.run("ls")
    other = older_pyorch(tmp_path / "old", "orchestrator/dialect.py", "API = 1\n", "API = 7\n")
    serve_older(bare, other)

    done = bare.try_("ls")

    assert done.code == 1
    assert "it speaks API 7, and this pyorch API 1" in done.err
    bare.run("daemon", "restart")
    bare.run("ls")
