"""`configs` and `secrets` of a service, from inside; and that secrets are nowhere else."""

import base64
import gzip
import json
import secrets
import stat
import tarfile
from pathlib import Path

import pytest

from tests.instance import Pyorch

pytestmark = pytest.mark.root

CANARY = "canary-" + "7f3a91"
STACK = """
name: safe
services:
  a:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    environment: {MODE: loud}
    volumes: [app:/app, {type: tmpfs, target: /run}]
    configs:
      - from-content
      - {source: from-file, target: relative/file, mode: 0640, uid: '7', gid: '8'}
      - {source: from-variable, target: /app/deep/config}
      - {source: filled, target: /filled}
      - {source: kept, target: /kept}
    secrets:
      - from-file
      - {source: from-variable, target: other/name, uid: '7', gid: '8', mode: 0466}
      - {source: by-file, target: /by-file}
      - {source: by-env, target: /by-env}
      - {source: by-cmd, target: /by-cmd}
      - {source: filled, target: /filled-secret}
volumes: {app: }
configs:
  from-content: {content: "hello ${NAME}", labels: {a: b}}
  from-file: {file: ./config.txt, name: another}
  from-variable: {environment: CONFIG}
  kept: {external: true, name: kept-here}
  filled:
    content: |
      {{ .Service.Name }} {{ .Task.Slot }} {{ env "MODE" }} {{ secret "from-file" }}
    template_driver: golang
secrets:
  from-file: {file: ./word.txt, labels: {a: b}}
  from-variable: {environment: WORD}
  by-file: {external: true, driver: file, driver_opts: {path: ./stored.txt}}
  by-env: {external: true, name: STORED, driver: env}
  by-cmd: {external: true, driver: cmd, driver_opts: {command: "cat stored-too.txt"}}
  filled: {file: ./template.txt, template_driver: golang}
"""
TELLS = "echo told; cat /run/secrets/from-file /by-cmd >&2; exit 1"
MARKS = ("file", "variable", "by-file", "by-env", "by-cmd", "template")


def canary(mark):
    return f"{CANARY}-{mark}"


@pytest.fixture(scope="module")
def safe(tmp_path_factory, busybox):
    pyorch = Pyorch(name=f"t{secrets.token_hex(3)}", home=tmp_path_factory.mktemp("s") / "p")
    kept = pyorch.work / "home" / "pyorch" / "configs"
    kept.mkdir(parents=True)
    (kept / "kept-here").write_text("kept")
    pyorch.environment |= {
        "XDG_CONFIG_HOME": str(pyorch.work / "home"),
        "NAME": "world",
        "CONFIG": "of a variable",
        "WORD": canary("variable"),
        "STORED": canary("by-env"),
    }
    pyorch.write("of a file", "config.txt")
    pyorch.write(canary("file"), "word.txt")
    pyorch.write(canary("by-file"), "stored.txt")
    pyorch.write(canary("by-cmd"), "stored-too.txt")
    pyorch.write(canary("template") + " {{.Task.Slot}}", "template.txt")
    pyorch.write(STACK)
    try:
        pyorch.run("image", "import", str(busybox), "busybox")
        pyorch.run("up", "-d", "--wait")
        yield pyorch
    finally:
        left = pyorch.clean()
    assert left == []


def inside(pyorch, line):
    return pyorch.run("exec", "-T", "a", "sh", "-c", line).strip()


def mount_of(pyorch, target):
    lines = inside(pyorch, "cat /proc/self/mountinfo").splitlines()
    return next(line.split() for line in reversed(lines) if line.split()[4] == target)


@pytest.mark.attribute("services.*.configs.*.source", "configs.*.content", "configs.*.labels")
def test_configs_content_is_interpolated_and_readable_by_everybody(safe):
    assert inside(safe, "cat /from-content") == "hello world"
    assert inside(safe, "busybox stat -c '%u:%g %a' /from-content") == "0:0 444"


@pytest.mark.attribute(
    "services.*.configs.*.target",
    "services.*.configs.*.uid",
    "services.*.configs.*.gid",
    "services.*.configs.*.mode",
    "configs.*.file",
    "configs.*.name",
)
def test_configs_file_target_uid_gid_and_mode(safe):
    assert inside(safe, "cat /relative/file") == "of a file"
    assert inside(safe, "busybox stat -c '%u:%g %a' /relative/file") == "7:8 440"


@pytest.mark.attribute("configs.*.environment")
def test_configs_environment_below_a_volume(safe):
    assert inside(safe, "cat /app/deep/config") == "of a variable"


def test_configs_external_is_kept_by_the_person(safe):
    assert inside(safe, "cat /kept") == "kept"


@pytest.mark.attribute("configs.*.template_driver")
def test_configs_template_driver(safe):
    assert inside(safe, "cat /filled") == f"safe_a 1 loud {canary('file')}"


@pytest.mark.attribute("services.*.secrets.*.source", "secrets.*.file", "secrets.*.labels")
def test_secrets_file_is_where_it_always_is_even_below_a_tmpfs(safe):
    assert inside(safe, "cat /run/secrets/from-file") == canary("file")
    assert inside(safe, "busybox stat -c '%u:%g %a' /run/secrets/from-file") == "0:0 444"


@pytest.mark.attribute(
    "services.*.secrets.*.target",
    "services.*.secrets.*.uid",
    "services.*.secrets.*.gid",
    "services.*.secrets.*.mode",
    "secrets.*.environment",
)
def test_secrets_environment_target_uid_gid_and_mode_without_the_right_to_write(safe):
    assert inside(safe, "cat /run/secrets/other/name") == canary("variable")
    assert inside(safe, "busybox stat -c '%u:%g %a' /run/secrets/other/name") == "7:8 444"


@pytest.mark.attribute("secrets.*.driver", "secrets.*.driver_opts", "secrets.*.name")
def test_secrets_external_driver_and_driver_opts(safe):
    for mark in ("by-file", "by-env", "by-cmd"):
        assert inside(safe, f"cat /{mark}") == canary(mark)


@pytest.mark.attribute("secrets.*.template_driver")
def test_secrets_template_driver(safe):
    assert inside(safe, "cat /filled-secret") == f"{canary('template')} 1"


def test_secrets_and_configs_are_on_a_tmpfs_of_the_container_and_read_only(safe):
    for target in ("/run/secrets/from-file", "/from-content"):
        fields = mount_of(safe, target)
        assert fields[-3] == "tmpfs"
        assert {"ro", "nosuid", "nodev", "noexec"} <= set(fields[5].split(","))
    assert safe.try_("exec", "-T", "a", "sh", "-c", "echo x > /from-content").code != 0


def test_secrets_are_there_after_a_restart_of_the_container(safe):
    safe.client.post("/v1/stacks/safe/stop")
    safe.until("safe", lambda state: state["replicas"][0]["phase"] == "exited")
    safe.client.post("/v1/stacks/safe/start")
    safe.until("safe", lambda state: state["settled"] and state["intent"] == "run")

    assert inside(safe, "cat /run/secrets/from-file") == canary("file")


def shapes():
    """Return every form in which a canary may stand somewhere."""
    found = []
    for mark in MARKS:
        data = canary(mark).encode()
        # Base64 depends on what stands before it: three shifts, without the ends.
        found += [data, *(base64.b64encode(b"x" * n + data)[4:-4] for n in range(3))]
        found.append(data.hex().encode())
    return found


def has_canary(data):
    return any(shape in data for shape in shapes())


SAYING = """
up -d --force-recreate --wait
up -d --scale nobody=2
config
config --format json
config --no-normalize --no-consistency --no-path-resolution --no-env-resolution
config --no-interpolate
config --variables
config --hash *
config --lock-image-digests
config --explain secrets.from-file
config --explain secrets.from-variable.environment
config --explain secrets.by-cmd.driver_opts.command
plan
plan --json
graph
ps -a --format json
logs
ls --format json
history --format json
diff
diff --format json
lint
lint --format json
lock --check
images --format json
image inspect busybox
image history busybox
volumes
volume ls
volume inspect safe_app
network ls
network inspect safe_default
doctor
daemon status
"""
ASKING = ("", "/safe", "/safe/generations")


def test_secrets_are_in_no_output(safe):
    # Something to tell of: a generation before, and one whose secret changed.
    safe.write(canary("file") + "-changed", "word.txt")
    said = [safe.run("up", "-d", "--wait")]
    safe.write(canary("file"), "word.txt")
    for line in SAYING.strip().splitlines():
        done = safe.try_(*line.split())
        assert "usage:" not in done.err, line
        said.append(done.out + done.err)
    said += [json.dumps(safe.client.get(f"/v1/stacks{path}")) for path in ASKING]
    said.append(json.dumps(safe.client.get("/v1/stacks/safe/diff", {"old": 1, "new": 2})))
    said.append(json.dumps(next(safe.client.stream("GET", "/v1/stacks/safe/events"))))

    assert not [text for text in said if has_canary(text.encode())]


def test_secrets_are_in_nothing_that_is_taken_out_of_a_container(safe):
    safe.run("export", "-o", "taken.tar", "a")
    safe.run("commit", "a", "taken")
    safe.run("image", "save", "-o", "saved.tar", "taken")

    for name in ("taken.tar", "saved.tar"):
        path = safe.work / name
        with tarfile.open(path) as archive:
            parts = [archive.extractfile(one) for one in archive if one.isfile()]
            assert not [part.name for part in parts if has_canary(unpacked(part.read()))]
        path.unlink()
    safe.run("image", "rm", "taken")


def unpacked(data):
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def test_secrets_are_in_no_error(safe):
    for old, new in (
        ("template_driver: golang", "template_driver: {{.Nope}}"),
        ("mode: 0466", "mode: nine"),
        ("{external: true, name: STORED, driver: env}", "{external: true, driver: nope}"),
        ('command: "cat stored-too.txt"', "command: \"sh -c 'cat stored-too.txt; exit 1'\""),
        ("environment: {MODE: loud}", f"post_start: [{{command: [sh, -c, '{TELLS}']}}]"),
        ("environment: {MODE: loud}", f"pre_start: [{{command: [sh, -c, '{TELLS}']}}]"),
        # It is waited for: a program that has just begun may end after that was told.
        (
            "command: sleep 1000",
            f"command: [sh, -c, '{TELLS}']\n    healthcheck: {{test: exit 1}}",
        ),
    ):
        safe.write(STACK.replace(old, new), "broken.yml")
        done = safe.try_("-f", "broken.yml", "-p", "broken", "up", "-d", "--wait")
        assert done.code == 1
        assert not has_canary((done.out + done.err).encode())
        assert "told" not in new or "told" in done.err
    safe.run("-p", "broken", "down", "-v")


def test_secrets_are_in_no_file_but_the_closed_ones(safe):
    safe.run("up", "-d", "--wait")
    sources = {"word.txt", "stored.txt", "stored-too.txt", "template.txt"}
    found = []
    for path in sorted(safe.home.rglob("*")):
        own = path.is_file() and not path.is_symlink() and not {"merged", "netns"} & set(path.parts)
        if own and has_canary(path.read_bytes()):
            found.append(path)
    closed = safe.settings.data / "secrets"
    carried = [path for path in found if path.parent.name == "carried"]
    kept = [path for path in found if closed in path.parents]

    assert kept
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert carried
    assert all(path.parent.is_mount() for path in carried)
    rest = [path for path in found if path not in carried and path not in kept]
    assert {path.name for path in rest} <= sources
    assert all(path.parent == safe.work for path in rest)


def test_secrets_are_on_no_command_line_and_in_no_environment_of_the_machinery(safe):
    mine = str(safe.home)
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes()
            environ = (folder / "environ").read_bytes()
        except OSError:
            continue
        assert not has_canary(words)
        # Those of the test itself, and of whoever it runs, are the person's own.
        if mine.encode() in environ + words and b"pyorch\0" not in words:
            assert not has_canary(environ), words
