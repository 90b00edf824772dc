"""Output of a container was lost: tell whoever watches its stack, and the daemon's own log."""

from pathlib import Path

from orchestrator.chronicle import Chronicle
from runtime.logs import LogKeeper, Loss


def tell_losses(logs: LogKeeper, chronicle: Chronicle) -> None:
    """Have every loss told as it is found."""

    def tell(folder: Path, loss: Loss) -> None:
        # A log is at <stack>/<service>/<slot>.
        stack, service, slot = folder.parts[-3:]
        replica = f"{service}.{slot}"
        reason = f"about {loss.size} bytes of its output: {loss.why}"
        chronicle.tell(stack, "replica.log_lost", replica, reason)

    logs.on_loss(tell)
