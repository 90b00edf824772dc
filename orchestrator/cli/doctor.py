"""``pyorch doctor``."""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments: there are none."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Print what was found; return 1 when something that is needed is missing."""
    del args
    from orchestrator.settings import Settings
    from runtime.doctor import examine
    from runtime.types import Verdict

    findings = examine(Settings.from_environ().instance())
    for found in findings:
        sys.stdout.write(f"{found.verdict.value:8} {found.subject}: {found.detail}\n")
        if found.remedy:
            sys.stdout.write(f"{'':8} -> {found.remedy}\n")
    return int(any(found.verdict is Verdict.MISSING for found in findings))
