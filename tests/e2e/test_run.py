"""A service run once: as a task, as a shell, beside what runs and without disturbing it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import Terminal

pytestmark = pytest.mark.root

SHOP = """
name: shop
services:
  db:
    image: busybox
    command: sleep 1000
    healthcheck: {test: "test -e /tmp/ready || { touch /tmp/ready; false; }", interval: 100ms}
    stop_grace_period: 0s
  web:
    image: busybox
    command: sh -c 'echo hello from web; exit 3'
    environment: {COLOUR: red, SHAPE: round}
    depends_on: {db: {condition: service_healthy}}
    ports: ["127.0.0.1::80"]
    volumes: [/scratch]
    networks: {default: {aliases: [shopfront]}}
    stop_grace_period: 0s
"""


@pytest.fixture
def shop(pyorch):
    pyorch.write(SHOP)
    return pyorch


FAILING = """
name: shop
services:
  db: {image: busybox, command: sh -c 'exit 5'}
  web: {image: busybox, depends_on: {db: {condition: service_completed_successfully}}}
"""


def one_offs(pyorch):
    """Return the runs `ps -a` lists, by name."""
    listed = pyorch.ps("shop")
    return {name: one for name, one in listed.items() if "pyorch.oneoff=" in one["Labels"]}


def test_a_run_waits_for_what_its_service_waits_for_and_ends_with_its_code(shop):
    done = shop.try_("run", "web")

    assert (done.code, done.out) == (3, "hello from web\n")
    assert "waits: db is not healthy yet" in done.err
    (name,) = one_offs(shop)
    assert name.startswith("shop-web-run-")
    assert one_offs(shop)[name]["State"] == "exited"
    assert shop.ps("shop")["shop-db-1"]["Health"] == "healthy"
    assert "shop-web-1" not in shop.ps("shop")


def test_a_run_that_is_not_kept_leaves_nothing_behind(shop):
    shop.try_("run", "--rm", "--no-deps", "web")

    assert shop.ps("shop") == {}
    assert shop.run("volume", "ls", "-q") == ""
    assert list(shop.settings.logs_of("shop").glob("web-run-*")) == []


def test_input_goes_in_and_output_comes_out_byte_by_byte(shop):
    data = os.urandom(3_000_000)
    program = Path(sys.executable).parent / "pyorch"

    done = subprocess.run(
        [program, "run", "--rm", "--no-deps", "-T", "web", "cat"],
        cwd=shop.work,
        env=shop.environment,
        input=data,
        capture_output=True,
        check=True,
    )

    assert done.stdout == data


def test_what_is_given_on_the_command_line_is_in_effect(shop):
    shop.write("SHAPE=square\nSIZE=large\n", "more.env")
    shop.work.joinpath("notes").mkdir()
    shop.work.joinpath("notes", "today").write_text("remember\n")
    line = ["--env-from-file", "more.env", "-e", "COLOUR=blue", "-u", "web", "-w", "/tmp"]
    line += ["-v", "./notes:/notes:ro", "-l", "made=by-hand", "--entrypoint", "sh -c"]
    line += ["--name", "once", "--cap-drop", "CHOWN", "--cap-add", "NET_RAW"]

    said = shop.run(
        *("run", "--no-deps", *line, "web"),
        "echo $COLOUR $SHAPE $SIZE; id -u; cat ../notes/today; touch /notes/x || true",
    )

    assert said == "blue square large\n7\nremember\n"
    assert "made=by-hand" in shop.ps("shop")["once"]["Labels"]


def test_ports_are_published_only_where_that_is_asked_for(shop):
    serve = ["run", "-d", "--no-deps", "web", "sleep", "1000"]

    plain = shop.run(*serve).strip()
    own = shop.run(serve[0], "-P", *serve[1:]).strip()
    other = shop.run(serve[0], "-p", "127.0.0.1::99", *serve[1:]).strip()

    listed = shop.ps("shop")
    assert listed[plain]["Ports"] == ""
    assert listed[own]["Ports"].endswith("->80/tcp")
    assert listed[other]["Ports"].endswith("->99/tcp")


def test_a_run_answers_to_its_services_names_only_where_that_is_asked_for(shop):
    shop.run("run", "-d", "--no-deps", "--name", "plain", "web", "sleep", "1000")

    assert shop.try_("run", "--rm", "web", "nslookup", "shopfront").code == 1

    shop.run("run", "-d", "--no-deps", "--use-aliases", "web", "sleep", "1000")
    for name in ("shopfront", "web"):
        shop.run("run", "--rm", "web", "nslookup", name)


def test_up_leaves_a_run_alone_and_so_does_the_end_of_the_daemon(shop):
    wait = "while [ ! -e /tmp/go ]; do sleep 0.1; done"
    shop.run("run", "-d", "--rm", "web", "sh", "-c", wait)
    replicas = shop.client.get("/v1/stacks/shop")["replicas"]
    (name,) = (one["service"] for one in replicas if one["one_off"])
    main = shop.main_process(f"shop/{name}.1")

    shop.write(SHOP.replace("hello from web; exit 3", "hello again; sleep 1000"))
    shop.run("up", "-d")
    os.kill(shop.daemon_pid(), signal.SIGKILL)
    shop.run("ls")

    assert shop.main_process(f"shop/{name}.1") == main
    shop.run("exec", "-T", name, "touch", "/tmp/go")
    shop.until("shop", lambda state: not any(one["one_off"] for one in state["replicas"]))


def test_a_run_whose_dependency_fails_is_not_begun(shop):
    shop.write(FAILING)

    done = shop.try_("run", "--rm", "web", "echo", "never")

    assert (done.code, done.out) == (1, "")
    assert "db exited with 5" in done.err
    shop.until("shop", lambda state: not any(one["one_off"] for one in state["replicas"]))


def test_a_signal_is_passed_on(shop):
    waits = "trap 'exit 9' TERM; echo on; while :; do sleep 0.1; done"
    going = shop.start("run", "--rm", "--no-deps", "web", "sh", "-c", waits)
    assert going.stdout.readline() == "on\n"

    going.send_signal(signal.SIGTERM)

    going.communicate(timeout=60)
    assert going.returncode == 9


def test_ended_runs_go_with_rm_and_as_orphans(shop):
    shop.try_("run", "--no-deps", "web")
    shop.run("rm", "-f", "web")
    assert one_offs(shop) == {}

    shop.try_("run", "--no-deps", "web")
    shop.run("run", "--rm", "--no-deps", "--remove-orphans", "web", "true")
    shop.until("shop", lambda state: not any(one["one_off"] for one in state["replicas"]))


def test_on_a_terminal_a_run_has_one_whose_size_and_keys_are_this_ones(shop):
    shows = "trap 'busybox stty size' WINCH; trap 'exit 4' INT; tty; busybox stty size"
    line = ["run", "--rm", "--no-deps", "web", "sh", "-c", f"{shows}; while :; do sleep 0.1; done"]

    with Terminal(shop, *line, columns=93, rows=31) as screen:
        assert "/dev/" in screen.until("31 93")
        screen.resize(71, 20)
        screen.until("20 71")
        screen.type("\x03")
        assert screen.end()[0] == 4

    assert shop.ps("shop") == {}


ECHO = """
name: echo
services:
  echo:
    image: busybox
    command: sh -c 'trap "exit 6" TERM; while read word; do echo got $$word; done; sleep 1000'
    stdin_open: true
    tty: false
    stop_grace_period: 0s
"""


def test_who_attaches_talks_to_the_process_and_may_leave_it(pyorch):
    pyorch.write(ECHO.replace("tty: false", "tty: true"))
    pyorch.run("up", "-d")

    with Terminal(pyorch, "attach", "echo") as screen:
        screen.type("one\n")
        screen.until("got one")
        screen.type("\x10\x11")
        code, shown = screen.end()

    assert code == 0
    assert "detached" in shown
    assert pyorch.ps("echo")["echo-echo-1"]["State"] == "running"
    with Terminal(pyorch, "attach", "--detach-keys", "ctrl-x", "echo") as screen:
        screen.type("two\n")
        screen.until("got two")
        screen.type("\x18")
        assert screen.end()[0] == 0


def test_who_attaches_passes_signals_on_and_returns_the_code(pyorch):
    pyorch.write(ECHO)
    pyorch.run("up", "-d")

    attached = pyorch.start("attach", "echo", stdin=subprocess.PIPE)
    attached.stdin.write("one\n")
    attached.stdin.flush()
    assert attached.stdout.readline() == "got one\n"
    attached.send_signal(signal.SIGTERM)

    attached.communicate(timeout=60)
    assert attached.returncode == 6


def test_who_only_listens_hears_and_takes_nobody_along(pyorch):
    pyorch.write(
        ECHO.replace("while read word; do echo got $$word", "while sleep 0.1; do echo tick")
    )
    pyorch.run("up", "-d")

    listening = pyorch.start("attach", "--no-stdin", "--sig-proxy=false", "echo")
    assert listening.stdout.readline().strip() == "tick"
    listening.send_signal(signal.SIGTERM)

    listening.communicate(timeout=60)
    assert listening.returncode == -signal.SIGTERM
    assert pyorch.ps("echo")["echo-echo-1"]["State"] == "running"
