"""What somebody is told of a test that failed."""

import os
import subprocess
import sys
from pathlib import Path

FAILING = """
from tests.instance import Pyorch


def begin(folder, name):
    pyorch = Pyorch(name=name, home=folder / name)
    pyorch.settings.daemon_log.parent.mkdir(parents=True)
    pyorch.settings.daemon_log.write_text("".join(f"{name} says {n}\\n" for n in range(100)))
    return pyorch


def test_first(tmp_path):
    begin(tmp_path, "former").over = True


def test_second(tmp_path):
    begin(tmp_path, "fine")
    begin(tmp_path, "broken")
    raise AssertionError("as it must")
"""


def test_a_test_that_fails_is_told_with_the_ends_of_the_logs_of_its_daemons(tmp_path):
    (tmp_path / "test_failing.py").write_text(FAILING)
    (tmp_path / "empty.ini").touch()
    root = Path(__file__).parent.parent
    plain = ["-p", "no:randomly", "-p", "no:cacheprovider", "-c", "empty.ini"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plain, "-p", "tests.conftest", "test_failing.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "broken says 99\n" in done.stdout
    assert "broken says 59\n" not in done.stdout
    assert "fine says 99\n" in done.stdout, "both are of this test"
    assert "former says" not in done.stdout, "that was another one's"
