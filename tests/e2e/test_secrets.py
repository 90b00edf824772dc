"""A secret reaches the container it is for, and is written down nowhere else."""

import base64
import stat

import pytest

pytestmark = pytest.mark.root

WORD = "hunter2-the-only-copy"
STACK = """
name: safe
services:
  a:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    secrets: [word, {source: other, target: deep/other, mode: 0400}]
secrets:
  word: {file: ./word.txt}
  other: {environment: OTHER_WORD}
"""


@pytest.fixture
def safe(pyorch):
    pyorch.write(WORD, "word.txt")
    pyorch.environment["OTHER_WORD"] = f"{WORD}-too"
    pyorch.write(STACK)
    pyorch.run("up", "-d", "--wait")
    return pyorch


def inside(pyorch, *words):
    return pyorch.run("-p", "safe", "exec", "-T", "a", *words)


def test_secrets_are_files_in_the_container(safe):
    assert inside(safe, "cat", "/run/secrets/word") == WORD
    assert inside(safe, "cat", "/run/secrets/deep/other") == f"{WORD}-too"
    assert inside(safe, "ls", "-l", "/run/secrets/deep/other").startswith("-r--------")


def holders(folder):
    """Return the files below ``folder`` that hold the word, as it is or as it travels."""
    marks = (WORD.encode(), base64.b64encode(WORD.encode())[:-4])
    return [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not {"merged", "netns"} & set(path.parts)
        and any(mark in path.read_bytes() for mark in marks)
    ]


def test_a_secret_is_nowhere_but_in_its_own_closed_place(safe):
    data = safe.settings.data
    kept = holders(data)

    assert kept
    assert all((data / "secrets") in path.parents for path in kept)
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert stat.S_IMODE((data / "secrets").stat().st_mode) == 0o700
    mounted = holders(safe.settings.run)
    assert all(path.parent.is_mount() for path in mounted)


def test_no_output_shows_a_secret(safe):
    for words in (["config"], ["config", "--format", "json"], ["plan", "--json"], ["logs"]):
        done = safe.try_("-f", "stack.yml", *words)
        assert WORD not in done.out + done.err
        assert base64.b64encode(WORD.encode()).decode() not in done.out + done.err
    entry = next(safe.client.stream("GET", "/v1/stacks/safe/events"))
    assert WORD not in str(entry)


def test_another_content_makes_a_new_container_and_the_old_one_is_forgotten(safe):
    safe.write(f"{WORD}-changed", "word.txt")

    safe.run("up", "-d", "--wait")
    assert inside(safe, "cat", "/run/secrets/word") == f"{WORD}-changed"

    safe.run("down")
    assert holders(safe.settings.data) == []
    assert holders(safe.settings.run) == []
