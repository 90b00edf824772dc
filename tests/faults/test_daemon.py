"""The daemon is killed, stopped, started twice: what runs does not notice."""

import json
import os
import signal
import threading

import pytest

from tests.faults.acts import (
    SHOPS,
    bring_up,
    end,
    is_gone,
    kill_daemon,
    main_processes,
    settle,
    sleeper,
    state_of,
)
from tests.invariants import TICKING, check_invariants
from tests.lab import HOST, WITH_PYTHON, eventually
from tests.sweep.traced import Point, Traced

pytestmark = pytest.mark.root

SERVING = f"""
name: shop
services:
  web:{WITH_PYTHON}
    command: "/usr/bin/python3 /answer.py 80"
    ports: ["8080:80"]
    restart: always
  ticker:{TICKING}
    restart: always
volumes: {{ticks: }}
"""
KILLS = 10
STUBBORN = """
name: slow
services:
  one:
    image: busybox
    command: sh -c "trap '' TERM; while :; do sleep 0.1; done"
    stop_grace_period: 3s
"""
POLITE = """
name: slow
services:
  one:
    image: busybox
    command: sh -c "trap 'exit 7' TERM; while :; do sleep 0.1; done"
    stop_grace_period: 1h
"""


def test_f1_a_daemon_killed_again_and_again_is_noticed_by_nobody(lab):
    bring_up(lab.pyorch, SERVING)
    before = main_processes(lab.pyorch)
    answers, over = [], threading.Event()

    def ask():
        while not over.is_set():
            answers.append(lab.tcp("stranger", HOST, 8080))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(KILLS):
            kill_daemon(lab.pyorch)
            asked = len(answers)
            eventually(lambda asked=asked: len(answers) > asked + 5, bool)
            lab.pyorch.run("ls")
    finally:
        over.set()
        asking.join()

    assert [one for one in answers if not one.startswith("web-1")] == []
    assert main_processes(lab.pyorch) == before
    assert lab.pyorch.try_("plan").code == 0
    check_invariants(lab.pyorch)


def test_f4_a_stop_goes_on_to_the_same_deadline_under_the_next_daemon(pyorch):
    bring_up(pyorch, STUBBORN)
    stopping = pyorch.start("stop")
    pyorch.until("slow", lambda state: state["replicas"][0]["phase"] == "stopping")
    deadline = state_of(pyorch, "slow.one.1")["stop_by"]

    kill_daemon(pyorch)
    end(stopping)
    pyorch.run("ls")
    assert state_of(pyorch, "slow.one.1")["stop_by"] == deadline
    pyorch.until("slow", lambda state: state["replicas"][0]["phase"] == "exited")

    ended = state_of(pyorch, "slow.one.1")
    assert ended["stop_by"] == deadline
    assert ended["ended"] >= deadline, "nobody is killed before their time"
    assert pyorch.ps("slow")["slow-one-1"]["ExitCode"] == 137
    check_invariants(pyorch)


def test_f4_a_signal_the_daemon_died_before_sending_is_sent_by_the_next(pyorch):
    bring_up(pyorch, POLITE)
    pyorch.run("daemon", "stop")
    traced = Traced(pyorch, Point("pidfd_send_signal", 1))
    traced.wait_until_it_answers_or_is_dead()
    stopping = pyorch.start("stop")
    traced.wait_until_fired_or(stopping)
    traced.abandon()
    end(stopping)
    noted = state_of(pyorch, "slow.one.1")

    pyorch.run("ls")

    pyorch.until("slow", lambda state: state["replicas"][0]["phase"] == "exited")
    assert (noted["owed"], noted["code"]) == (signal.SIGTERM, None)
    assert pyorch.ps("slow")["slow-one-1"]["ExitCode"] == 7
    check_invariants(pyorch)


def test_f33_a_second_daemon_is_refused_whatever_the_first_one_does(pyorch):
    bring_up(pyorch)
    daemon = pyorch.daemon_pid()

    refused = pyorch.try_("daemon", "run")
    os.kill(daemon, signal.SIGSTOP)
    refused_again = pyorch.try_("daemon", "run")
    os.kill(daemon, signal.SIGCONT)

    for done in (refused, refused_again):
        assert done.code == 100
        assert f"pid {daemon}" in done.err
    check_invariants(pyorch)


def test_f33_the_lock_of_a_daemon_that_died_holds_nobody_back(pyorch):
    bring_up(pyorch)
    kill_daemon(pyorch)
    other = sleeper()
    try:
        (pyorch.settings.data / "daemon.lock").write_text(str(other.pid))
        pyorch.run("ls")

        assert pyorch.daemon_pid() != other.pid
        assert other.poll() is None
        check_invariants(pyorch)
    finally:
        end(other)


def test_f43_a_process_that_has_got_the_number_of_a_container_is_left_alone(pyorch):
    bring_up(pyorch)
    web, ticker = main_processes(pyorch).values()
    kill_daemon(pyorch)
    os.kill(web, signal.SIGKILL)
    eventually(lambda: is_gone(web), bool)
    stranger = sleeper()
    path = pyorch.settings.data / "containers" / "shop.web.1" / "state.json"
    path.write_text(json.dumps({**state_of(pyorch, "shop.web.1"), "pid": stranger.pid}))
    try:
        pyorch.run("ls")
        settle(pyorch)
        pyorch.run("restart", "web")
        settle(pyorch)

        assert stranger.poll() is None
        assert pyorch.main_process("shop/web.1") not in (web, stranger.pid)
        assert pyorch.main_process("shop/ticker.1") == ticker
        check_invariants(pyorch)
    finally:
        end(stranger)


def test_f44_a_daemon_that_stood_still_finds_out_what_it_missed(lab):
    bring_up(lab.pyorch, SERVING)
    before = main_processes(lab.pyorch)
    daemon = lab.pyorch.daemon_pid()

    os.kill(daemon, signal.SIGSTOP)
    lab.nft("flush ruleset")
    os.kill(before["shop/web.1"], signal.SIGKILL)
    eventually(lambda: is_gone(before["shop/web.1"]), bool)
    os.kill(daemon, signal.SIGCONT)

    eventually(lambda: lab.tcp("stranger", HOST, 8080), lambda a: a.startswith("web-1"))
    settle(lab.pyorch)
    after = main_processes(lab.pyorch, SHOPS)
    assert after["shop/ticker.1"] == before["shop/ticker.1"]
    assert lab.pyorch.daemon_pid() == daemon
    check_invariants(lab.pyorch)
