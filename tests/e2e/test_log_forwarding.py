"""What containers print arrives where `logging` says, and in `pyorch logs` all the same."""

import json
import os
import random
import re
import time

import pytest

from tests.e2e.test_logs import kill_daemon, wait_until
from tests.log_servers import Datagrams, Journal, Streams, make_certificates

pytestmark = pytest.mark.root

SEED = int(os.environ.get("PYORCH_SWEEP_SEED", "1"))
KILLS = int(os.environ.get("PYORCH_SWEEP_POINTS", "8"))


def stack(command, logging, more=""):
    """Return a stack of one service that runs a command of the shell."""
    return (
        "name: told\nservices:\n  web:\n    image: busybox\n    stop_grace_period: 0s\n"
        f"    command: [sh, -c, {json.dumps(command)}]\n    logging: {json.dumps(logging)}\n{more}"
    )


@pytest.fixture
def journal(bare, tmp_path):
    """The host's journal, as far as this pyorch knows."""
    path = tmp_path / "journal"
    bare.environment["PYORCH_JOURNAL"] = str(path)
    with Journal(path) as found:
        yield found


def texts(pyorch, *words):
    return pyorch.run("-p", "told", "logs", "--no-log-prefix", *words).splitlines()


@pytest.mark.attribute("services.*.logging.driver", "services.*.logging.options")
def test_a_line_is_in_the_journal_with_whose_it_is(journal, pyorch):
    logging = {
        "driver": "journald",
        "options": {
            "tag": "{{.Name}}/{{.ImageName}}",
            "labels": "com.docker.compose.service",
            "labels-regex": "^team",
            "env": "MODE",
            "env-regex": "^REGION",
        },
    }
    more = (
        "    labels: {team.name: core, other: x}\n"
        '    environment: {MODE: "a\\nb", REGION_1: eu, HUSH: x}\n'
    )
    pyorch.write(stack("echo ready; echo oops >&2; printf half; sleep 600", logging, more))
    pyorch.run("up", "-d")

    found = {one["MESSAGE"]: one for one in journal.until(b"oops")}
    pyorch.run("stop")
    found |= {one["MESSAGE"]: one for one in journal.until(b"half")}

    told = {name: text.decode() for name, text in found[b"ready"].items()}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", told.pop("SYSLOG_TIMESTAMP"))
    assert told == {
        "MESSAGE": "ready",
        "PRIORITY": "6",
        "CONTAINER_ID": "told.web.1",
        "CONTAINER_ID_FULL": "told.web.1",
        "CONTAINER_NAME": "told-web-1",
        "CONTAINER_TAG": "told-web-1/busybox",
        "IMAGE_NAME": "busybox",
        "SYSLOG_IDENTIFIER": "told-web-1/busybox",
        "COM_DOCKER_COMPOSE_SERVICE": "web",
        "TEAM_NAME": "core",
        "MODE": "a\nb",
        "REGION_1": "eu",
    }
    assert found[b"oops"]["PRIORITY"] == b"3"
    assert sorted(texts(pyorch)) == ["half", "oops", "ready"]


@pytest.mark.attribute("services.*.logging.driver", "services.*.logging.options")
@pytest.mark.parametrize("network", ["udp", "tcp", "tcp+tls", "unix", "unixgram"])
def test_a_line_comes_to_syslog(pyorch, tmp_path, network):
    files = make_certificates(tmp_path)
    tls = files.context(ask_client=True) if network == "tcp+tls" else None
    path = tmp_path / "socket" if network.startswith("unix") else None
    is_datagram = network in ("udp", "unixgram")
    kind = Datagrams if is_datagram else Streams
    with kind(path=path, **({} if is_datagram else {"tls": tls, "counted": tls is not None})) as to:
        options = {
            "syslog-address": f"{network}://{path or f'localhost:{to.port}'}",
            "syslog-facility": "local3",
            "syslog-format": "rfc5424micro",
            "tag": "{{.DaemonName}}/{{.FullID}}",
        }
        if tls is not None:
            options |= {
                "syslog-tls-ca-cert": files.authority,
                "syslog-tls-cert": files.client,
                "syslog-tls-key": files.client_key,
            }
        logging = {"driver": "syslog", "options": options}
        pyorch.write(stack("echo ready; echo oops >&2; sleep 600", logging))
        assert pyorch.try_("up", "-d").err.count("warning") == 0

        found = to.until(b" - oops") and to.until(b" - ready")

    at, tag = rb"\d{4}-\d\d-\d\dT[\d:]+\.\d{6}(Z|[+-][\d:]+)", rb"pyorch/told\.web\.1"
    for one in found:
        severity = b"155" if one.endswith(b"oops") else b"158"
        head = rb"<%s>1 %s \S+ %s \d+ %s - (ready|oops)" % (severity, at, tag, tag)
        assert re.fullmatch(head, one)


def test_nothing_is_left_out_while_logs_turn_over_and_the_daemon_is_killed(journal, pyorch):
    some = "n=0; while [ $$n -lt 40 ]; do echo $$i; i=$$((i+1)); n=$$((n+1)); done"
    line = f"i=1; while [ ! -e /go ]; do {some}; sleep 0.02; done; echo end; sleep 600"
    options = {"cache-max-size": "20k", "cache-max-file": "5000"}
    pyorch.write(stack(line, {"driver": "journald", "options": options}))
    pyorch.run("up", "-d")
    chance = random.Random(SEED)
    for _ in range(KILLS):
        count = len(journal.messages)
        journal.wait(lambda found, count=count: len(found) > count, "another line")
        time.sleep(chance.random() / 2)
        kill_daemon(pyorch)
        pyorch.run("-p", "told", "ps")
    pyorch.run("-p", "told", "exec", "-T", "web", "touch", "/go")

    found = [one["MESSAGE"].decode() for one in journal.until(b"end")]

    told = list(dict.fromkeys(found))
    assert told == [*map(str, range(1, len(told))), "end"], f"seed {SEED}"


def test_a_container_prints_on_while_nobody_takes_its_lines(journal, pyorch):
    journal.close()
    line = "i=1; while [ $$i -le 20000 ]; do echo $$i; i=$$((i+1)); done; touch /done; sleep 600"
    pyorch.write(stack(line, {"driver": "journald"}))
    pyorch.run("up", "-d")

    wait_until(
        lambda: pyorch.try_("-p", "told", "exec", "-T", "web", "ls", "/done").code == 0,
        "the container's getting on",
    )
    wait_until(lambda: pyorch.ps("told")["told-web-1"]["Forwarding"]["cause"], "the trouble")
    state = pyorch.client.get("/v1/stacks/told")
    with Journal(journal.path) as again:
        found = [one["MESSAGE"].decode() for one in again.until(b"20000")]

    assert found == [*map(str, range(1, 20001))]
    assert texts(pyorch, "--tail", "1") == ["20000"]
    (told,) = state["unmet"]
    assert told.startswith("services.web.logging: the journal cannot be reached, lines wait")
    assert str(journal.path) in told
    wait_until(lambda: not pyorch.ps("told")["told-web-1"]["Forwarding"]["cause"], "its end")


def test_what_goes_unsent_is_counted_and_the_log_itself_is_whole(journal, pyorch):
    journal.close()
    some = "n=0; while [ $$n -lt 400 ]; do echo $$i; i=$$((i+1)); n=$$((n+1)); done"
    line = f"i=1; while [ $$i -lt 40000 ]; do {some}; sleep 0.02; done; echo end; sleep 600"
    options = {"cache-max-size": "100k", "cache-max-file": "3"}
    pyorch.write(stack(line, {"driver": "journald", "options": options}))
    pyorch.run("up", "-d")

    def forwarding():
        return pyorch.ps("told")["told-web-1"]["Forwarding"]

    wait_until(lambda: forwarding()["unsent"], "the count")
    wait_until(lambda: texts(pyorch, "--tail", "1") == ["end"], "the last line")
    with Journal(journal.path) as again:
        found = [one["MESSAGE"].decode() for one in again.until(b"end")]
    # Only now: the oldest of it may go until a while after the last line.
    told = pyorch.try_("-p", "told", "logs", "--no-log-prefix")

    kept = told.out.splitlines()
    assert "lost" not in told.err
    assert kept == [*map(str, range(int(kept[0]), 40001)), "end"]
    # What was read before the trouble, and then what was kept when it ended.
    numbers = [*map(int, found[:-1])]
    read = next(at for at, number in enumerate(numbers, 1) if number != at) - 1
    assert numbers[read:] == [*range(numbers[read], 40001)]
    assert read < numbers[read] <= int(kept[0])


def test_last_words_of_a_stack_that_goes_arrive(journal, pyorch):
    line = "trap 'echo going; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    pyorch.write(stack(line, {"driver": "journald"}).replace("0s", "10s"))
    pyorch.run("up", "-d")
    journal.until(b"ready")

    pyorch.run("down")

    assert [one["MESSAGE"] for one in journal.messages] == [b"ready", b"going"]


def test_a_container_that_is_replaced_goes_on_where_its_file_says(journal, pyorch):
    with Datagrams() as to:
        pyorch.write(stack("echo first; sleep 600", {"driver": "journald"}))
        pyorch.run("up", "-d")
        journal.until(b"first")
        options = {"syslog-address": f"udp://127.0.0.1:{to.port}", "syslog-format": "rfc3164"}
        pyorch.write(stack("echo second; sleep 600", {"driver": "syslog", "options": options}))
        pyorch.run("up", "-d")
        (second,) = to.until(b"second")
        pyorch.write(stack("echo third; sleep 600", {"driver": "local"}))
        pyorch.run("up", "-d")
        wait_until(lambda: texts(pyorch) == ["first", "second", "third"], "all three")

    assert re.fullmatch(rb"<30>\w{3} [ \d]\d [\d:]{8} \S+ told\.web\.1\[\d+\]: second", second)
    assert [one["MESSAGE"] for one in journal.messages] == [b"first"]
    assert pyorch.ps("told")["told-web-1"]["Forwarding"] is None
