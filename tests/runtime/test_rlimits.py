"""Limits a container is made under, and those its program alone is to have."""

import resource
import subprocess

import pytest

from runtime.oci import rlimits


@pytest.fixture
def waiting():
    """A process that does nothing."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def test_the_size_of_files_is_limited_before_the_program_runs_or_as_the_container_is_made(waiting):
    asked = {"fsize": (4096, 2**20), "core": (0, 0)}

    at_first = {one["type"]: (one["soft"], one["hard"]) for one in rlimits.first(asked)}
    rlimits.settle(waiting.pid, asked)

    settled = resource.prlimit(waiting.pid, resource.RLIMIT_FSIZE)
    assert (4096, 2**20) in (settled, at_first.get("RLIMIT_FSIZE"))
    assert at_first["RLIMIT_CORE"] == (0, 0)


def test_no_limit_at_all_can_be_settled(waiting):
    rlimits.settle(waiting.pid, {"fsize": (-1, -1)})

    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert resource.prlimit(waiting.pid, resource.RLIMIT_FSIZE) == unlimited


def test_whoever_is_gone_has_no_limits(waiting):
    waiting.kill()
    waiting.wait()

    rlimits.settle(waiting.pid, {"nofile": (100, 200), "fsize": (4096, 4096)})
