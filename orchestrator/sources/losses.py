"""Output of a container was lost, goes too soon or cannot be sent on: tell of it."""

from pathlib import Path

from orchestrator.chronicle import Chronicle
from runtime.logs import Flood, LogKeeper, Loss, Waiting


def tell_losses(logs: LogKeeper, chronicle: Chronicle) -> None:
    """Have everything told that becomes of lines but their being kept and sent."""

    def tell(folder: Path, name: str, reason: str) -> None:
        # A log is at <stack>/<service>/<slot>.
        stack, service, slot = folder.parts[-3:]
        chronicle.tell(stack, f"replica.{name}", f"{service}.{slot}", reason)

    def lost(folder: Path, loss: Loss) -> None:
        tell(folder, "log_lost", f"about {loss.size} bytes of its output: {loss.why}")

    def flooded(folder: Path, flood: Flood) -> None:
        tell(
            folder,
            "log_flooded",
            f"{flood.size} bytes of its log were kept for less than a minute:"
            " it prints more than `max-size` and `max-file` hold",
        )

    def news(folder: Path, news: Waiting | Loss) -> None:
        match news:
            case Loss():
                tell(folder, "log_unsent", f"{news.size} bytes of its log: {news.why}")
            case Waiting(cause=""):
                tell(folder, "log_sending", f"to {news.target} again")
            case Waiting():
                tell(folder, "log_waiting", f"for {news.target}: {news.cause}")

    logs.on_loss(lost)
    logs.on_flood(flooded)
    logs.forwarding.on_news(news)
