"""What every test may use, and what skips where it cannot run."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "scheduler"))


def pytest_collection_modifyitems(items):
    """Refuse root tests to people without root: they would fail for a dull reason."""
    if os.geteuid() == 0:
        return
    for item in items:
        if "root" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs root"))
