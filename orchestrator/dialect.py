"""What a client and a daemon must have in common to understand each other.

Standard library only: the thin client compares what it speaks with what the daemon says.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from orchestrator import __version__
from orchestrator.errors import PyorchError

API = 1
"""Number of the requests and answers; another one means that nothing else can be relied on."""
MODELS = Path(__file__).parent / "spec" / "models"
MARK_LENGTH = 8


def models_mark() -> str:
    """Return a few digits that change with what a settled stack file may say.

    Of the files as they are now: a daemon notes it when it starts, before anybody replaces them.
    """
    found = sha256()
    for path in sorted(MODELS.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:MARK_LENGTH]


def need_same_api(daemon: Mapping[str, Any]) -> None:
    """Raise PyorchError for a daemon that speaks another API, as ``daemon`` tells of itself."""
    spoken = daemon.get("api", 0)
    if spoken != API:
        raise differs(daemon, f"it speaks API {spoken}, and this pyorch API {API}")


def differs(daemon: Mapping[str, Any], why: str) -> PyorchError:
    """Return the refusal that names both versions and what helps."""
    lines = [
        f"the daemon is another version than this pyorch: {why}",
        f"  daemon: version {daemon.get('version', 'unknown')},"
        f" models {daemon.get('models', 'unknown')} (pid {daemon.get('pid', 'unknown')})",
        f"  this pyorch: version {__version__}, models {models_mark()}",
    ]
    return PyorchError(
        "\n".join(lines),
        hint="`pyorch daemon restart` starts this one instead; containers go on meanwhile",
        code="other_version",
    )
