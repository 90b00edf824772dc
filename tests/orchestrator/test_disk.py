"""A disk that fills up is told of once, and once more when there is room again."""

import os

import pytest

from orchestrator.sources import disk
from orchestrator.sources.disk import DiskWatch, share


@pytest.mark.parametrize(
    ("used", "free", "expected"), [(0, 100, 0), (1, 999, 1), (900, 100, 90), (1, 0, 100), (0, 0, 0)]
)
def test_a_share_is_rounded_up_and_nothing_of_nothing_is_nothing(used, free, expected):
    assert share(used, free) == expected


def test_a_limit_the_disk_is_beyond_is_told_once_and_one_it_is_below_is_not(tmp_path):
    told = []
    found = os.statvfs(tmp_path)
    used = share(found.f_blocks - found.f_bfree, found.f_bavail)
    watch = DiskWatch(path=tmp_path, limit=1, tell=lambda *fact: told.append(fact))

    watch.look()
    watch.look()
    watch.limit = 100 + disk.LEEWAY
    watch.look()
    watch.look()

    assert used > 0
    assert [name for name, _ in told] == ["disk.nearly_full", "disk.has_room"]


def test_a_limit_of_nothing_tells_of_nothing(tmp_path):
    told = []

    DiskWatch(path=tmp_path, limit=0, tell=lambda *fact: told.append(fact)).look()

    assert told == []
