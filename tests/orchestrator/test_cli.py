"""A command line is read as people mean it."""

import subprocess
import sys

import pytest


def run(folder, *words):
    return subprocess.run(
        [sys.executable, "-c", "from orchestrator.cli import main; main()", *words],
        cwd=folder,
        env={"PYORCH_RUN": str(folder), "XDG_CACHE_HOME": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["logs", "diff", "up", "version"])
def test_a_stack_may_be_called_as_a_command_is(tmp_path, name):
    (tmp_path / "stack.yml").write_text("services: {web: {image: a}}\n")
    for words in (["-p", name], ["--project-name", name], [f"--project-name={name}"]):
        done = run(tmp_path, *words, "config", "--format", "json")
        assert done.returncode == 0, done.stderr
        assert f'"name": "{name}"' in done.stdout


def test_a_word_that_is_no_command_is_named_with_what_there_is(tmp_path):
    done = run(tmp_path, "upp")

    assert done.returncode == 1
    assert "upp" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_at_all_says_what_there_is(tmp_path):
    done = run(tmp_path)

    assert "up" in done.stdout
    assert "Traceback" not in done.stderr
