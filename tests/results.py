"""A pytest plugin that writes what became of every test as a line of JSON, as soon as it is known.

``-p tests.results`` loads it; ``PYORCH_RESULTS`` names the file the lines are added to.
"""

import json
import os

LONGEST = 2400
"""Characters of a reason that are kept, half of them its first and half its last."""


def pytest_runtest_logreport(report):
    """Write one line for a test that was skipped or called, and for an error around it."""
    if report.when == "call" or report.outcome != "passed":
        line = {
            "name": report.nodeid,
            "outcome": report.outcome if report.when == "call" or report.skipped else "error",
            "took": round(report.duration, 1),
            "why": _shortened(_why(report)),
        }
        if report.failed:
            line["log"] = "\n".join(text for title, text in report.sections)[-LONGEST:]
        with open(os.environ["PYORCH_RESULTS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _why(report):
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else str(report.longrepr or "")


def _shortened(text):
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}\n…\n{text[-half:]}"
