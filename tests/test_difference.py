"""What `make test-vm` prints when all tests have run on both kernels."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parent.parent / "packaging" / "vm" / "difference.py"


@pytest.fixture(scope="module")
def difference():
    found = importlib.util.spec_from_file_location("difference", FILE)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def outcomes(**words):
    """Return results by the tests' names, all of the file a.py: an outcome, or that and why."""
    found = {}
    for name, word in words.items():
        outcome, _, why = word.partition(": ")
        found[f"a.py::{name}"] = {"outcome": outcome, "why": why}
    return found


def told(difference, here, there):
    return list(difference.tell(list(here), here, there))


def test_what_passed_in_both_places_is_only_counted(difference):
    both = outcomes(one="passed", two="passed")

    assert told(difference, both, both) == [
        "             here      on the machine",
        "a.py         2 passed  2 passed",
        "all of them  2 passed  2 passed",
    ]


def test_a_difference_is_told_by_name_with_its_reason(difference):
    here, there = outcomes(one="passed", two="passed"), outcomes(one="passed", two="failed: 1 == 2")

    assert told(difference, here, there)[-3:] == [
        "DIFFERS, passed here and failed on the machine: 1",
        "  a.py::two",
        "      1 == 2",
    ]
    assert difference.failed(list(here), there)


def test_what_failed_in_both_places_is_told_too(difference):
    both = outcomes(one="failed: no")

    assert "FAILED in both places: 1" in told(difference, both, both)
    assert difference.failed(list(both), both)


def test_what_was_skipped_in_both_places_is_missing_and_no_failure(difference):
    both = outcomes(one="skipped: no disk")

    assert told(difference, both, both)[-3:] == [
        "MISSING, skipped in both places: 1",
        "  a.py::one",
        "      no disk",
    ]
    assert not difference.failed(list(both), both)


def test_a_reason_that_several_share_is_told_once(difference):
    here = outcomes(one="passed", two="passed", three="passed")
    there = outcomes(one="error: no stack", two="failed: 2", three="error: no stack")

    assert told(difference, here, there)[3:] == [
        "DIFFERS, passed here and failed on the machine: 1",
        "  a.py::two",
        "      2",
        "DIFFERS, passed here and error on the machine: 2",
        "  a.py::one",
        "  a.py::three",
        "      no stack",
    ]


def test_what_has_not_run_on_the_machine_is_told_and_a_failure(difference):
    here = outcomes(one="passed")

    assert told(difference, here, {})[-2:] == [
        "DIFFERS, passed here and not run on the machine: 1",
        "  a.py::one",
    ]
    assert difference.failed(list(here), {})


def test_what_fails_on_the_machine_comes_before_what_fails_here(difference):
    here = outcomes(one="failed", two="passed", three="skipped")
    there = outcomes(one="passed", two="failed", three="skipped")

    titles = [line for line in told(difference, here, there)[3:] if not line.startswith(" ")]

    assert [title.partition(":")[0] for title in titles] == [
        "DIFFERS, passed here and failed on the machine",
        "DIFFERS, failed here and passed on the machine",
        "MISSING, skipped in both places",
    ]


def test_a_long_reason_keeps_its_beginning_and_its_end(difference):
    here = outcomes(one="passed")
    there = outcomes(one="failed: " + "\n".join(f"line {number}" for number in range(100)))

    lines = [line.strip() for line in told(difference, here, there)[5:]]

    assert lines[:1] + lines[-1:] == ["line 0", "line 99"]
    assert len(lines) == difference.LINES + 1
