"""``pyorch login``."""

import argparse
import sys

from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

DEFAULT = "docker.io"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments: a password is never one of them."""
    parser.add_argument("registry", nargs="?", default=DEFAULT)
    parser.add_argument("-u", "--username")
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )


def run(args: argparse.Namespace) -> int:
    """Have the registry confirm a login, and the daemon keep it."""
    user = args.username
    if args.password_stdin:
        if not user:
            raise PyorchError("--password-stdin needs --username")
        password = sys.stdin.read().rstrip("\r\n")
    elif not sys.stdin.isatty():
        raise PyorchError(
            "there is no terminal to ask for the password", hint="use --password-stdin"
        )
    else:
        import getpass

        if not user:
            sys.stderr.write("Username: ")
            sys.stderr.flush()
            user = sys.stdin.readline().strip()
        password = getpass.getpass("Password: ", stream=sys.stderr)
    if not user or not password:
        raise PyorchError("user and password must not be empty")
    client = connect(Settings.from_environ())
    body = {"registry": args.registry, "user": user, "password": password}
    client.post("/v1/registries/login", body)
    say(f"logged in to {args.registry} as {user}")
    return 0
