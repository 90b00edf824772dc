"""The stack's files are followed: what is valid runs, and what is not changes nothing."""

import os
import random
import signal
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import eventually

pytestmark = pytest.mark.root

STACK = """
name: live
include: [more.yml]
services:
  web: {image: busybox, command: sleep 1000, stop_grace_period: 0s, environment: {N: "NUMBER"}}
"""
MORE = """
services:
  more: {image: busybox, command: sleep 1000, stop_grace_period: 0s, environment: {M: "NUMBER"}}
"""


def generation(pyorch):
    return pyorch.client.get("/v1/stacks/live")["generation"]


def environment(pyorch, service, key):
    """Return a variable of the service's first process; None where none runs."""
    for pid in pyorch.processes(f"live/{service}.1"):
        try:
            text = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue
        pairs = dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)
        if key in pairs:
            return pairs[key]
    return None


def comes_to(pyorch, service, key, value):
    eventually(lambda: environment(pyorch, service, key), lambda found: found == value)


class Told:
    """What a command has said on standard error so far."""

    def __init__(self, process):
        self.lines, self.process = [], process
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.process.stderr as stream:
            for line in stream:
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()

    def wait_for(self, words):
        """Return once some words were said, and forget all that was said before."""

        def said():
            return words in "".join(self.lines)

        with self._changed:
            assert self._changed.wait_for(said, 60), "".join(self.lines)
            text = "".join(self.lines)
            self.lines = []
            return text


@contextmanager
def watching(pyorch, *words):
    process = pyorch.start(*words)
    try:
        yield Told(process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()


@pytest.fixture
def written(pyorch):
    pyorch.write(STACK.replace("NUMBER", "1"))
    pyorch.write(MORE.replace("NUMBER", "1"), "more.yml")
    return pyorch


def test_an_edit_of_the_file_or_of_what_it_includes_is_what_runs_soon_after(written):
    with watching(written, "watch") as told:
        told.wait_for("generation 1")
        written.write(STACK.replace("NUMBER", "2"))
        told.wait_for("generation 2")
        # As editors do: another file takes its place.
        written.write(MORE.replace("NUMBER", "7"), "more.new").rename(written.work / "more.yml")
        told.wait_for("generation 3")
        comes_to(written, "web", "N", "2")
        comes_to(written, "more", "M", "7")

    assert environment(written, "web", "N") == "2", "the stack goes on"


def test_f38_what_is_broken_or_gone_is_told_with_its_place_and_changes_nothing(
    written,
):
    with watching(written, "watch") as told:
        told.wait_for("generation 1")
        comes_to(written, "web", "N", "1")
        before = written.main_process("live/web.1")

        written.write(STACK.replace("image: busybox", "image: [busybox"))
        assert "stack.yml:5:" in told.wait_for("nothing is changed")
        written.write("services:\n  more: {image: busybox, comand: x}\n", "more.yml")
        written.write(STACK.replace("NUMBER", "1"))
        assert "more.yml:2:" in told.wait_for("nothing is changed")
        (written.work / "more.yml").unlink()
        assert "more.yml" in told.wait_for("nothing is changed")
        written.write(MORE.replace("NUMBER", "1"), "more.yml")
        told.wait_for("in order again")
        (written.work / "more.yml").unlink()
        os.mkfifo(written.work / "more.yml")
        assert "more.yml" in told.wait_for("nothing is changed")
        (written.work / "more.yml").unlink()
        (written.work / "stack.yml").unlink()
        assert "stack.yml" in told.wait_for("nothing is changed")
        written.write(MORE.replace("NUMBER", "1"), "more.yml")
        written.write(STACK.replace("NUMBER", "1").replace("name: live", "name: other"))
        assert "of stack `other` now" in told.wait_for("nothing is changed")

        written.write(STACK.replace("NUMBER", "1"))
        told.wait_for("in order again")
        written.write(STACK.replace("NUMBER", "1").replace("more.yml", "more.yml, late.yml"))
        assert "late.yml" in told.wait_for("nothing is changed")
        assert (generation(written), written.main_process("live/web.1")) == (1, before)
        written.write("services: {}\n", "late.yml")
        told.wait_for("in order again")

    assert (generation(written), written.main_process("live/web.1")) == (1, before)
    assert written.stacks() == ["live"]


def test_up_follows_the_files_too_and_ends_with_the_stack(written):
    process = written.start("up", "--watch", "--no-log-prefix")
    told = Told(process)
    told.wait_for("live-web-1 Started")
    written.write(STACK.replace("NUMBER", "5"))
    told.wait_for("generation 2")
    comes_to(written, "web", "N", "5")

    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 0
    process.stdout.close()
    assert environment(written, "web", "N") is None


def test_edits_in_pieces_some_of_them_broken_come_to_the_last_valid_file(written):
    chance = random.Random(7)
    path = written.work / "stack.yml"
    with watching(written, "watch", "--quiet") as told:
        told.wait_for("generation 1")
        for number in range(2, 60):
            text = STACK.replace("NUMBER", str(number))
            if chance.random() < 0.4:
                text = chance.choice((text[: len(text) // 2] + "{", "- nothing\n", ""))
            with path.open("w") as file:
                for start in range(0, len(text), 40):
                    file.write(text[start : start + 40])
                    file.flush()
        path.write_text(STACK.replace("NUMBER", "last"))
        comes_to(written, "web", "N", "last")
        path.write_text(STACK.replace("NUMBER", "broken") + "  x: [")
        told.wait_for("nothing is changed")

    assert environment(written, "web", "N") == "last"
