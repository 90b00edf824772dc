"""Whatever is known to go wrong, or to be tried, is proven by a test that is named after it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = (ROOT / "tests", ROOT / "runtime" / "testing")
WANTED = {
    "hostile-images.md": [
        *(f"R{number}" for number in range(1, 13)),
        *(f"M{number}" for number in range(1, 31)),
    ],
    "faults.md": [*(f"F{number}" for number in range(1, 48)), "F51"],
}
_NAME = re.compile(r"^ *(?:async )?def test_((?:[rmf]\d{1,2}_)+)", re.M)
_CASE = re.compile(r"^ *\"([RMF]\d{1,2}) ", re.M)


@pytest.fixture(scope="module")
def proven():
    """The rows tests are named after: in their own names, or in those of their cases."""
    found = set()
    for place in PLACES:
        for path in place.rglob("*.py"):
            text = path.read_text()
            for name in _NAME.findall(text):
                found.update(name.upper().strip("_").split("_"))
            found.update(_CASE.findall(text))
    return found


@pytest.mark.parametrize("table", WANTED)
def test_every_row_is_in_its_table_once_and_in_order(table):
    rows = re.findall(r"^\| ([RMF]\d+) \|", (ROOT / "docs" / table).read_text(), re.M)

    assert rows == WANTED[table]


@pytest.mark.parametrize("row", [row for rows in WANTED.values() for row in rows])
def test_every_row_has_a_test_that_is_named_after_it(proven, row):
    assert row in proven
