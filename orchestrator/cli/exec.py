"""``pyorch exec``."""

import argparse
import sys

from orchestrator.cli.loading import stack_name
from orchestrator.cli.talking import talk, terminal_size
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
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
    columns, rows = terminal_size()
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
    code = talk(channel, terminal=terminal)
    return 0 if code is None else code
