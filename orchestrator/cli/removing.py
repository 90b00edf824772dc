"""Taking away things one after another, and saying of each how it went."""

from collections.abc import Iterable

from orchestrator.cli.render import say
from orchestrator.client import Client
from orchestrator.errors import PyorchError


def remove_each(client: Client, kind: str, names: Iterable[str], *, force: bool) -> int:
    """Remove things by their names; return 1 where one could not be, else 0.

    With ``force`` one that is not there counts as removed.
    """
    code = 0
    for name in names:
        try:
            client.delete(f"/v1/{kind}/{name}")
            say(f"removed {name}")
        except PyorchError as error:
            if force and error.code == "not_found":
                continue
            say(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
            code = 1
    return code
