"""The programs people have take lines as they are meant: a real rsyslog, a real journald.

rsyslog runs in a container of the same pyorch, from this distribution's package. journald runs
beside the host's own, with a ``/run`` and a ``/var/log`` of its own.
"""

import contextlib
import json
import socket
import subprocess

import pytest

from tests.e2e.test_build_services import import_base
from tests.e2e.test_logs import wait_until
from tests.log_servers import make_certificates

pytestmark = pytest.mark.root

JOURNALD = "/lib/systemd/systemd-journald"
NAMESPACE = "told"
LONG = "größer " * 3000
"""More bytes than a message of syslog has, or a datagram to the journal usually may have."""

RSYSLOG = """\
global(defaultNetstreamDriverCAFile="/tls/ca.pem" defaultNetstreamDriverCertFile="/tls/server.pem"
       defaultNetstreamDriverKeyFile="/tls/server.key" maxMessageSize="64k")
module(load="imudp") module(load="imptcp")
module(load="imuxsock" sysSock.use="off")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1"
       streamDriver.authMode="x509/certvalid")
input(type="imudp" port="514")
input(type="imptcp" port="514")
input(type="imptcp" path="/seen/stream" unlink="on")
input(type="imtcp" port="6514")
input(type="imuxsock" socket="/seen/datagrams" useSysTimeStamp="off")
template(name="told" type="list" option.jsonf="on") {
  property(name="syslogfacility-text" outname="facility" format="jsonf")
  property(name="syslogseverity-text" outname="severity" format="jsonf")
  property(name="programname" outname="program" format="jsonf")
  property(name="timereported" outname="at" format="jsonf" dateFormat="rfc3339")
  property(name="msg" outname="text" format="jsonf")
}
if $programname startswith "told." then action(type="omfile" file="/seen/lines" template="told")
"""
RECEIVER = """\
name: logs
services:
  rsyslog:
    image: rsyslog
    command: [rsyslogd, -n, -i, NONE, -f, /etc/told.conf]
    ports: ["127.0.0.1:{port}:514/udp", "127.0.0.1:{port}:514", "127.0.0.1:{tls}:6514"]
    volumes: ["./seen:/seen", "./tls:/tls:ro", "./told.conf:/etc/told.conf:ro"]
    stop_grace_period: 10s
"""


def service(logging):
    command = (
        f"echo ready; echo oops >&2; echo '{LONG}'; "
        "while [ ! -e /go ]; do sleep 0.1; done; echo again; sleep 600"
    )
    return {
        "image": "busybox",
        "command": ["sh", "-c", command.replace("$", "$$")],
        "stop_grace_period": "0s",
        "logging": logging,
    }


@pytest.fixture
def another_port():
    """Another port of the host nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


@pytest.fixture
def rsyslog(pyorch, free_port, another_port):
    """Have rsyslog listen; return its options of ``logging``, by the service that has them."""
    for name in ("seen", "tls"):
        (pyorch.work / name).mkdir()
    files = make_certificates(pyorch.work / "tls")
    (pyorch.work / "told.conf").write_text(RSYSLOG)
    import_base(pyorch, "rsyslog", "rsyslog")
    pyorch.write(RECEIVER.format(port=free_port, tls=another_port), "logs.yml")
    pyorch.run("-f", "logs.yml", "up", "-d")
    wait_until((pyorch.work / "seen/stream").exists, "rsyslog")
    seen = pyorch.work / "seen"
    trusted = {"syslog-tls-ca-cert": files.authority}
    return {
        "udp": {"syslog-address": f"udp://127.0.0.1:{free_port}", "syslog-format": "rfc3164"},
        "tcp": {"syslog-address": f"tcp://127.0.0.1:{free_port}", "syslog-format": "rfc5424"},
        "counted": {
            "syslog-address": f"tcp+tls://localhost:{another_port}",
            "syslog-format": "rfc5424micro",
            "syslog-tls-cert": files.client,
            "syslog-tls-key": files.client_key,
            **trusted,
        },
        "tls": {
            "syslog-address": f"tcp+tls://localhost:{another_port}",
            "syslog-format": "rfc3164",
            "syslog-tls-cert": files.client,
            "syslog-tls-key": files.client_key,
            **trusted,
        },
        "stream": {"syslog-address": f"unix://{seen}/stream"},
        "datagrams": {"syslog-address": f"unixgram://{seen}/datagrams"},
    }


def test_rsyslog_takes_lines_by_every_transport_and_again_when_it_was_away(pyorch, rsyslog):
    services = {
        name: service({"driver": "syslog", "options": {**options, "syslog-facility": "local3"}})
        for name, options in rsyslog.items()
    }
    pyorch.write(json.dumps({"name": "told", "services": services}))
    pyorch.run("up", "-d")
    lines = pyorch.work / "seen/lines"

    def told():
        found = {name: [] for name in rsyslog}
        for line in lines.read_text().splitlines() if lines.exists() else ():
            one = json.loads(line)
            found[one["program"].split(".")[1]].append(one)
        return found

    def has(count):
        return all(len(each) >= count for each in told().values())

    # The long line is two messages.
    wait_until(lambda: has(4), "the first lines")
    pyorch.run("-p", "logs", "stop")
    for name in rsyslog:
        pyorch.run("-p", "told", "exec", "-T", name, "touch", "/go")
    wait_until(
        lambda: any(one["Forwarding"]["cause"] for one in pyorch.ps("told").values()),
        "the trouble",
    )
    pyorch.run("-p", "logs", "start")
    # Nobody knows of a datagram whether it arrived.
    sure = [name for name in rsyslog if name != "udp"]
    wait_until(lambda: all(told()[name][-1]["text"].strip() == "again" for name in sure), "again")

    for name in rsyslog:
        found = told()[name]
        texts = [one["text"].removeprefix(" ") for one in found]
        assert {one["facility"] for one in found} == {"local3"}
        assert {one["program"] for one in found} == {f"told.{name}.1"}
        severities = {text: one["severity"] for text, one in zip(texts, found, strict=True)}
        assert (severities["ready"], severities["oops"]) == ("info", "err")
        # The last one before it went away may come once more.
        pieces = dict.fromkeys(text for text in texts if "größer" in text)
        assert "".join(pieces).rstrip() == LONG.rstrip()


@pytest.fixture
def journal(bare, tmp_path):
    """The journal of a journald of its own; return a function that tells what is in it."""
    run, log = tmp_path / "r", tmp_path / "log"
    kept = log / "journal"
    (run / "systemd").mkdir(parents=True)
    kept.mkdir(parents=True)
    apart = (
        "mount --make-rprivate / && mount --bind $0 /var/log && mount --bind $1 /run && exec $2 $3"
    )
    words = ["unshare", "--mount", "sh", "-ec", apart, log, run, JOURNALD, NAMESPACE]
    process = subprocess.Popen(words)
    sockets = run / f"systemd/journal.{NAMESPACE}"
    bare.environment["PYORCH_JOURNAL"] = str(sockets / "socket")
    with contextlib.ExitStack() as stack:
        stack.callback(process.wait)
        stack.callback(process.terminate)
        wait_until((sockets / "stdout").exists, "journald")
        # Without anybody who prints into it one of a namespace goes after a while.
        held = stack.enter_context(socket.socket(socket.AF_UNIX))
        wait_until(lambda: held.connect_ex(str(sockets / "stdout")) == 0, "journald's answer")

        def entries():
            words = ["journalctl", "--all", "-o", "json", "-D", next(kept.iterdir(), kept)]
            done = subprocess.run(words, capture_output=True, check=True)
            return [json.loads(line) for line in done.stdout.splitlines()]

        yield entries


def test_journald_keeps_lines_with_whose_they_are(journal, pyorch):
    told = service({"driver": "journald", "options": {"tag": "{{.Name}}", "labels": "team"}})
    pyorch.write(
        json.dumps({"name": "told", "services": {"web": {**told, "labels": {"team": "core"}}}})
    )
    pyorch.run("up", "-d")

    def ours():
        return [one for one in journal() if one.get("CONTAINER_NAME") == "told-web-1"]

    wait_until(lambda: len(ours()) >= 3, "the first lines")
    pyorch.run("-p", "told", "exec", "-T", "web", "touch", "/go")
    wait_until(lambda: ours()[-1]["MESSAGE"] == "again", "the last line")

    found = ours()
    assert sorted(one["MESSAGE"] for one in found) == sorted(["again", LONG, "oops", "ready"])
    by_text = {one["MESSAGE"]: one for one in found}
    assert (by_text["ready"]["PRIORITY"], by_text["oops"]["PRIORITY"]) == ("6", "3")
    assert {one["TEAM"] for one in found} == {"core"}
    assert {one["SYSLOG_IDENTIFIER"] for one in found} == {"told-web-1"}
    assert {one["_PID"] for one in found} == {str(pyorch.daemon_pid())}
