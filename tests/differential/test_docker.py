"""The same files under Docker and under pyorch: what the process sees, fact by fact.

`make test-docker` builds the root Docker runs in, and runs this. What differs must stand in
``intended.yml``, with what it is in every place, and its reason.
"""

import copy
import fnmatch
import json
import os
import re
import secrets
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from benchmarks import peer
from tests.differential.looking import facts
from tests.instance import BUSYBOX, Pyorch
from tests.patience import patient

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "cases.yml").read_text())
INTENDED = yaml.safe_load((HERE / "intended.yml").read_text())
IMAGE = "probing"
NAME = "seen"

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        not peer.available(), reason=f"no Docker in {peer.ROOT}: `make test-docker` builds it"
    ),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory both engines see under the same path, with what the files bind."""
    folder = tmp_path_factory.mktemp("d")
    (folder / "data").mkdir()
    (folder / "data" / "key").write_text("hidden")
    return folder


@pytest.fixture(scope="module")
def image(place):
    """The tarball of an image with the probe in it."""
    root = place / "rootfs"
    for part in ("bin", "etc", "tmp", "data", "run"):
        (root / part).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    (root / "bin" / "sh").symlink_to("busybox")
    shutil.copy(HERE / "probe.sh", root / "probe")
    (root / "probe").chmod(0o755)
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:7:8::/home:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\nweb:x:8:\nwheel:x:10:web\n")
    tarball = place / "image.tar"
    with tarfile.open(tarball, "w") as archive:
        archive.add(root, arcname=".")
    return tarball


@pytest.fixture(scope="module")
def docker(place, image):
    """What every process saw under Docker."""
    with peer.engine(place / "engine") as engine:
        command(engine.words("import", engine.inside(moved(image, engine)), IMAGE))
        shutil.copytree(place / "data", engine.state / "bound")
        yield {name: under_docker(engine, name) for name in CASES}


@pytest.fixture(scope="module")
def pyorch(place, image):
    """What every process saw under pyorch."""
    pyorch = Pyorch(name=f"t{secrets.token_hex(3)}", home=place / "p")
    try:
        pyorch.run("image", "import", str(image), IMAGE)
        yield {name: under_pyorch(pyorch, name, place / "data") for name in CASES}
    finally:
        left = pyorch.clean()
    assert left == []


def test_what_a_process_sees_is_the_same_but_for_what_is_intended(docker, pyorch):
    used, unintended, compared = set(), [], 0
    for case in CASES:
        one, other = docker[case], pyorch[case]
        compared += len(one.keys() | other.keys())
        for fact in sorted(one.keys() | other.keys()):
            if one.get(fact) == other.get(fact):
                continue
            where = f"{case}/{fact}"
            reasons = [
                entry
                for entry in INTENDED
                if fnmatch.fnmatch(where, entry["where"])
                and becomes(entry, one.get(fact), other.get(fact))
            ]
            used |= {entry["where"] for entry in reasons}
            if not reasons:
                unintended.append(f"{where}: {one.get(fact)!r} became {other.get(fact)!r}")
    stale = [
        entry["where"]
        for entry in INTENDED
        if entry["where"] not in used and not entry.get("sometimes")
    ]

    print(f"{len(CASES)} files, {compared} facts, {len(INTENDED)} intended differences")
    assert unintended == [], "\n".join(unintended)
    assert stale == []


def becomes(entry, one, other):
    """Whether an entry says how what is seen under Docker becomes what is seen under pyorch."""
    before, after = (set(re.split("[ ,]+", text)) if text else set() for text in (one, other))
    if "is" in entry:
        return other == entry["is"]
    if "more" in entry or "less" in entry:
        more, less = (set(str(entry.get(key, "")).split()) for key in ("more", "less"))
        return after - before == more and before - after == less & before
    return True


def stack(name, data):
    """Return one case as a stack file of one service."""
    case = json.loads(json.dumps(copy.deepcopy(CASES[name])).replace("{data}", str(data)))
    top = case.pop("top", {})
    service = {"image": IMAGE, "command": ["/probe"], **case}
    if "entrypoint" in case and "command" not in case:
        del service["command"]
    return yaml.safe_dump({"name": NAME, "services": {"one": service}, **top})


def under_docker(engine, name):
    path = engine.state / "stack.yml"
    path.write_text(stack(name, engine.inside(engine.state / "bound")))
    compose = engine.words("compose", "-f", engine.inside(path))
    up = subprocess.run([*compose, "up", "-d"], capture_output=True, text=True, check=False)
    container = f"{NAME}-one-1"
    try:
        code = up.returncode and "not started"
        if not code:
            code = command(engine.words("wait", container)).strip()
        said = command(engine.words("logs", container)) if not up.returncode else ""
        full = command(engine.words("inspect", "-f", "{{.Id}}", container)).strip()
        state = command(engine.words("inspect", "-f", "{{.State.ExitCode}}", container)).strip()
        hidden = {full: "CONTAINER", full[:12]: "CONTAINER", container: "NAME"}
        return {**facts(said, hidden=hidden), "exit": state if up.returncode else code}
    finally:
        subprocess.run([*compose, "down", "-v", "-t", "0"], capture_output=True, check=False)


def under_pyorch(pyorch, name, data):
    pyorch.write(stack(name, data))
    up = pyorch.try_("up", "-d", "--wait-timeout", f"{patient(20):g}")
    try:
        if not up.code:
            pyorch.until(NAME, lambda state: state["replicas"][0]["phase"] == "exited")
        (one,) = pyorch.ps(NAME).values()
        said = pyorch.run("-p", NAME, "logs", "--no-log-prefix", "one")
        hidden = {"one-1": "CONTAINER", f"{NAME}-CONTAINER": "NAME", str(pyorch.home): "HOME"}
        return {**facts(said, hidden=hidden), "exit": str(one["ExitCode"])}
    finally:
        pyorch.try_("-p", NAME, "down", "-v", "-t", "0")


def moved(image, engine):
    """Return the tarball where the engine sees it."""
    target = engine.state / image.name
    shutil.copy(image, target)
    return target


def command(words):
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
