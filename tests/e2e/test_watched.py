"""Whoever watches the daemon: figures, and whether it is well."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.mountinfo import unmount_below
from tests.instance import Pyorch, new_name
from tests.lab import eventually

pytestmark = pytest.mark.root

STACK = """
name: seen
services:
  busy:
    image: busybox
    command: sh -c 'dd if=/dev/zero of=/big bs=1M count=8 conv=fsync; while :; do :; done'
    cpus: 0.2
    mem_limit: 64m
    restart: always
    stop_grace_period: 0s
  idle:
    image: busybox
    command: sleep 1000
    scale: 2
    stop_grace_period: 0s
    healthcheck: {test: "true", interval: 1h}
"""
BUSY = {"stack": "seen", "service": "busy", "replica": "1"}


class _Unix(HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def ask(pyorch, path):
    """Return status, type and body of what the daemon answers to anybody's client."""
    with contextlib.closing(_Unix(pyorch.settings.socket)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


def figures(pyorch):
    """Return every figure, by its name and labels."""
    status, kind, text = ask(pyorch, "/v1/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found, name, **labels):
    return found.get((f"pyorch_{name}", frozenset(labels.items())))


def test_figures_of_containers_are_those_of_the_kernel_and_tell_of_restarts_and_health(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d", "--wait")
    first = eventually(
        lambda: figures(pyorch), lambda one: of(one, "container_cpu_seconds_total", **BUSY) > 0
    )
    os.kill(pyorch.main_process("seen/busy.1"), signal.SIGKILL)
    pyorch.until("seen", lambda state: any(one["restarts"] for one in state["replicas"]))
    second = figures(pyorch)

    assert of(first, "container_memory_bytes", **BUSY) > 0
    assert of(first, "container_memory_limit_bytes", **BUSY) == 64 * 1024**2
    assert of(first, "container_pids", **BUSY) >= 1
    assert of(first, "container_running", **BUSY) == 1
    assert of(first, "container_restarts_total", **BUSY) == 0
    assert of(second, "container_restarts_total", **BUSY) == 1
    assert of(first, "container_health", **BUSY, health="none") == 1
    for number in ("1", "2"):
        idle = {"stack": "seen", "service": "idle", "replica": number}
        assert of(first, "container_health", **idle, health="healthy") == 1
        assert of(first, "container_health", **idle, health="unhealthy") == 0
        assert of(first, "container_memory_limit_bytes", **idle) is None
    assert of(first, "stack_settled", stack="seen") == 1
    assert of(first, "events_total", event="replica.started") == 3
    assert of(second, "events_total", event="replica.exited") == 1
    assert of(second, "pass_seconds_bucket", le="+Inf") == of(second, "pass_seconds_count")
    assert of(second, "pass_seconds_count") > of(first, "pass_seconds_count") > 0
    assert 0 < of(first, "data_free_bytes") <= of(first, "data_size_bytes")
    assert of(first, "info", version="0.1.0") == 1
    assert second[("process_resident_memory_bytes", frozenset())] > 0


def test_the_library_that_writes_figures_is_not_loaded_before_somebody_asks():
    program = "import orchestrator.daemon, orchestrator.api, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

    assert b"orchestrator.metrics" in done.stdout.split()
    assert b"prometheus_client" not in done.stdout.split()


@contextlib.contextmanager
def on_a_disk_of_its_own(pyorch, size):
    """Have its data on a filesystem of so many bytes while the context lasts."""
    data = pyorch.settings.data
    data.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", f"disk-of-{pyorch.name}", str(data)]
    subprocess.run(mount, check=True)
    try:
        yield data
    finally:
        left = pyorch.clean()
        subprocess.run(["umount", str(data)], check=True)
    assert left == []


def well(pyorch):
    """Return whether the daemon is well, and what it says about it."""
    status, _, text = ask(pyorch, "/v1/healthz")
    return status, json.loads(text)


def test_f16_on_a_full_disk_the_daemon_says_that_it_is_not_well_until_there_is_room(
    tmp_path, busybox
):
    pyorch = Pyorch(name=new_name(), home=tmp_path / "p")
    with on_a_disk_of_its_own(pyorch, "24m") as data:
        pyorch.run("image", "import", str(busybox), "busybox")
        pyorch.write(STACK)
        pyorch.run("up", "-d", "--wait")
        before = pyorch.main_process("seen/idle.1")
        assert well(pyorch) == (200, {"status": "ok"})
        with contextlib.suppress(OSError), (data / "ballast").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass

        status, said = eventually(lambda: well(pyorch), lambda found: found[0] == 503)
        told = pyorch.try_("daemon", "status")

        assert (status, said["code"], said["reasons"][0]["subject"]) == (503, "ill", "state")
        assert "the state database cannot be written: " in said["detail"]
        assert said["hint"].startswith("see how much is free where it is")
        assert told.code == 1
        assert "not well: state: the state database cannot be written: " in told.out
        assert pyorch.main_process("seen/idle.1") == before
        (data / "ballast").unlink()
        assert well(pyorch) == (200, {"status": "ok"})
        assert pyorch.run("daemon", "status").startswith("running: ")


def test_on_a_disk_that_has_become_read_only_what_runs_goes_on_and_the_daemon_is_not_well(
    tmp_path, busybox
):
    pyorch = Pyorch(name=new_name(), home=tmp_path / "p")
    image, data = tmp_path / "disk", pyorch.settings.data
    data.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(64 * 1024**2)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    mount = ["mount", "-o", "loop,errors=remount-ro", str(image), str(data)]
    subprocess.run(mount, check=True)
    try:
        pyorch.run("image", "import", str(busybox), "busybox")
        pyorch.write(STACK)
        pyorch.run("up", "-d", "--wait")
        before = pyorch.main_process("seen/idle.1")
        assert well(pyorch) == (200, {"status": "ok"})
        # The kernel does with it what it does with a disk that fails.
        device = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(data)], check=True, capture_output=True, text=True
        ).stdout.strip()
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("a test\n")

        status, said = eventually(lambda: well(pyorch), lambda found: found[0] == 503)

        assert (status, said["reasons"][0]["subject"]) == (503, "state")
        assert "the state database cannot be written: " in said["detail"]
        assert pyorch.main_process("seen/idle.1") == before
        assert pyorch.ps("seen")["seen-idle-1"]["State"] == "running"
    finally:
        # Nothing can be taken down on it before it is mended, and that needs everybody gone.
        pyorch.run("daemon", "stop")
        for container in ("seen/busy.1", "seen/idle.1", "seen/idle.2"):
            for pid in pyorch.processes(container):
                os.kill(pid, signal.SIGKILL)
            eventually(lambda name=container: pyorch.processes(name), lambda found: not found)
        unmount_below(data)
        subprocess.run(["umount", str(data)], check=True)
        subprocess.run(["e2fsck", "-fy", str(image)], check=False, capture_output=True)
        subprocess.run(mount, check=True)
        left = pyorch.clean()
        subprocess.run(["umount", str(data)], check=True)
    assert left == []


def test_a_program_that_is_gone_is_named_with_the_package_that_has_it(bare, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in map(Path, os.environ["PATH"].split(":")):
        for path in folder.iterdir() if folder.is_dir() else ():
            with contextlib.suppress(FileExistsError):
                (programs / path.name).symlink_to(path)
    bare.environment["PATH"] = str(programs)
    bare.serve()
    assert well(bare) == (200, {"status": "ok"})
    (programs / "conmon").unlink()

    status, said = well(bare)

    assert (status, said["reasons"]) == (
        503,
        [
            {
                "subject": "conmon",
                "detail": "not installed",
                "hint": "apt-get install conmon",
            }
        ],
    )


def test_every_figure_is_told_of_in_the_documentation(begun):
    begun.write(STACK)
    begun.run("up", "-d")
    _, _, text = ask(begun, "/v1/metrics")
    told = (Path(__file__).parents[2] / "docs" / "watching.md").read_text()

    kinds = {"counter": "_total", "info": "_info"}
    names = [
        family.name + kinds.get(family.type, "")
        for family in text_string_to_metric_families(text)
        if family.name.startswith("pyorch")
    ]

    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in told] == []
