"""From what was typed to a settled stack file, or just to the stack's name."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.spec.load import Loaded


def load(args: argparse.Namespace, *, quiet: bool = False) -> "Loaded":
    """Load the stack file that was named or is found here; warnings go to stderr."""
    from orchestrator.spec.load import LoadRequest, load_stack

    loaded = load_stack(
        LoadRequest(
            files=tuple(args.file),
            project_name=args.project_name,
            project_directory=args.project_directory,
            env_files=tuple(args.env_file),
            profiles=tuple(args.profile),
            environ=os.environ,
            cwd=Path.cwd(),
            stdin=sys.stdin.read() if "-" in args.file else None,
        )
    )
    for warning in () if quiet else loaded.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    return loaded


def stack_name(args: argparse.Namespace) -> str:
    """Return the stack's name, reading files only where it was not given."""
    if args.project_name:
        return str(args.project_name)
    return load(args, quiet=True).stack.name
