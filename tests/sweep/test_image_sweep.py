"""The daemon is killed while images come and go; each is there and sound, or not there at all.

The work is done by threads, whose calls fall differently each time: a point is the n-th call
of a name in any one of them. A kill that did not come proves nothing and is counted apart.
"""

import contextlib
import os
import subprocess

import pytest

from tests.faulty_registry import tarball
from tests.images import write_layout
from tests.sweep.test_kill_sweep import choose
from tests.sweep.traced import Point, Traced

pytestmark = pytest.mark.root

FIRED_AT_LEAST = 0.5
NAME = "docker.io/library/tiny:latest"


def points(before, after):
    """Return the points that were passed by any thread between two counts."""
    return sorted(
        Point(call, number)
        for which in (0, 1)
        for call, count in after[which].items()
        for number in range(before[which][call] + 1, count + 1)
    )


def check_all_or_nothing(pyorch, where, made=NAME):
    """The next daemon finds whole images only, and nothing half-done beside them."""
    told = pyorch.try_("doctor", "--deep")
    assert "damaged" not in told.out, f"{where}: {told.out}"
    assert "every byte" in told.out, f"{where}: {told.out}{told.err}"
    names = pyorch.run("image", "ls", "-q").split()
    assert set(names) <= {NAME, made}, where
    root = pyorch.home / "data/images"
    staging = root / "staging"
    assert not staging.exists() or list(staging.iterdir()) == [], where
    half = [path for path in root.rglob("*") if path.name.endswith(".writing")]
    assert half == [], where
    return made in names


def check_nothing_is_left(pyorch, where):
    """What nobody needs goes with the last name."""
    pyorch.run("image", "prune", "-a")
    left = [path for path in (pyorch.home / "data/images").rglob("*") if path.is_file()]
    assert [path.name for path in left] in ([], ["index.json"]), f"{where}: {left}"


@pytest.fixture
def layout(tmp_path):
    return write_layout(tmp_path / "layout", tarball(a=os.urandom(200_000), b=b"x", c=b"y"))


def sweep(request, pyorch, name, operation, *, prepare, present, made=NAME, share=1):
    """Kill the daemon at points of ``operation``; ``present`` is what repeating it leads to.

    It is about the image ``made``.
    """
    prepare()
    pyorch.run("daemon", "stop")
    counting = Traced(pyorch)
    counting.wait_until_it_answers_or_is_dead()
    before = counting.calls()
    pyorch.run(*operation)
    found = points(before, counting.calls())
    counting.end()
    fired = {}
    for point in choose(request, name, found, share=share):
        where = f"killed at {point} of {name}"
        prepare()
        pyorch.run("daemon", "stop")
        traced = Traced(pyorch, point)
        traced.wait_until_it_answers_or_is_dead()
        pyorch.try_(*operation)
        traced.end()
        fired[point] = traced.fired()

        there = check_all_or_nothing(pyorch, where, made)
        if there != present:
            pyorch.run(*operation)
        assert check_all_or_nothing(pyorch, where, made) == present, where
        check_nothing_is_left(pyorch, where)
    came = [point for point, it in fired.items() if it]
    assert len(came) >= len(fired) * FIRED_AT_LEAST, f"only {came} of {list(fired)} came"


def test_f6_a_kill_at_any_point_of_a_load_leaves_all_or_nothing(bare, request, layout):
    operation = ("image", "load", str(layout), "--name", "tiny")

    sweep(request, bare, "load", operation, prepare=lambda: bare.run("ls"), present=True)


def test_f6_a_kill_at_any_point_of_a_pull_leaves_all_or_nothing(bare, request, layout, registry):
    flags = ["-q", "--dest-tls-verify=false"]
    place = f"docker://{registry}/library/tiny:latest"
    subprocess.run(["skopeo", "copy", *flags, f"oci:{layout}", place], check=True)
    settings = bare.write(f'[registry."docker.io"]\nmirrors = ["{registry}"]\n', "registries.toml")
    bare.environment["PYORCH_REGISTRIES"] = str(settings)

    sweep(
        request,
        bare,
        "pull",
        ("image", "pull", "tiny"),
        prepare=lambda: bare.run("ls"),
        present=True,
    )


@pytest.mark.parametrize("operation", [("image", "rm", "tiny"), ("image", "prune", "-a")])
def test_f6_a_kill_at_any_point_of_a_removal_leaves_all_or_nothing(
    bare, request, layout, operation
):
    def prepare():
        with contextlib.suppress(AssertionError):
            bare.run("image", "rm", "tiny")
        bare.run("image", "load", str(layout), "--name", "tiny")

    sweep(request, bare, operation[1], operation, prepare=prepare, present=False)


def test_f6_a_kill_at_any_point_of_a_build_leaves_all_or_nothing(bare, request, layout):
    bare.write(
        """
        name: shop
        services:
          web: {build: {dockerfile_inline: "FROM tiny\\nCOPY stack.yml /\\nCOPY stack.yml /b"}}
        """
    )

    def prepare():
        bare.run("builder", "prune")
        bare.run("image", "load", str(layout), "--name", "tiny")

    sweep(
        request,
        bare,
        "build",
        ("build",),
        prepare=prepare,
        present=True,
        made="docker.io/library/shop-web:latest",
        share=4,
    )
    # What a step leaves is no file of a stack: nothing of it outlives the last of these daemons.
    work = bare.home / "data/build/work"
    assert not work.exists() or list(work.iterdir()) == []
