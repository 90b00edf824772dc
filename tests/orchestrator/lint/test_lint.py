"""Every rule finds what it is for, keeps quiet about what is right, and mends without harm."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lint import RULES, find, mend
from orchestrator.spec.load import LoadRequest, load_stack

RIGHT = """
services:
  web:
    image: nginx:1
    restart: always
    mem_limit: 64m
"""
WRONG = {
    "health-unknown": ("depends_on: {db: {condition: service_healthy}}", "depends_on.db"),
    "started-is-not-ready": ("depends_on: [checked]", "depends_on.checked"),
    "deaf-to-signals": ('command: [sh, -c, "a; b"]', "command"),
    "no-memory-limit": ("mem_limit: 0", ""),
    "one-name-one-container": ("container_name: ww\n    ports: ['80']", "container_name"),
    "secret-in-environment": ("environment: {DB_PASSWORD: x}", "environment.DB_PASSWORD"),
    "database-for-everybody": ("ports: ['5432:5432']", "ports.0"),
    "rights-over-the-host": ("privileged: true", "privileged"),
    "floating-image": ("image: nginx:latest", "image"),
    "stays-down": ('restart: "no"\n    ports: ["80"]', ""),
    "octal-number": ("environment: {A: 017}", "environment.A"),
    "needs-quotes": ("environment: {A: yes}", "environment.A"),
}
FINE = (
    "depends_on: {checked: {condition: service_healthy}}",
    'command: [sh, -c, "a; exec b"]',
    'command: [sh, -c, "only one"]',
    'command: [sh, -c, "a; b"]\n    init: true',
    "environment: {DB_PASSWORD_FILE: /run/secrets/x, DB_PASSWORD: ''}",
    "ports: ['127.0.0.1:5432:5432']",
    "image: nginx@sha256:" + 64 * "a",
    "image: localhost:5000/nginx:1",
    "environment: {A: 'yes', B: \"no\", C: 3306:3306, D: yesterday}",
    "volumes: ['/etc:/etc:ro']",
    "volumes: [{type: tmpfs, target: /t, tmpfs: {mode: 0700}}]",
)
OTHERS = """
  db: {image: "db:1", restart: always, mem_limit: 64m}
  checked:
    image: db:1
    restart: always
    mem_limit: 64m
    healthcheck: {test: [CMD, x]}
"""


def found_in(text, *, ignore=()):
    loaded = load_stack(
        LoadRequest(files=("-",), stdin=text, cwd=Path("/srv"), project_name="x", to_run=False)
    )
    return find(loaded.stack, loaded.tree, ignore=ignore)


def with_line(line):
    key = line.partition(":")[0]
    kept = [one for one in RIGHT.splitlines() if not one.strip().startswith(f"{key}:")]
    return "\n".join(kept) + f"\n    {line}\n{OTHERS}"


def test_a_file_without_anything_odd_is_left_in_peace():
    assert found_in(RIGHT) == []


@pytest.mark.parametrize("rule", WRONG)
def test_a_rule_finds_what_it_is_for_at_its_place(rule):
    line, place = WRONG[rule]
    (found,) = found_in(with_line(line), ignore={one.name for one in RULES} - {rule})

    assert found.rule == rule
    assert ".".join(found.path) == f"services.web{'.' if place else ''}{place}"
    assert found.hint
    assert found.origin is not None


@pytest.mark.parametrize("line", FINE)
def test_what_is_right_is_not_found(line):
    assert [one.rule for one in found_in(with_line(line))] == []


def test_what_no_service_uses_is_found():
    text = RIGHT + "volumes: {old: }\nnetworks: {default: , lost: }\nconfigs: {c: {content: x}}\n"

    assert {one.path for one in found_in(text)} == {
        ("volumes", "old"),
        ("networks", "lost"),
        ("configs", "c"),
    }


def test_every_rule_is_shown_by_an_example():
    assert {*WRONG, "unused"} == {rule.name for rule in RULES}


def test_mending_keeps_everything_else_as_it_was(tmp_path):
    text = """# what I wrote
services:
  web:   # the front
    image: nginx:1
    restart: always
    mem_limit: 64m
    ports: [ 22:22 ,  "80" ] # both
    environment:
      A:   yes     # really
      B: |
        off
      'C': on
"""
    path = tmp_path / "stack.yml"
    path.write_text(text)
    loaded = load_stack(LoadRequest(files=(str(path),), cwd=tmp_path, to_run=False))
    mended = mend(find(loaded.stack, loaded.tree))

    wanted = text.replace("22:22", '"22:22"').replace("yes", '"yes"')
    assert mended == {"stack.yml": wanted}


@given(
    st.lists(
        st.sampled_from(["yes", "No", "on", "OFF", "22:22", "017", "a", '"no"', "1.5", "x y"]),
        min_size=1,
        max_size=6,
    )
)
def test_a_mended_file_means_the_same_here_and_the_same_for_others(words):
    lines = "".join(f"      K{number}: {word}\n" for number, word in enumerate(words))
    text = f"{RIGHT}    environment:\n{lines}"
    before = load_stack(
        LoadRequest(files=("-",), stdin=text, cwd=Path("/srv"), project_name="x", to_run=False)
    )
    (mended,) = mend(find(before.stack, before.tree)).values() or (text,)
    after = load_stack(
        LoadRequest(files=("-",), stdin=mended, cwd=Path("/srv"), project_name="x", to_run=False)
    )

    assert after.stack == before.stack
    assert found_in(mended, ignore={"octal-number"}) == []
    theirs = yaml.safe_load(mended)["services"]["web"]["environment"]
    ours = after.stack.services["web"].environment
    assert {key: str(value) for key, value in theirs.items()} == ours


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["lint"], 1, "floating-image: stack.yml:3:5: services.web.image"),
        (["lint", "--ignore", "floating-image"], 1, "no-memory-limit"),
        (["lint", "--ignore", "typo"], 1, "there is no rule `typo`"),
        (["lint", "--rules"], 0, "needs-quotes"),
    ],
)
def test_what_is_found_is_printed_and_told_by_the_exit_code(tmp_path, words, code, said):
    (tmp_path / "stack.yml").write_text("services:\n  web:\n    image: nginx\n")
    done = subprocess.run(
        [sys.executable, "-c", "from orchestrator.cli import main; main()", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code
    assert said in done.stdout + done.stderr


def test_fixing_changes_the_file_in_place_and_keeps_its_rights(tmp_path):
    real = tmp_path / "real.yml"
    real.write_text(RIGHT + "    environment: {A: yes}\n")
    real.chmod(0o640)
    (tmp_path / "stack.yml").symlink_to("real.yml")
    done = subprocess.run(
        [sys.executable, "-c", "from orchestrator.cli import main; main()", "lint", "--fix"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert '{A: "yes"}' in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"real.yml", "stack.yml"}
