"""``pyorch``: arguments, dispatch, exit codes. A command's own module is imported when it runs."""

import argparse
import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from orchestrator.errors import Paint, PyorchError

COMMANDS = {
    "up": "create and start a stack, and keep it as its file says",
    "watch": "have a stack be as its file says whenever that changes",
    "down": "stop and remove a stack",
    "start": "start services that were stopped",
    "stop": "stop services, and keep them",
    "restart": "stop services and start them again",
    "scale": "have so many replicas of services",
    "create": "make containers, and start none",
    "rm": "remove containers that do not run",
    "kill": "send a signal to services",
    "pause": "have services stand still",
    "unpause": "have services go on that stand still",
    "wait": "wait until services have ended",
    "plan": "show what `up` would do (exit code 2: changes, 0: none)",
    "history": "list what a stack was before, generation by generation",
    "diff": "show what changed from one generation to another",
    "rollback": "go back to a generation, with the images it stood on",
    "rollout": "tell how updates of services go, pause them, or have them go on",
    "ps": "list replicas",
    "cron": "list what runs by the clock, how it went, and run it now",
    "events": "tell what happened to a stack, and why",
    "describe": "tell all that is known of services and their replicas",
    "why": "say why services are as they are",
    "logs": "show what containers print",
    "stats": "show what containers use",
    "top": "list the processes of containers",
    "build": "build the images of services that have a `build`",
    "exec": "run a command in a container",
    "cp": "copy files into containers, and out of them",
    "run": "run a service once, in a container of its own",
    "attach": "take part in what a container reads and prints",
    "config": "check the stack file and print it settled",
    "graph": "draw who waits for whom, and how they are",
    "lint": "find what a stack file may say and rarely means",
    "ls": "list stacks",
    "port": "print where a port of a service is published",
    "images": "list the images a stack's containers are made from",
    "volumes": "list a stack's volumes",
    "builder": "forget what builds keep to be faster the next time",
    "pull": "fetch the images of services from their registries",
    "push": "upload the images of services that are built",
    "image": "list, pull, push, load, save, import, tag and remove images",
    "volume": "list, inspect, create and remove volumes",
    "network": "list, inspect and remove networks",
    "export": "write a container's files to a tarball",
    "commit": "make an image of what a container is now",
    "lock": "write down which image every name of a stack stands for",
    "login": "log in to a registry",
    "logout": "forget the login of a registry",
    "drain": "stop everything in order, for maintenance or a reboot, to run again afterwards",
    "doctor": "say what this machine can and cannot do",
    "daemon": "install, uninstall, run, stop, restart the daemon, or tell its state",
    "completion": "print a script that completes pyorch's command lines in a shell",
    "version": "print the version",
}

ALIASES = {"convert": "config"}
"""What commands are called elsewhere."""
EVERYWHERE = (
    (("-f", "--file"), "FILE", "stack file, or -"),
    (("--env-file",), "FILE", "file of variables"),
    (("--profile",), "NAME", "services to include"),
)
"""Options that are understood before the command and after it."""
VALUED = ("-p", "--project-name", "--project-directory", "-f", "--file", "--env-file", "--profile")
"""Options before the command whose value is the next word."""
OWN_F = ("events", "logs", "rm", "version")
"""Commands after which `-f` is not the stack file: it follows, forces, formats, as people know."""
INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command this process was started with, and end it."""
    # Loading a stack file makes many objects and little garbage.
    gc.set_threshold(50_000)
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Taking the interpreter apart costs as much as many a command does.
    os._exit(code)


def run(given: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        return _run(list(given))
    except PyorchError as error:
        sys.stderr.write(error.report(Paint(colours=_wants_colours())))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _wants_colours() -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    return sys.stderr.isatty() and not plain


class _Parser(argparse.ArgumentParser):
    """One that says what is wrong in one line, and exits with 1 as every other mistake does."""

    def error(self, message: str) -> NoReturn:
        raise PyorchError(message, hint=f"`{self.prog} --help` lists what there is")


def _chosen(given: Sequence[str]) -> str | None:
    """Return the command of a line: the first word that is neither an option nor its value."""
    words = iter(given)
    for word in words:
        if word in VALUED:
            next(words, None)
        elif not word.startswith("-") or word == "-":
            name = ALIASES.get(word, word)
            return name if name in COMMANDS else None
    return None


def _run(given: list[str]) -> int:
    parser = _Parser(prog="pyorch", description="One Compose file, kept running.")
    parser.add_argument("-p", "--project-name", help="name of the stack")
    parser.add_argument("--project-directory", help="where relative paths begin")
    for flags, metavar, meaning in EVERYWHERE:
        parser.add_argument(*flags, action="append", default=[], metavar=metavar, help=meaning)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    completing = None
    if "_ARGCOMPLETE" in os.environ:
        completing = importlib.import_module("orchestrator.cli.completing")
        given = completing.typed()
    chosen = _chosen(given)
    for name, text in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=text,
            description=text.capitalize() + ".",
            aliases=[alias for alias, meant in ALIASES.items() if meant == name],
        )
        if name == chosen:
            for flags, metavar, meaning in EVERYWHERE:
                if name not in OWN_F or "-f" not in flags:
                    late = "late_" + flags[-1][2:].replace("-", "_")
                    command.add_argument(
                        *flags, action="append", dest=late, metavar=metavar, help=meaning
                    )
            module = importlib.import_module(f"orchestrator.cli.{name}")
            module.add_arguments(command)
    if completing is not None:
        completing.complete(parser)
    args, unknown = parser.parse_known_args(given)
    if unknown:
        # Said by the command's own parser, whose help has the answer.
        asked = commands.choices.get(args.command, parser)
        asked.error(f"unrecognized arguments: {' '.join(unknown)}")
    if args.command is None:
        parser.print_help()
        return 1
    args.command = ALIASES.get(args.command, args.command)
    for option in ("file", "env_file", "profile"):
        after = getattr(args, f"late_{option}", None) or []
        setattr(args, option, [*getattr(args, option), *after])
    module = importlib.import_module(f"orchestrator.cli.{args.command}")
    return int(module.run(args))


if __name__ == "__main__":
    main()
