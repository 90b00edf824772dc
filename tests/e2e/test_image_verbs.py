"""Images leave as they came: pushed, saved, tagged, pruned; logins; damage found and mended."""

import json
import os
import pty
import resource
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.images import write_layout
from tests.registry import serve_registry

pytestmark = pytest.mark.root

STACK = "name: x\nservices: {{a: {{image: '{}', stop_grace_period: 0s}}}}\n"


@pytest.fixture
def tiny(bare, tmp_path, busybox):
    """A pyorch that has the image `tiny`."""
    layout = write_layout(tmp_path / "layout", busybox.read_bytes())
    bare.run("image", "load", str(layout), "--name", "tiny")
    return bare


def listed(pyorch):
    lines = pyorch.run("image", "ls", "--format", "json").splitlines()
    return {name: one["Id"] for one in map(json.loads, lines) for name in one["References"]}


def digest_at(reference):
    line = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}"]
    done = subprocess.run([*line, f"docker://{reference}"], check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_an_image_keeps_its_digest_through_a_registry(tiny, registry):
    (before,) = listed(tiny).values()

    tiny.run("image", "push", "tiny", f"{registry}/other/tiny:7")
    tiny.run("image", "rm", "tiny")
    tiny.run("image", "pull", f"{registry}/other/tiny:7")

    assert digest_at(f"{registry}/other/tiny:7") == before
    assert listed(tiny) == {f"{registry}/other/tiny:7": before}
    tiny.write(STACK.format(f"{registry}/other/tiny:7"))
    tiny.run("up", "-d", "--wait")


@pytest.mark.parametrize("form", ["archive", "layout"])
def test_what_is_saved_is_loaded_again_as_the_same_image(tiny, form):
    before = listed(tiny)
    if form == "layout":
        (tiny.work / "saved").mkdir()

    tiny.run("image", "tag", "tiny", "second:2")
    tiny.run("image", "save", "-o", "saved", "tiny", "second:2")
    tiny.run("image", "rm", "tiny", "second:2")
    tiny.run("image", "load", "saved")

    image = before["docker.io/library/tiny:latest"]
    assert listed(tiny) == {
        "docker.io/library/tiny:latest": image,
        "docker.io/library/second:2": image,
    }


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_what_is_saved_is_read_by_others(tiny, form, tmp_path):
    tiny.run("image", "save", "-o", "saved.tar", "tiny")

    source = f"{form}:{tiny.work}/saved.tar"
    subprocess.run(["skopeo", "copy", "-q", source, f"dir:{tmp_path}/copied"], check=True)

    assert (tmp_path / "copied/manifest.json").exists()


def test_a_directory_that_holds_something_is_not_written_into(tiny):
    (tiny.work / "saved").mkdir()
    (tiny.work / "saved" / "mine").write_text("kept")

    done = tiny.try_("image", "save", "-o", "saved", "tiny")

    assert done.code == 1
    assert "not empty" in done.err
    assert [path.name for path in (tiny.work / "saved").iterdir()] == ["mine"]


def test_f37_what_a_stack_needs_is_neither_removed_nor_pruned(tiny):
    tiny.write(STACK.format("tiny"))
    tiny.run("up", "-d", "--wait")

    done = tiny.try_("image", "rm", "tiny")
    tiny.run("image", "prune", "-a")

    assert done.code == 1
    assert "shop" in done.err or "`x" in done.err
    assert "--force" in done.err
    assert list(listed(tiny)) == ["docker.io/library/tiny:latest"]


def test_f37_an_image_whose_name_was_taken_away_by_force_still_starts(tiny):
    tiny.write(STACK.format("tiny', restart: 'always"))
    tiny.run("up", "-d", "--wait")
    tiny.run("image", "rm", "--force", "tiny")
    tiny.run("image", "prune", "-a")

    (pid, *_) = tiny.processes("x/a.1")
    tiny.until("x", lambda state: state["replicas"][0]["phase"] == "running")
    os.kill(pid, 9)
    tiny.until("x", lambda state: state["replicas"][0]["restarts"] == 1)
    tiny.until("x", lambda state: state["replicas"][0]["phase"] == "running")

    assert "<none>" in tiny.run("image", "ls")


def test_what_nobody_needs_is_pruned(tiny):
    tiny.run("image", "prune")
    kept = listed(tiny)
    told = json.loads(tiny.run("image", "prune", "-a", "--format", "json"))

    assert list(kept) == ["docker.io/library/tiny:latest"]
    assert told["Images"] == list(kept.values())
    assert told["Size"] > 0
    assert listed(tiny) == {}
    left = [path for path in (tiny.home / "data/images").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["index.json"]


def test_an_image_is_inspected_and_its_steps_are_listed(bare, tmp_path, busybox):
    layout = write_layout(tmp_path / "layout", busybox.read_bytes())
    bare.run("image", "load", str(layout), "--name", "tiny")

    (found,) = json.loads(bare.run("image", "inspect", "tiny"))

    assert found["References"] == ["docker.io/library/tiny:latest"]
    assert found["Config"]["config"]["Env"] == ["COLOUR=green"]
    assert found["Manifest"]["schemaVersion"] == 2
    bare.run("image", "import", str(busybox), "base")
    bare.write("name: shop\nservices: {web: {image: base, command: [sleep, '600']}}\n")
    bare.run("up", "-d")
    bare.run("commit", "web", "grown")
    assert [line.split() for line in bare.run("image", "history", "base").splitlines()] == [
        ["CREATED", "LAYER", "CREATED", "BY"],
        ["yes", "(the", "image", "does", "not", "say)"],
    ]
    *_, upper, lower = bare.run("image", "history", "grown", "--format", "json").splitlines()
    assert json.loads(upper)["Created"]
    assert json.loads(lower)["Comment"] == "(the image does not say)"


# ── logins ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def guarded(tmp_path, free_port):
    """The address of a registry that wants a login: me, with the password `s3cret`."""
    passwords = tmp_path / "htpasswd"
    passwords.write_text("me:$2b$04$LAHUxetsPB/Ya7UdcpZvGORZrK1kSa4o1w90hDr2aVziQczYFQiWW\n")
    auth = f"\nauth: {{htpasswd: {{realm: here, path: {passwords}}}}}"
    with serve_registry(tmp_path, free_port, more=auth) as address:
        yield address


def test_a_login_is_proven_kept_to_root_and_never_shown(tiny, guarded):
    refused = tiny.try_("login", guarded, "-u", "me", "--password-stdin", stdin="wr0ng-one")
    before = tiny.try_("image", "push", "tiny", f"{guarded}/tiny:1")
    told = tiny.try_("login", guarded, "-u", "me", "--password-stdin", stdin="s3cret\n")
    tiny.run("image", "push", "tiny", f"{guarded}/tiny:1")
    kept = tiny.home / "data/auth.json"

    assert (refused.code, before.code, told.code) == (1, 1, 0)
    assert "pyorch login" in before.err
    assert "hint: check the user and the password" in refused.err
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    said = refused.out + refused.err + told.out + told.err + tiny.settings.daemon_log.read_text()
    assert "s3cret" not in said
    assert "wr0ng-one" not in said

    tiny.run("logout", guarded)
    assert tiny.try_("image", "pull", f"{guarded}/tiny:1").code == 1
    assert "there was no login" in tiny.try_("logout", guarded).err


def test_a_password_is_asked_for_on_a_terminal_without_showing_it(tiny, guarded):
    tiny.run("ls")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tiny.work)
        program = Path(sys.executable).parent / "pyorch"
        os.execve(program, ["pyorch", "login", guarded, "-u", "me"], tiny.environment)
    said = b""
    while b"Password: " not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, b"s3cret\n")
    while b"logged in" not in said:
        said += os.read(terminal, 1000)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)

    assert status == 0
    assert b"s3cret" not in said


# ── damage ───────────────────────────────────────────────────────────────────────────────


def layer_file(pyorch, name="bin/busybox"):
    (layer,) = (pyorch.home / "data/images/layers").iterdir()
    return layer / name


def flip(path, place=5000):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_sound_store_is_said_to_be_sound(tiny):
    assert "every byte" in tiny.try_("doctor", "--deep").out


def test_f20_a_flipped_byte_of_a_layer_is_found_named_and_mended(tiny):
    path = layer_file(tiny)
    whole = path.read_bytes()
    flip(path)

    found = tiny.try_("doctor", "--deep")
    mended = tiny.try_("doctor", "--deep", "--repair")

    assert found.code == 1
    assert "damaged  image docker.io/library/tiny:latest: layer sha256:" in found.out
    assert "repaired image" in mended.out
    assert layer_file(tiny).read_bytes() == whole
    assert "every byte" in tiny.try_("doctor", "--deep").out


def test_f20_a_file_more_in_a_layer_is_found(tiny):
    layer_file(tiny, "etc/more").write_text("evil")

    assert "damaged  image" in tiny.try_("doctor", "--deep").out


def test_f20_a_missing_layer_is_unpacked_again_when_it_is_needed(tiny):
    path = layer_file(tiny)
    path.parent.parent.rename(path.parent.parent.parent.parent / "gone")
    tiny.run("daemon", "stop")

    tiny.write(STACK.format("tiny"))
    tiny.run("up", "-d", "--wait")

    assert path.is_file()
    assert [one["State"] for one in tiny.ps("x").values()] == ["running"]


@pytest.mark.parametrize("what", ["layer and blob", "manifest"])
def test_f20_what_was_pulled_is_mended_from_its_registry(tiny, registry, what):
    name = f"{registry}/tiny:1"
    tiny.run("image", "push", "tiny", name)
    tiny.run("image", "rm", "tiny")
    tiny.run("image", "pull", name)
    blobs = sorted(
        (tiny.home / "data/images/blobs").iterdir(), key=lambda path: path.stat().st_size
    )
    manifest = listed(tiny)[name].removeprefix("sha256:")
    if what == "manifest":
        flip(blobs[-1].with_name(manifest), 5)
    else:
        flip(blobs[-1])
        flip(layer_file(tiny))
    tiny.run("daemon", "stop")

    found = tiny.try_("doctor", "--deep")
    mended = tiny.try_("doctor", "--deep", "--repair")

    assert "damaged" in found.out
    assert "damaged" not in mended.out
    assert f"fetched again from {registry}/tiny" in mended.out
    assert "every byte" in tiny.try_("doctor", "--deep").out


def test_f18_a_daemon_without_descriptors_refuses_and_goes_on(bare, registry, busybox, tmp_path):
    layout = write_layout(tmp_path / "layout", busybox.read_bytes())
    copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}"]
    subprocess.run([*copy, f"docker://{registry}/tiny:1"], check=True)
    bare.run("image", "ls")
    daemon = bare.daemon_pid()
    limits = resource.prlimit(daemon, resource.RLIMIT_NOFILE)
    # One for the connection of whoever asks, and then one more each time.
    held = max(int(path.name) for path in Path(f"/proc/{daemon}/fd").iterdir()) + 1
    refused = []
    for free in range(1, 7):
        resource.prlimit(daemon, resource.RLIMIT_NOFILE, (held + free, limits[1]))
        told = bare.try_("image", "pull", f"{registry}/tiny:1")
        if told.code == 0:
            break
        refused.append(told.err)
    resource.prlimit(daemon, resource.RLIMIT_NOFILE, limits)

    assert refused
    assert all(words.startswith("error: ") for words in refused), refused
    bare.run("image", "pull", f"{registry}/tiny:1")
    assert bare.daemon_pid() == daemon
    assert list((bare.home / "data/images/staging").iterdir()) == []
    assert "every byte" in bare.try_("doctor", "--deep").out


def test_m23_an_archive_with_traps_is_refused_and_leaves_nothing(bare, tmp_path, busybox):
    trap = tmp_path / "trap.tar"
    with tarfile.open(trap, "w") as archive:
        for name, target in (("manifest.json", "/etc/passwd"), ("layer.tar", "/etc/shadow")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)

    done = bare.try_("image", "load", str(trap), "--name", "trap")

    assert done.code == 1
    assert "Traceback" not in done.err
    assert bare.run("image", "ls", "-q") == ""


# ── containers become images ─────────────────────────────────────────────────────────────


def test_what_a_container_wrote_is_committed_and_exported(tiny):
    tiny.write(STACK.format("tiny"))
    tiny.run("up", "-d", "--wait")
    write = "echo mine > /etc/mine; rm /bin/false; mkdir /new; touch /new/x"
    tiny.run("-p", "x", "exec", "-T", "a", "sh", "-c", write)

    changes = ("--change", "ENV MODE=fast", "-c", 'CMD ["sleep", "2000"]')
    tiny.run("-p", "x", "commit", "a", "changed:1", "-m", "by hand", "--author", "me", *changes)
    wrong = tiny.try_("-p", "x", "commit", "a", "changed:2", "-c", "RUN x")
    tiny.run("-p", "x", "export", "a", "-o", "root.tar")
    tiny.run("image", "import", "root.tar", "whole", "--cmd", "sleep 1000")

    ask = "cat /etc/mine; ls /new; test -e /bin/false || echo gone"
    for name in ("changed:1", "whole"):
        tiny.write(STACK.format(name))
        tiny.run("up", "-d", "--wait")
        assert tiny.run("-p", "x", "exec", "-T", "a", "sh", "-c", ask) == "mine\nx\ngone\n"
    assert "by hand" in tiny.run("image", "history", "changed:1", "--format", "json")
    (told,) = json.loads(tiny.run("image", "inspect", "changed:1"))
    assert (wrong.code, "`RUN x`" in wrong.err) == (1, True)
    assert (told["Config"]["author"], told["Config"]["config"]["Cmd"]) == ("me", ["sleep", "2000"])
    assert "MODE=fast" in told["Config"]["config"]["Env"]
    assert "every byte" in tiny.try_("doctor", "--deep").out


def test_a_service_that_has_no_container_is_said_so(tiny):
    tiny.write(STACK.format("tiny"))
    tiny.run("up", "-d", "--wait")

    done = tiny.try_("-p", "x", "commit", "other", "changed")

    assert done.code == 1
    assert "no container of `other`" in done.err
