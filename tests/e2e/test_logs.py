"""What containers print is kept within bounds, and none of it is lost that need not be."""

import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runtime.logs.folder import list_segments
from runtime.logs.records import HEAD_SIZE
from tests.instance import PATIENCE

pytestmark = pytest.mark.root

COUNTING = """
name: count
services:
  web:
    image: busybox
    command: [sh, -c, "{command}"]
    stop_grace_period: 0s
    logging: {{driver: json-file, options: {options}}}
"""
SEED = int(os.environ.get("PYORCH_SWEEP_SEED", "1"))
KILLS = int(os.environ.get("PYORCH_SWEEP_POINTS", "4"))


def count(pyorch, command, options='{max-size: 200k, max-file: "5000"}'):
    """Bring up one container that runs ``command``."""
    pyorch.write(COUNTING.format(command=command, options=options))
    pyorch.run("up", "-d")


def folder_of(pyorch, replica="web/1", stack="count"):
    return pyorch.settings.logs_of(stack) / replica


def wait_until(so, what):
    deadline = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < deadline, f"{what} does not come"
        time.sleep(0.02)


def texts(pyorch, *words, stack="count"):
    return pyorch.run("-p", stack, "logs", "--no-log-prefix", *words).splitlines()


def until_end(pyorch, process=None):
    """Follow the log to the line that says end, and return it."""
    process = process or pyorch.start("-p", "count", "logs", "-f", "--no-log-prefix")
    found = []
    for text in process.stdout:
        found.append(text.strip())
        if found[-1] == "end":
            break
    process.terminate()
    process.communicate()
    return found


def kill_daemon(pyorch):
    """Kill the daemon; the next command starts another one."""
    pid = pyorch.daemon_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or is_zombie(pid), "the daemon's end")


def is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_what_a_program_has_read_is_not_taken_for_output_it_has_lost(pyorch):
    pyorch.write("""
name: reads
services:
  a: {image: busybox, command: sh -c 'echo one; cat /bin/busybox >/dev/null; sleep 0.5; echo two'}
""")
    pyorch.run("up", "-d")
    pyorch.until("reads", lambda state: state["replicas"][0]["phase"] == "exited")

    told = pyorch.try_("-p", "reads", "logs", "--no-log-prefix")

    assert told.out == "one\ntwo\n"
    assert "lost" not in told.err


def test_nothing_is_lost_while_logs_turn_over_and_the_daemon_is_killed(pyorch):
    some = "n=0; while [ $$n -lt 400 ]; do echo $$i; i=$$((i+1)); n=$$((n+1)); done"
    line = f"i=1; while [ ! -e /go ]; do {some}; sleep 0.02; done; echo end; sleep 600"
    count(pyorch, line)
    folder = folder_of(pyorch)
    chance = random.Random(SEED)
    for _ in range(KILLS):
        newest = list_segments(folder)[-1].number
        wait_until(lambda at=newest: list_segments(folder)[-1].number > at, "another file")
        time.sleep(chance.random() / 4)
        kill_daemon(pyorch)
        pyorch.run("-p", "count", "ps")
    pyorch.run("-p", "count", "exec", "-T", "web", "touch", "/go")

    found = until_end(pyorch)

    assert found == [*map(str, range(1, len(found))), "end"], f"seed {SEED}"
    assert list_segments(folder)[-1].number > KILLS
    assert not (folder / "lost.jsonl").exists()


@pytest.mark.attribute("services.*.logging.options")
def test_f42_a_log_stays_within_its_bounds_and_is_compressed(pyorch):
    some = "n=0; while [ $$n -lt 400 ]; do echo $$i; i=$$((i+1)); n=$$((n+1)); done"
    line = f"i=1; while [ $$i -lt 40000 ]; do {some}; sleep 0.02; done; echo end; sleep 600"
    count(pyorch, line, options='{max-size: 100k, max-file: "4"}')
    folder = folder_of(pyorch)

    wait_until(lambda: "end" in texts(pyorch, "--tail", "1"), "the last line")
    wait_until(lambda: any(one.packed for one in list_segments(folder)), "a compressed file")

    assert len(list_segments(folder)) <= 4
    packed = next(one.path for one in list_segments(folder) if one.packed)
    unpacked = subprocess.run(["zcat", packed], capture_output=True, check=True).stdout
    assert re.match(rb"\d{4}-\d\d-\d\dT\S+\+00:00 stdout F \d+\n", unpacked)
    numbers = texts(pyorch)[:-1]
    assert numbers == [*map(str, range(int(numbers[0]), int(numbers[-1]) + 1))]
    # How much is left depends on how fast a burst was; the newest always is.
    assert 1 < int(numbers[0]) < int(numbers[-1])


def test_f42_a_flood_is_told_of_with_how_much_went_too_soon(pyorch):
    # In pieces: what is printed at once is one file, and stays until there is a next.
    some = "n=0; while [ $$n -lt 400 ]; do echo $$i; i=$$((i+1)); n=$$((n+1)); done"
    count(
        pyorch,
        f"i=1; while [ ! -e /go ]; do {some}; sleep 0.02; done; sleep 600",
        options='{max-size: 20k, max-file: "2"}',
    )

    def told():
        lines = pyorch.settings.daemon_log.read_text().splitlines()
        found = [json.loads(one) for one in lines if '"replica.log_flooded"' in one]
        return [(one["stack"], one["subject"], int(one["reason"].split()[0])) for one in found]

    wait_until(told, "the flood")

    assert [one[:2] for one in told()] == [("count", "web.1")]
    assert told()[0][2] > 0


@pytest.mark.attribute("x-pyorch.logs")
def test_the_logs_of_a_stack_stay_below_its_cap(pyorch):
    some = "n=0; while [ $$n -lt 400 ]; do echo $$i; i=$$((i+1)); n=$$((n+1)); done"
    line = f"i=1; while [ $$i -lt 40000 ]; do {some}; sleep 0.02; done; echo end; sleep 600"
    text = COUNTING.format(command=line, options="{max-size: 50m}")
    pyorch.write(text + "    scale: 2\nx-pyorch: {logs: 1mb}\n")
    pyorch.run("up", "-d")

    wait_until(lambda: texts(pyorch, "--tail", "1") == ["end", "end"], "the last line")

    def size():
        found = [one for n in (1, 2) for one in list_segments(folder_of(pyorch, f"web/{n}"))]
        return sum(one.size for one in found)

    wait_until(lambda: size() <= 1024 * 1024, "a log below its cap")
    assert texts(pyorch, "--index", "2")[-1] == "end"


def test_logs_outlast_the_container_and_tell_runs_apart(pyorch):
    count(pyorch, "echo first; echo to the other >&2; sleep 600")
    count(pyorch, "echo second; sleep 600")
    wait_until(lambda: "second" in texts(pyorch), "the second container's line")

    assert sorted(texts(pyorch)) == ["first", "second", "to the other"]
    assert texts(pyorch)[-1] == "second"
    assert sorted(texts(pyorch, "--previous")) == ["first", "to the other"]
    assert texts(pyorch, "--since", "1h")[-1] == "second"
    assert texts(pyorch, "--until", "1h") == []
    assert texts(pyorch, "--index", "7") == []
    stamp = texts(pyorch, "-t", "--tail", "1")[0].split()[0]
    assert texts(pyorch, "--since", stamp) == ["second"]
    assert texts(pyorch, "--until", stamp)[-1] == "second"


def test_f42_whatever_is_printed_comes_out_byte_for_byte(pyorch):
    folder = folder_of(pyorch)
    odd = "\\\\033[31mred\\\\033[0m\\\\r\\\\377\\\\000x\\\\n"
    long = "busybox head -c 300000 /dev/zero | busybox tr '\\\\0' y"
    count(pyorch, f"printf '{odd}'; {long}; echo; sleep 600")
    wait_until(lambda: sum(one.size for one in list_segments(folder)) > 300_000, "both lines")

    process = pyorch.start("-p", "count", "logs", "--no-log-prefix")
    out = process.stdout.buffer.read()
    process.communicate()

    assert out == b"\x1b[31mred\x1b[0m\r\xff\x00x\n" + b"y" * 300_000 + b"\n"


@pytest.fixture
def small_disk(pyorch):
    """Logs have a disk of their own, of 512 KiB."""
    place = pyorch.settings.data / "logs"
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0755", "tmpfs", place], check=True
    )
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_f17_a_full_disk_holds_nobody_up_and_what_is_lost_is_told(pyorch, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(300 * 1024))
    line = (
        "i=1; while [ $$i -le 40000 ]; do echo line $$i; i=$$((i+1)); done; "
        "touch /done; while [ ! -e /go ]; do sleep 0.1; done; echo after; exit 5"
    )
    count(pyorch, line)

    def is_done():
        return pyorch.try_("-p", "count", "exec", "-T", "web", "ls", "/done").code == 0

    wait_until(is_done, "the container's getting on")
    filler.unlink()
    wait_until(lambda: "lost" in pyorch.try_("-p", "count", "logs").err, "the loss")
    pyorch.run("-p", "count", "exec", "-T", "web", "touch", "/go")
    pyorch.until("count", lambda state: state["replicas"][0]["phase"] == "exited")

    told = pyorch.try_("-p", "count", "logs", "--no-log-prefix")
    assert pyorch.ps("count")["count-web-1"]["ExitCode"] == 5
    assert "of output lost: no space left on the disk" in told.err
    assert told.out.splitlines()[0] == "line 1"
    assert told.out.splitlines()[-1] == "after"


def test_f17_a_single_line_that_was_lost_is_told_to_the_byte(pyorch, small_disk):
    # With its head and its end the first line is a page of the file: the next one needs another.
    first, lost = "x" * (4096 - HEAD_SIZE - 1), "lost" * 5
    step = "while [ ! -e /{0} ]; do sleep 0.05; done; echo {1}; touch /{0}.done; "
    line = step.format("one", first) + step.format("two", lost) + step.format("three", "after")
    count(pyorch, line + "sleep 600")

    def go_on(name):
        pyorch.run("-p", "count", "exec", "-T", "web", "touch", f"/{name}")
        done = f"/{name}.done"
        wait_until(
            lambda: pyorch.try_("-p", "count", "exec", "-T", "web", "ls", done).code == 0, done
        )

    go_on("one")
    wait_until(lambda: texts(pyorch) == [first], "the first line")
    with pytest.raises(OSError, match="No space left"):
        fill(small_disk / "filler")
    go_on("two")
    (small_disk / "filler").unlink()
    go_on("three")
    wait_until(lambda: "lost" in pyorch.try_("-p", "count", "logs").err, "the loss")

    assert texts(pyorch) == [first, "after"]
    (told,) = (folder_of(pyorch) / "lost.jsonl").read_text().splitlines()
    assert json.loads(told)["size"] == len(lost) + 1


def fill(path):
    """Write a file for as long as that is possible."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_reader_that_stands_still_holds_nobody_up(pyorch):
    line = "i=1; while [ $$i -le 60000 ]; do echo $$i; i=$$((i+1)); done; echo end; sleep 600"
    count(pyorch, "sleep 1; " + line)
    process = pyorch.start("-p", "count", "logs", "-f", "--no-log-prefix")
    os.kill(process.pid, signal.SIGSTOP)

    wait_until(lambda: texts(pyorch, "--tail", "1") == ["end"], "the last line")
    os.kill(process.pid, signal.SIGCONT)
    found = until_end(pyorch, process)

    assert found == [*map(str, range(1, 60001)), "end"]


@pytest.mark.attribute("services.*.logging.driver")
def test_a_driver_that_keeps_nothing_keeps_nothing(pyorch):
    pyorch.write(
        "name: count\nservices:\n  web:\n    image: busybox\n    stop_grace_period: 0s\n"
        "    command: [sh, -c, 'echo unheard; sleep 600']\n    logging: {driver: none}\n"
    )
    pyorch.run("up", "-d")

    told = pyorch.try_("-p", "count", "logs")

    assert (told.code, told.out) == (0, "")
    assert "web-1: the driver `none` keeps nothing" in told.err
    assert list_segments(folder_of(pyorch)) == ()


def test_a_driver_there_is_not_is_warned_about_and_files_are_kept(pyorch):
    pyorch.write(
        "name: count\nservices:\n  web:\n    image: busybox\n    stop_grace_period: 0s\n"
        "    command: [sh, -c, 'echo kept; sleep 600']\n"
        "    logging: {driver: gelf, options: {gelf-address: 'udp://h:1'}}\n"
    )
    done = pyorch.try_("up", "-d")

    assert done.code == 0
    assert done.err.count("there is no driver `gelf` here") == 1
    wait_until(lambda: texts(pyorch) == ["kept"], "the line")
