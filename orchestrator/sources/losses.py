"""Output of a container was lost or cannot be sent on: tell its stack, and the daemon's own log."""

from pathlib import Path

import structlog

from orchestrator.events import Event, EventBus
from runtime.logs import LogKeeper, Loss, Waiting

log = structlog.get_logger()


def tell_losses(logs: LogKeeper, events: EventBus) -> None:
    """Have everything told that becomes of lines but their being kept."""

    def tell(folder: Path, name: str, reason: str) -> None:
        stack, replica = _whose(folder)
        events.publish(Event(stack=stack, name=f"replica.{name}", subject=replica, reason=reason))

    def lost(folder: Path, loss: Loss) -> None:
        stack, replica = _whose(folder)
        log.warning("log.lost", stack=stack, replica=replica, bytes=loss.size, why=loss.why)
        tell(folder, "log_lost", f"about {loss.size} bytes of its output: {loss.why}")

    def news(folder: Path, news: Waiting | Loss) -> None:
        stack, replica = _whose(folder)
        match news:
            case Loss():
                log.warning(
                    "log.unsent", stack=stack, replica=replica, bytes=news.size, why=news.why
                )
                tell(folder, "log_unsent", f"{news.size} bytes of its log: {news.why}")
            case Waiting(cause=""):
                log.info("log.sending", stack=stack, replica=replica, target=news.target)
                tell(folder, "log_sending", f"to {news.target} again")
            case Waiting():
                log.warning(
                    "log.waiting",
                    stack=stack,
                    replica=replica,
                    target=news.target,
                    cause=news.cause,
                )
                tell(folder, "log_waiting", f"for {news.target}: {news.cause}")

    logs.on_loss(lost)
    logs.forwarding.on_news(news)


def _whose(folder: Path) -> tuple[str, str]:
    """Return the stack and the replica of a log, which is at <stack>/<service>/<slot>."""
    stack, service, slot = folder.parts[-3:]
    return stack, f"{service}.{slot}"
