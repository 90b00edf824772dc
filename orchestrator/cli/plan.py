"""``pyorch plan``: without a daemon and without root, against an empty host."""

import argparse
import json
import sys

from orchestrator.cli.cache import Settled
from orchestrator.cli.loading import settle
from orchestrator.client import Client
from orchestrator.settings import Settings

CHANGES = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("--json", action="store_true", help="as one object")


def run(args: argparse.Namespace) -> int:
    """Print the plan; return 0 for nothing to do, 2 for changes."""
    settled = settle(args)
    settings = Settings.from_environ()
    client = Client(settings.socket)
    if settings.socket.exists() and client.is_up():
        found = client.post(f"/v1/stacks/{settled.name}/plan", {"model": settled.document})
    else:
        sys.stderr.write(
            "note: no daemon runs; this is the plan for a machine with nothing on it\n"
        )
        found = _alone(settled, settings)
    if args.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif found["text"]:
        sys.stdout.write(found["text"] + "\n")
    else:
        sys.stderr.write("nothing to do\n")
    return CHANGES if found["steps"] or found["held"] else 0


def _alone(settled: Settled, settings: Settings) -> dict[str, object]:
    from orchestrator.spec.models import StackFile
    from orchestrator.store import StoredStack
    from orchestrator.translate.desired import build_desired
    from scheduler import plan_stack
    from scheduler.desired import Intent
    from scheduler.ids import StackName
    from scheduler.observed import ObservedStack

    stack = StackFile.model_validate(settled.document)
    stored = StoredStack(
        name=StackName(stack.name),
        intent=Intent.RUN,
        generation=0,
        remove_volumes=False,
        stop_grace=None,
        owner_uid=0,
        changed_wall=0.0,
    )
    desired = build_desired(stack, stored, settings, images={}, pins={})
    plan = plan_stack(desired, ObservedStack(name=StackName(stack.name)), now=0.0)
    held = [{"subject": one.subject, "reason": one.reason, "hint": one.hint} for one in plan.held]
    return {"text": str(plan), "steps": len(plan.steps), "held": held}
