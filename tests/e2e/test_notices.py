"""`x-pyorch.notify`: somebody outside is told by the real daemon what happened to a real stack."""

import contextlib
import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e.test_watched import on_a_disk_of_its_own
from tests.instance import PATIENCE, Pyorch, new_name

pytestmark = pytest.mark.root

STACK = """
name: told
x-one: &one {{image: busybox, stop_grace_period: 0s, restart: always}}
services:
  fails: {{<<: *one, command: sh -c 'exit 7'}}
  ill:
    <<: *one
    command: sh -c 'touch /well; exec sleep 1000'
    healthcheck: {{test: test -e /well, interval: 100ms, retries: 1}}
x-pyorch:
  notify:
    - webhook: "http://127.0.0.1:{port}/geheim"
      on: [crash_loop, heal, rollback]
    - command: [/bin/sh, -c, 'cat >>"$$0"', "{file}"]
      on: [crash_loop]
    - webhook: "http://127.0.0.1:1/geheim"
      on: [crash_loop]
"""


class _Ear(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.heard.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def ear():
    """A server on this machine; `ear.heard` are the facts it was told."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Ear)
    server.heard = queue.Queue()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def until_heard(ear, **wanted):
    """Return the first fact that is so."""
    while True:
        fact = ear.heard.get(timeout=PATIENCE)
        if wanted.items() <= fact.items():
            return fact


@pytest.mark.attribute(
    "x-pyorch.notify.*.command",
    "x-pyorch.notify.*.on",
    "x-pyorch.notify.*.webhook",
)
def test_a_crash_loop_a_heal_and_a_rollback_are_told_where_the_file_says(pyorch, ear, tmp_path):
    file = tmp_path / "facts"
    text = STACK.format(port=ear.server_port, file=file)
    pyorch.write(text)
    pyorch.run("up", "-d")

    loop = until_heard(ear, kind="crash_loop")
    pyorch.run("exec", "-T", "ill", "busybox", "rm", "/well")
    heal = until_heard(ear, kind="heal")
    pyorch.write(text.replace("sleep 1000", "sleep 2000"))
    pyorch.run("up", "-d")
    pyorch.run("rollback")
    back = until_heard(ear, kind="rollback")

    assert (loop["event"], loop["subject"]) == ("replica.crash_looping", "fails.1")
    assert loop["reason"].startswith("3 restarts in a row; exited with 7")
    assert (heal["event"], heal["subject"]) == ("replica.healing", "ill.1")
    assert back["reason"] == "to generation 1, which is generation 3 now"
    assert {one["stack"] for one in (loop, heal, back)} == {"told"}
    assert {one["instance"] for one in (loop, heal, back)} == {pyorch.name}
    assert json.loads(file.read_text().splitlines()[0])["event"] == "replica.crash_looping"
    for words in (["events"], ["diff", "1", "2"], ["describe"], ["history"]):
        assert "geheim" not in pyorch.run("-p", "told", *words)
    log = pyorch.settings.daemon_log
    assert not log.exists() or "geheim" not in log.read_text()


FULL = """
name: full
services:
  a: {{image: busybox, command: sleep 1000, stop_grace_period: 0s}}
x-pyorch: {{notify: [{{webhook: "http://127.0.0.1:{port}/", on: [disk], timeout: 5s}}]}}
"""


@pytest.mark.attribute("x-pyorch.notify.*.timeout")
def test_a_disk_that_is_nearly_full_is_told_and_so_is_that_there_is_room_again(
    ear, tmp_path, busybox
):
    pyorch = Pyorch(name=new_name(), home=tmp_path / "p")
    pyorch.environment["PYORCH_DISK_LIMIT"] = "60"
    with on_a_disk_of_its_own(pyorch, "24m") as data:
        pyorch.run("image", "import", str(busybox), "busybox")
        pyorch.write(FULL.format(port=ear.server_port))
        pyorch.run("up", "-d", "--wait")
        with contextlib.suppress(OSError):
            (data / "ballast").write_bytes(b"x" * 16_000_000)

        full = until_heard(ear, event="disk.nearly_full")
        (data / "ballast").unlink()
        room = until_heard(ear, event="disk.has_room")

        assert full["kind"] == room["kind"] == "disk"
        assert f" % of the space of {data} is used, " in full["reason"]
        assert "`pyorch image prune`" in full["reason"]
        told = [line for line in pyorch.run("-p", "full", "events").splitlines() if "disk" in line]
        assert len(told) == 2
