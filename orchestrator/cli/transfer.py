"""Pulls and pushes, followed to their end."""

import sys
import time
from typing import Any

from orchestrator.cli.render import ago, safe, size
from orchestrator.client import Client
from orchestrator.errors import PyorchError


def transfer(
    client: Client, verb: str, reference: str, body: dict[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Follow a pull or push to its end; on a terminal one line tells how far it is."""
    shown = sys.stderr.isatty() and not quiet
    layers: dict[str, tuple[int, int]] = {}
    since = time.monotonic()
    for entry in client.stream("POST", f"/v1/images/{verb}", body=body):
        if "layer" in entry:
            layers[entry["layer"]] = entry["done"], entry["total"]
            if shown:
                sys.stderr.write(f"\r\033[K{_progress(verb, reference, layers, since)}")
                sys.stderr.flush()
            continue
        if shown and layers:
            sys.stderr.write("\r\033[K")
        if "error" in entry:
            error = entry["error"]
            raise PyorchError(error["detail"], hint=error.get("hint"), code=error.get("code"))
        return entry
    raise PyorchError(f"the daemon said nothing about the {verb}")


def _progress(verb: str, reference: str, layers: dict[str, tuple[int, int]], since: float) -> str:
    done, total = (sum(column) for column in zip(*layers.values(), strict=True))
    full = sum(one == whole for one, whole in layers.values())
    took = ago(time.monotonic() - since)
    return (
        f"{verb}ing {safe(reference)}: {size(done)} of {size(total)},"
        f" {full} of {len(layers)} layers, {took}"
    )
