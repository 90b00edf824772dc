"""``pyorch lock``."""

import argparse
import sys

from orchestrator.cli.loading import request_of, warn
from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("--upgrade", action="store_true", help="lock what the registries have now")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 2 where it would change"
    )


def run(args: argparse.Namespace) -> int:
    """Write down which image every name of the stack stands for."""
    from orchestrator.cli.locking import Lock, find_digests, locked_services, read_lock, write_lock
    from orchestrator.spec.load import load_stack

    loaded = load_stack(request_of(args))
    warn(loaded.warnings)
    client = connect(Settings.from_environ())
    folder = loaded.found.directory
    before = read_lock(folder)
    lock = Lock((before or Lock(folder / "stack.lock")).path)
    for service, reference in locked_services(loaded.whole):
        if reference in lock.images:
            continue
        try:
            lock.images[reference] = find_digests(client, reference, upgrade=args.upgrade)
        except PyorchError as error:
            raise PyorchError(
                f"services.{service}.image: {error}", hint=error.hint, code=error.code
            ) from None
    old = before.images if before else {}
    for reference in sorted(old.keys() | lock.images.keys()):
        was, now = old.get(reference), lock.images.get(reference)
        if was != now:
            sign = "+" if was is None else "-" if now is None else "~"
            sys.stdout.write(f"{sign} {reference}\n")
    if old == lock.images and before is not None:
        say(f"{lock.path} is as it should be")
        return 0
    if args.check:
        return 2
    write_lock(lock)
    say(f"{len(lock.images)} images are locked in {lock.path}")
    return 0
