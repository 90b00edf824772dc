"""What a person reads after a mistake: one clear line, and nothing half done."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root


def up(pyorch, text):
    pyorch.write(text)
    return pyorch.try_("up", "-d", "--wait")


def test_a_missing_image_is_named_with_the_way_to_get_it(pyorch):
    done = up(
        pyorch, "name: x\nservices: {a: {image: 'localhost:1/nothing', pull_policy: never}}\n"
    )

    assert done.code == 1
    assert "localhost:1/nothing" in done.err
    assert "`pyorch image load ARCHIVE`" in done.err
    assert "Traceback" not in done.err


def test_a_port_in_use_names_who_holds_it(pyorch):
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = up(
            pyorch,
            "name: x\nservices:\n"
            f"  a: {{image: busybox, command: sleep 9, ports: ['{port}:80']}}\n",
        )

    assert done.code == 1
    assert str(port) in done.err
    assert Path("/proc/self/comm").read_text().strip() in done.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("services: {a: {imagee: busybox}}", ["stack.yml:1:", "imagee", "image"]),
        ("services: {a: {image: busybox, scale: many}}", ["stack.yml:1:", "scale"]),
        ("services: {a: {image: x, depends_on: [b]}}", ["stack.yml:1:", "`b`"]),
        (
            "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}",
            ["a -> b -> a", "hint: "],
        ),
        ("services: {a: {image: x, volumes: ['data:/data']}}", ["stack.yml:1:", "data"]),
        ("services: {a: {image: x, env_file: nope.env}}", ["nope.env"]),
        ("services: [", ["stack.yml:"]),
    ],
)
def test_a_mistake_in_the_file_is_shown_where_it_is(bare, text, expected):
    done = up(bare, "name: x\n" + text + "\n")

    assert done.code == 1
    for word in expected:
        assert word.replace(":1:", ":2:") in done.err
    assert "Traceback" not in done.err
    assert "\x1b" not in done.err


def test_a_mistake_is_shown_under_its_line_with_what_to_try(bare):
    done = up(bare, "name: x\nservices:\n  a:\n    imagee: busybox\n    image: busybox\n")

    assert done.err.splitlines() == [
        "error: stack.yml:4:5: services.a.imagee: unknown key",
        "  4 |     imagee: busybox",
        "    |     ^",
        "hint: did you mean `image`?",
    ]


def test_without_root_one_sentence_says_so(bare):
    program = (
        "import os, sys, orchestrator.cli.ls, orchestrator.client.launch as _;"
        "os.setuid(65534); sys.exit(orchestrator.cli.run(['ls']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**bare.environment, "PYORCH_RUN": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: pyorch needs root to run containers",
        "hint: try again with sudo",
    ]


def test_a_broken_archive_is_refused_and_leaves_nothing(bare):
    (bare.work / "broken.tar").write_bytes(b"not a tarball" * 100)

    done = bare.try_("image", "load", "broken.tar")

    assert done.code == 1
    assert "broken.tar" in done.err
    assert bare.run("image", "ls", "-q") == ""


@pytest.mark.parametrize("flag", ["--nonsense", "nonsense"])
def test_a_wrong_word_is_one_line(bare, flag):
    done = bare.try_(flag)

    assert done.code == 1
    assert done.err.startswith("error: ")


def test_a_daemon_that_cannot_start_says_why(bare):
    bare.settings.data.mkdir(parents=True)
    (bare.settings.data / "state.db").write_bytes(b"this is no database" * 100)

    done = bare.try_("ls")

    assert done.code == 1
    assert "state.db" in done.err
    assert "move it aside" in done.err
    assert "Traceback" not in done.err
    (bare.settings.data / "state.db").unlink()


def test_a_number_of_lines_that_is_none_is_refused_by_name(bare):
    done = bare.try_("-p", "x", "logs", "-n", "many")

    assert done.code == 1
    assert done.err.splitlines() == [
        "error: argument -n/--tail: `many` is no number of lines, and not `all`",
        "hint: `pyorch logs --help` lists what there is",
    ]


def test_waiting_ends_in_time_and_tells_what_is_missing(pyorch):
    pyorch.write(
        """
        name: x
        services:
          sick:
            image: busybox
            command: sleep 99
            stop_grace_period: 0s
            healthcheck: {test: exit 1, interval: 1h, start_interval: 1h, start_period: 1h}
          nowhere: {image: "localhost:1/nothing"}
        """
    )
    done = pyorch.try_("up", "--wait", "--wait-timeout", "2")

    assert done.code == 1
    told = next(line for line in done.err.splitlines() if line.startswith("error: "))
    assert told.startswith("error: stack `x` is not healthy after 2 s: ")
    assert "cannot pull image `localhost:1/nothing:latest`" in told
    assert "sick.1: starting" in told


def test_a_command_gives_up_where_only_errors_come_and_the_daemon_goes_on(pyorch):
    pyorch.environment["PYORCH_GIVE_UP"] = "2"
    pyorch.write(
        'name: x\nservices: {a: {image: "localhost:1/nothing"},'
        " b: {image: busybox, command: sleep 9}}\n"
    )
    done = pyorch.try_("up", "-d")

    assert done.code == 1
    *_, told, hint = done.err.splitlines()
    assert told.startswith("error: stack `x`: cannot pull image `localhost:1/nothing:latest`: ")
    assert hint.startswith("hint: the daemon goes on trying")
    why = pyorch.run("why", "a").splitlines()
    assert why[0] == "a has no container"
    assert why[1].startswith("  cannot go on: cannot pull image `localhost:1/nothing:latest`: ")
    pyorch.run("-p", "x", "down")


def test_a_job_that_failed_comes_with_the_way_to_run_it_again(pyorch):
    pyorch.write("name: x\nservices: {a: {image: busybox, command: sh -c 'exit 3'}}\n")
    done = pyorch.try_("up")

    assert done.code == 1
    assert done.err.splitlines()[-2:] == [
        "error: stack `x`: a.1 exited with 3",
        "hint: what has failed stays so; `pyorch up` runs it again",
    ]


def test_a_service_nobody_named_is_said_to_be_none(pyorch):
    assert up(pyorch, "name: x\nservices: {a: {image: busybox, command: sleep 9}}\n").code == 0

    for words in (["logs", "b"], ["ps", "b"], ["exec", "-T", "b", "true"]):
        done = pyorch.try_("-p", "x", *words)
        assert done.code == 1
        assert done.err.splitlines() == [
            "error: no such service in stack `x`: `b`",
            "hint: there are a",
        ]


def test_exec_in_a_replica_that_is_not_there_names_those_that_are(pyorch):
    assert up(pyorch, "name: x\nservices: {a: {image: busybox, command: sleep 9}}\n").code == 0

    done = pyorch.try_("-p", "x", "exec", "-T", "--index", "4", "a", "true")

    assert done.code == 1
    assert done.err.splitlines() == [
        "error: replica 4 of service `a` of stack `x` does not run",
        "hint: what runs of it: 1",
    ]


def test_a_plan_without_a_daemon_says_what_it_is_for(bare):
    bare.write("name: x\nservices: {a: {image: busybox}}\n")
    done = bare.try_("plan")

    assert done.code == 2
    assert done.err == "note: no daemon runs; this is the plan for a machine with nothing on it\n"


def test_exec_takes_the_flags_hands_are_used_to(pyorch):
    assert up(pyorch, "name: x\nservices: {a: {image: busybox, command: sleep 9}}\n").code == 0

    assert pyorch.run("-p", "x", "exec", "-it", "a", "echo", "-it") == "-it\n"


def test_an_unknown_option_leads_to_the_help_of_its_command(bare):
    done = bare.try_("up", "--detached")

    assert done.code == 1
    assert done.err.splitlines() == [
        "error: unrecognized arguments: --detached",
        "hint: `pyorch up --help` lists what there is",
    ]
