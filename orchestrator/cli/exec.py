"""``pyorch exec``."""

import argparse
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Any

from orchestrator.cli.loading import stack_name
from orchestrator.client import read_frame
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.frames import ERROR, EXIT, RESIZE, STDERR, STDIN, STDOUT, frame
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument(
        "-T", "--no-tty", action="store_true", help="no terminal, though there is one"
    )
    # Input is always passed on, and a terminal is made where there is one: hands type `-it`.
    for flag in ("-i", "--interactive", "-t", "--tty"):
        parser.add_argument(flag, action="store_true", dest="ignored", help=argparse.SUPPRESS)
    parser.add_argument(
        "-e", "--env", action="append", default=[], metavar="K=V", help="variable to set"
    )
    parser.add_argument("-u", "--user", help="name or number, and :group")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="where the command begins")
    parser.add_argument(
        "--index", type=int, metavar="N", help="which replica; the first one by default"
    )
    parser.add_argument("--privileged", action="store_true", help="with every capability")
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    if not args.argv:
        raise PyorchError("no command is given", hint="`pyorch exec SERVICE COMMAND…`")
    terminal = sys.stdin.isatty() and sys.stdout.isatty() and not args.no_tty
    name = stack_name(args)
    client = connect(Settings.from_environ())
    columns, rows = shutil.get_terminal_size()
    body = {
        "argv": args.argv,
        "env": dict(entry.partition("=")[::2] for entry in args.env),
        "user": args.user,
        "workdir": args.workdir,
        "privileged": args.privileged,
        "tty": terminal,
        "columns": columns,
        "rows": rows,
    }
    query = {"service": args.service}
    if args.index is not None:
        query["index"] = str(args.index)
    channel = client.exec(name, query, body)
    with _raw_terminal(enabled=terminal):
        return _talk(channel, resizes=terminal)


def _talk(channel: socket.socket, *, resizes: bool) -> int:
    """Carry bytes both ways until the command ends; return its exit code.

    The daemon takes no more than the command reads, which may wait for its own output to be
    taken. So neither way is ever waited for alone.
    """
    outgoing = b""
    hears = True
    resized, tell = os.pipe()
    if resizes:
        signal.signal(signal.SIGWINCH, lambda *_: os.write(tell, b"\0"))
    while True:
        idle = [resized, *([sys.stdin] if hears else [])]
        sources: list[Any] = [channel, *([] if outgoing else idle)]
        ready, writable, _ = select.select(sources, [channel] if outgoing else [], [])
        if resized in ready:
            os.read(resized, 65536)
            outgoing += _size()
        if sys.stdin in ready:
            data = os.read(sys.stdin.fileno(), 65536)
            outgoing += frame(STDIN, data)
            hears = bool(data)
        if writable:
            outgoing = outgoing[channel.send(outgoing, socket.MSG_DONTWAIT) :]
        if channel in ready:
            found = read_frame(channel)
            if found is None:
                raise PyorchError("the daemon closed the connection")
            kind, data = found
            match kind:
                case _ if kind == STDOUT:
                    sys.stdout.buffer.write(data)
                    sys.stdout.buffer.flush()
                case _ if kind == STDERR:
                    sys.stderr.buffer.write(data)
                    sys.stderr.buffer.flush()
                case _ if kind == EXIT:
                    return int(json.loads(data)["code"])
                case _ if kind == ERROR:
                    problem = json.loads(data)
                    raise PyorchError(problem["detail"], hint=problem.get("hint"))
                case _:
                    pass


def _size() -> bytes:
    columns, rows = shutil.get_terminal_size()
    return frame(RESIZE, json.dumps({"columns": columns, "rows": rows}).encode())


@contextlib.contextmanager
def _raw_terminal(*, enabled: bool) -> Iterator[None]:
    if not enabled:
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
