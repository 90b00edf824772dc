"""Dockerfiles and contexts that want more than they were given, and builds that are cut short."""

import io
import json
import os
import signal
import socket
import tarfile

import pytest

from orchestrator.client import ERROR
from tests.leaks import find_leaks

pytestmark = pytest.mark.root

WITNESS = "witness-that-must-not-be-read"


@pytest.fixture
def outside(tmp_path):
    """A folder of the host that no build may see or change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "witness").write_text(WITNESS)
    yield folder
    assert [path.name for path in folder.iterdir()] == ["witness"]
    assert (folder / "witness").read_text() == WITNESS


def build(pyorch, dockerfile, **more):
    """Build one Dockerfile and return what came of it."""
    (pyorch.work / "Dockerfile").write_text(dockerfile)
    document = {"name": "shop", "services": {"web": {"build": {"context": ".", **more}}}}
    pyorch.write(json.dumps(document))
    return pyorch.try_("build")


def test_links_of_a_stage_lead_nowhere_on_the_host(pyorch, outside):
    # GHSA-pmf3-c36m-g5cf: the source of a mount was a link, which the kernel followed.
    for source in ("/", str(outside), "/proc/1/root", "/storage"):
        done = build(
            pyorch,
            f"FROM busybox AS bad\nRUN ln -s {source} /way\nFROM busybox\n"
            "RUN --mount=type=bind,from=bad,source=/way,target=/way,rw"
            " ls -R /way; cat /way/witness; echo x > /way/made\n",
        )
        assert done.code == 1
        assert WITNESS not in done.err
        # The host's own folders are not even there to be refused; nor are the builder's where it
        # looks links up inside the stage, as newer ones do.
        words = {"/": ("is outside",), "/storage": ("is outside", "no such file")}.get(
            source, ("",)
        )
        assert any(word in done.err for word in words)


def test_a_cache_is_a_folder_of_its_own_and_no_way_out(pyorch, outside):
    # CVE-2024-9675: the id of a cache was joined to a path.
    for name in (f"../../..{outside}", "../../storage", "..", "."):
        done = build(
            pyorch,
            f"FROM busybox\nRUN --mount=type=cache,target=/c,id={name} ls /c; echo x > /c/made\n",
        )
        assert done.code == 1, name
    done = build(
        pyorch,
        "FROM busybox\nRUN --mount=type=cache,target=/c echo one > /c/kept\n"
        "RUN --mount=type=cache,target=/c cat /c/kept > /got\n",
    )
    assert done.code == 0, done.err


def test_links_of_a_context_are_not_followed(pyorch, outside):
    (pyorch.work / "file").symlink_to(outside / "witness")
    (pyorch.work / "folder").symlink_to(outside)
    (pyorch.work / "up").symlink_to("../" * 20 + str(outside).lstrip("/"))
    for words in ("file /x", "folder/witness /x", "up/witness /x", "folder /x/"):
        done = build(pyorch, f"FROM busybox\nCOPY {words}\nRUN cat /x /x/* || true\n")
        assert WITNESS not in done.err
    done = build(
        pyorch, "FROM busybox\nRUN --mount=type=bind,target=/c cat /c/file /c/up/witness\n"
    )
    assert done.code == 1
    assert WITNESS not in done.err


def test_a_step_sees_nothing_of_the_host(pyorch):
    done = build(
        pyorch,
        "FROM busybox\nRUN ls / /proc /dev; cat /proc/*/comm; ls /storage /context /build;"
        " echo x > /proc/sys/kernel/core_pattern; echo x > /sys/fs/cgroup/x; true\n",
    )
    assert done.code == 0
    assert "pyorchd" not in done.err
    for name in ("/storage", "/context", "/build"):
        assert f"ls: {name}: No such file" in done.err
    assert "/proc/sys/kernel/core_pattern: Read-only" in done.err


def test_a_step_does_not_reach_the_hosts_loopback(pyorch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for step in (f"ADD http://127.0.0.1:{port}/x /x", f"RUN nc 127.0.0.1 {port} </dev/null"):
            done = build(pyorch, f"FROM busybox\n{step}\n")
            assert done.code == 1
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_file_that_wants_privileges_is_refused_with_its_line(pyorch):
    done = build(pyorch, "FROM busybox\n", privileged=True, isolation="hyperv", ssh=["default"])
    assert done.code == 1
    for key in ("privileged", "isolation", "ssh"):
        assert "stack.yml:1:" in done.err
        assert f"services.web.build.{key}: " in done.err
    assert "STEP" not in done.err


def hostile(**changes):
    """Return a tarball with one member that is not what an honest client sends."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("0/x")
        for name, value in changes.items():
            setattr(member, name, value)
        archive.addfile(member, io.BytesIO(b"x" * member.size))
    return stream.getvalue()


@pytest.mark.parametrize(
    "tarball",
    [
        hostile(name="../../x", size=1),
        hostile(name="0/../../x", size=1),
        hostile(name="0/x", type=tarfile.LNKTYPE, linkname="../../../../etc/passwd"),
        b"no tarball at all" * 1000,
        hostile(size=10_000)[:5000],
    ],
)
def test_a_client_that_sends_anything_else_is_refused(pyorch, tarball):
    pyorch.run("ls")
    request = json.dumps({"names": ["x"], "dockerfile": "FROM busybox\nCOPY . /x\n"}).encode()
    building = pyorch.client.build(request)
    frames = list(building.frames([tarball]))
    building.close()
    assert frames[-1][0] == ERROR
    assert "build context" in json.loads(frames[-1][1])["detail"]
    assert list((pyorch.settings.data / "build" / "work").iterdir()) == []


def test_nothing_is_left_of_a_build_whose_daemon_was_killed(pyorch):
    (pyorch.work / "Dockerfile").write_text("FROM busybox\nRUN echo begun && sleep 1000\n")
    pyorch.write("name: shop\nservices: {web: {build: .}}\n")
    with pyorch.start("build") as building:
        until(building.stderr, "begun")
        os.kill(pyorch.daemon_pid(), signal.SIGKILL)
        assert building.wait() == 1
        assert "the daemon went away" in building.stderr.read()
    pyorch.run("ls")
    # The daemon that comes next has cleared up; what there is of the build went with the old one.
    kinds = ("process", "mount", "cgroup", "link", "file")
    left = [one for one in find_leaks(pyorch.settings.instance()) if "daemon" not in one]
    assert [one for one in left if one.startswith(kinds)] == []
    (pyorch.work / "Dockerfile").write_text("FROM busybox\nRUN echo again\n")
    assert pyorch.try_("build").code == 0


def test_nothing_goes_on_of_a_build_whose_client_left(pyorch):
    (pyorch.work / "Dockerfile").write_text("FROM busybox\nRUN echo begun && sleep 1000\n")
    pyorch.write("name: shop\nservices: {web: {build: .}}\n")
    with pyorch.start("build") as building:
        until(building.stderr, "begun")
        building.send_signal(signal.SIGINT)
        assert building.wait() == 130
    # Only once no build runs are the steps of earlier ones forgotten.
    pyorch.run("builder", "prune")
    assert not (pyorch.settings.data / "build").exists()


def until(stream, word):
    """Read lines until one ends in ``word``."""
    for line in stream:
        if line.rstrip().endswith(f"| {word}"):
            return
    raise AssertionError(f"it never said {word}")
