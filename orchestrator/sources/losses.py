"""Output of a container was lost: tell whoever watches its stack, and the daemon's own log."""

from pathlib import Path

import structlog

from orchestrator.events import Event, EventBus
from runtime.logs import LogKeeper, Loss

log = structlog.get_logger()


def tell_losses(logs: LogKeeper, events: EventBus) -> None:
    """Have every loss told as it is found."""

    def tell(folder: Path, loss: Loss) -> None:
        # A log is at <stack>/<service>/<slot>.
        stack, service, slot = folder.parts[-3:]
        replica = f"{service}.{slot}"
        log.warning("log.lost", stack=stack, replica=replica, bytes=loss.size, why=loss.why)
        reason = f"about {loss.size} bytes of its output: {loss.why}"
        events.publish(Event(stack=stack, name="replica.log_lost", subject=replica, reason=reason))

    logs.on_loss(tell)
