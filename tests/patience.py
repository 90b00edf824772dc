"""How much longer than on a machine of one's own everything may take: an emulated one is slow."""

import os

FACTOR = float(os.environ.get("PYORCH_PATIENCE", "1"))


def patient(seconds: float) -> float:
    """Return how long to wait on this machine for what takes ``seconds`` at most elsewhere."""
    return seconds * FACTOR
