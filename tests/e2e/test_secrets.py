"""Secrets of before are forgotten with the generations that used them."""

import base64

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


def test_another_content_makes_a_new_container_and_the_old_one_is_forgotten(safe):
    safe.write(f"{WORD}-changed", "word.txt")

    safe.run("up", "-d", "--wait")
    assert inside(safe, "cat", "/run/secrets/word") == f"{WORD}-changed"
    assert holders(safe.settings.data) != []

    safe.run("down")
    assert holders(safe.settings.data) == []
    assert holders(safe.settings.run) == []
