"""``pyorch unpause``."""

import argparse
from collections.abc import Iterable

from orchestrator.cli.selecting import State, add_services, any_is_paused, ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    add_services(parser)


def run(args: argparse.Namespace) -> int:
    """Have what stands still of services go on."""
    ask(args, "unpause", until=_goes_on)
    return 0


def _goes_on(state: State, services: Iterable[str]) -> bool:
    return not any_is_paused(state, services)
