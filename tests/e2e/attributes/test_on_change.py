"""`x-pyorch.on_change`: other content of a config or a secret, and the same container."""

import hashlib
import os
import signal

import pytest

from tests.lab import eventually

pytestmark = pytest.mark.root

STACK = """
name: change
x-one: &one {image: busybox, stop_grace_period: 0s, init: false}
services:
  signalled:
    <<: *one
    configs: [hup]
    command:
      - sh
      - -c
      - |
        trap 'cat /hup >>/seen; echo >>/seen' USR1
        while :; do sleep 0.05; done
  executed: {<<: *one, command: sleep 1000, secrets: [{source: run, mode: 0400}]}
  restarted:
    <<: *one
    scale: 2
    configs: [{source: again, target: /etc/app/conf}]
    command: sh -c 'cat /etc/app/conf >>/seen; echo >>/seen; exec sleep 1000'
  quiet: {<<: *one, command: sleep 1000, configs: [silent]}
  anew: {<<: *one, command: sleep 1000, configs: [other]}
configs:
  hup: {file: ./hup, x-pyorch: {on_change: signal, signal: SIGUSR1}}
  again: {file: ./again, x-pyorch: {on_change: restart}}
  silent: {file: ./silent, x-pyorch: {on_change: none}}
  other: {file: ./other}
secrets:
  run:
    file: ./run
    x-pyorch: {on_change: exec, exec: [sh, -c, 'cat /run/secrets/run >>/seen'], timeout: 20s}
"""
FILES = {"hup": "a", "again": "a", "silent": "a", "other": "a", "run": "a"}
MADE = {"/hup": "signalled", "/run/secrets/run": "executed", "/silent": "quiet"}


def inside(pyorch, service, path):
    return pyorch.run("exec", "-T", service, "cat", path)


def runs(pyorch):
    """Return the first process of every container, and when it was made."""
    return {
        f"{one['service']}.{one['slot']}": (
            pyorch.main_process(f"change/{one['service']}.{one['slot']}"),
            one["created_wall"],
        )
        for one in pyorch.client.get("/v1/stacks/change")["replicas"]
    }


def begin(pyorch):
    for name, content in FILES.items():
        pyorch.write(content, name)
    pyorch.write(STACK)
    pyorch.run("up", "-d", "--wait")


@pytest.mark.attribute(
    "configs.*.x-pyorch.on_change",
    "configs.*.x-pyorch.signal",
    "secrets.*.x-pyorch.exec",
    "secrets.*.x-pyorch.on_change",
    "secrets.*.x-pyorch.timeout",
)
def test_other_content_is_there_at_once_and_what_the_file_says_is_done_and_no_more(pyorch):
    begin(pyorch)
    before = runs(pyorch)
    for name in ("hup", "run", "silent", "again"):
        pyorch.write("b" * 9000 + "\n", name)

    plan = pyorch.try_("plan")
    pyorch.run("up", "-d", "--wait")
    settled = pyorch.try_("plan")
    after = runs(pyorch)

    assert plan.code == 2
    lines = [line.partition(" ")[2] for line in plan.out.splitlines()]
    assert "refresh files of signalled.1: config hup has other content, sends SIGUSR1" in lines
    assert any(
        line.startswith("refresh files of executed.1: secret run has other content, runs `sh -c")
        for line in lines
    )
    assert "refresh files of quiet.1: config silent has other content" in lines
    assert "kill restarted.1: config again has other content" in lines
    assert not [line for line in lines if "anew" in line or "create" in line]
    assert settled.code == 0, settled.out
    text = "b" * 9000 + "\n"
    for path, service in MADE.items():
        assert inside(pyorch, service, path) == text
    eventually(lambda: inside(pyorch, "signalled", "/seen"), lambda seen: seen == text + "\n")
    assert inside(pyorch, "executed", "/seen") == text
    for number in ("1", "2"):
        seen = pyorch.run("exec", "-T", "--index", number, "restarted", "cat", "/seen")
        assert seen == "a\n" + text + "\n", "the same container, begun again"
    same = {"signalled.1", "executed.1", "quiet.1", "anew.1"}
    assert {name for name in before if before[name] == after[name]} == same
    assert {name: made for name, (_, made) in before.items()} == {
        name: made for name, (_, made) in after.items()
    }


@pytest.mark.attribute("configs.*.x-pyorch.on_change")
def test_what_was_changed_outlasts_a_restart_and_a_daemon_and_modes_stay(pyorch):
    begin(pyorch)
    pyorch.write("c", "hup")
    pyorch.write("c", "run")
    pyorch.run("up", "-d", "--wait")
    assert inside(pyorch, "signalled", "/hup") == "c"

    pyorch.run("daemon", "restart")
    pyorch.run("restart", "signalled", "executed")

    assert inside(pyorch, "signalled", "/hup") == "c"
    assert inside(pyorch, "executed", "/run/secrets/run") == "c"
    shown = pyorch.run("exec", "-T", "executed", "ls", "-l", "/run/secrets/run")
    assert shown.startswith("-r--------")
    denied = pyorch.try_("exec", "-T", "executed", "sh", "-c", "echo x >/run/secrets/run")
    assert denied.code != 0
    pyorch.write("d", "run")
    pyorch.run("up", "-d", "--wait")
    assert inside(pyorch, "executed", "/run/secrets/run") == "d"
    denied = pyorch.try_("exec", "-T", "executed", "sh", "-c", "echo x >/run/secrets/run")
    assert denied.code != 0, "still read-only"
    assert pyorch.try_("plan").code == 0


@pytest.mark.attribute("configs.*.x-pyorch.on_change")
def test_what_changes_while_its_container_is_stopped_is_there_when_it_starts(pyorch):
    begin(pyorch)
    pyorch.run("stop", "signalled")
    pyorch.write("later", "hup")
    pyorch.run("up", "-d", "--wait")

    assert inside(pyorch, "signalled", "/hup") == "later"
    assert pyorch.try_("exec", "-T", "signalled", "ls", "/seen").code != 0, "nobody was told"


EXCHANGED = """
name: change
x-one: &one {image: busybox, stop_grace_period: 0s}
services:
  signalled:
    <<: *one
    secrets: [hup]
    command: sh -c 'trap "cat /run/secrets/hup >>/seen" HUP; while :; do sleep 0.05; done'
  executed: {<<: *one, command: sleep 1000, configs: [run, slow]}
configs:
  run: {file: ./run, x-pyorch: {on_change: exec, exec: [sh, -c, 'cat /run >>/seen']}}
  slow: {file: ./silent, x-pyorch: {on_change: exec, exec: [sleep, "1000"], timeout: 300ms}}
secrets:
  hup: {file: ./hup, x-pyorch: {on_change: signal, signal: SIGHUP}}
"""


@pytest.mark.attribute(
    "configs.*.x-pyorch.exec",
    "configs.*.x-pyorch.timeout",
    "secrets.*.x-pyorch.signal",
)
def test_secrets_are_told_of_by_signals_and_configs_by_commands_which_end_in_time(pyorch):
    begin(pyorch)
    pyorch.write(EXCHANGED)
    pyorch.run("up", "-d", "--wait")
    before = runs(pyorch)
    for name in ("hup", "run", "silent"):
        pyorch.write("new", name)

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 0
    assert "Refreshed, but `sleep 1000` took too long" in done.err
    assert inside(pyorch, "executed", "/seen") == "new"
    eventually(
        lambda: pyorch.try_("exec", "-T", "signalled", "cat", "/seen").out,
        lambda seen: seen == "new",
    )
    assert runs(pyorch) == before
    assert pyorch.try_("plan").code == 0


READER = """
name: reads
services:
  a:
    image: busybox
    stop_grace_period: 0s
    configs: [big]
    command: sh -c 'while :; do busybox md5sum </big >>/sums; done'
configs: {big: {file: ./big, x-pyorch: {on_change: none}}}
"""


def test_a_reader_has_the_one_content_or_the_other_and_never_a_part(pyorch):
    wanted = set()
    for number in range(8):
        text = chr(ord("a") + number) * (100_000 + 40_000 * (number % 3))
        wanted.add(hashlib.md5(text.encode()).hexdigest())
        pyorch.write(text, "big")
        pyorch.write(READER)
        pyorch.run("up", "-d")
    eventually(
        lambda: inside_sums(pyorch), lambda found: hashlib.md5(text.encode()).hexdigest() in found
    )

    assert inside_sums(pyorch) <= wanted
    mounts = pyorch.run("exec", "-T", "a", "cat", "/proc/self/mountinfo")
    assert sum(" /big " in line for line in mounts.splitlines()) == 1, "nothing piles up"


def inside_sums(pyorch):
    return {line.split()[0] for line in pyorch.run("exec", "-T", "a", "cat", "/sums").splitlines()}


def test_a_daemon_that_dies_before_it_has_told_tells_again(pyorch):
    begin(pyorch)
    pyorch.write("x", "run")
    slow = STACK.replace("cat /run/secrets/run >>/seen", "echo x >>/begun; sleep 5; echo x >>/done")
    pyorch.write(slow)
    command = pyorch.start("up", "-d", "--wait")
    eventually(
        lambda: pyorch.try_("exec", "-T", "executed", "cat", "/begun").code, lambda code: code == 0
    )

    os.kill(pyorch.daemon_pid(), signal.SIGKILL)
    _, err = command.communicate(timeout=120)

    assert command.returncode == 0, err
    eventually(
        lambda: pyorch.try_("exec", "-T", "executed", "cat", "/done").code, lambda code: code == 0
    )
    assert len(inside(pyorch, "executed", "/begun").split()) == 2
    assert pyorch.try_("plan").code == 0


def test_a_command_that_fails_is_told_without_the_secret_and_not_run_again(pyorch):
    begin(pyorch)
    failing = STACK.replace("cat /run/secrets/run >>/seen", "cat /run/secrets/run; exit 3")
    pyorch.write("hush-hush", "run")
    pyorch.write(failing)

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 0
    assert "change-executed-1 Refreshed, but " in done.err
    assert "exited with 3" in done.err
    assert "hush" not in done.err + pyorch.run("-p", "change", "events")
    assert pyorch.try_("plan").code == 0


def test_a_place_the_container_has_covered_is_left_alone(pyorch):
    pyorch.write(
        "name: covers\nservices:\n  a: {image: busybox, privileged: true, command: sleep 1000,"
        " stop_grace_period: 0s, configs: [{source: c, target: /etc/app/conf}]}\n"
        "configs: {c: {file: ./c, x-pyorch: {on_change: none}}}\n"
    )
    pyorch.write("old", "c")
    pyorch.run("up", "-d")
    inside_it = "busybox mount -t tmpfs x /etc/app && ln -s /proc/version /etc/app/conf"
    pyorch.run("exec", "-T", "a", "sh", "-c", inside_it)
    pyorch.write("new", "c")

    pyorch.run("up", "-d")

    mounts = pyorch.run("exec", "-T", "a", "cat", "/proc/self/mountinfo")
    assert " /proc/version " not in mounts
    pyorch.run("exec", "-T", "a", "busybox", "umount", "/etc/app")
    assert pyorch.try_("plan").code == 0
    pyorch.run("restart", "a")
    assert inside(pyorch, "a", "/etc/app/conf") == "new"
