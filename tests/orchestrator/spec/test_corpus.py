"""Every conformance case of the Compose format, in one process: what is accepted, and as what.

The cases are data that is not part of this repository. PYORCH_CORPUS names their folder; where
it is missing the test is skipped and says so. ``python tests/orchestrator/spec/test_corpus.py
[-v] [--fields] [WORD…]`` prints the score by category; with -v every case that differs, and
words restrict it to ids or categories that hold one of them.
"""

import base64
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import run as run_command

HERE = Path(__file__).resolve()
CORPUS = Path(os.environ.get("PYORCH_CORPUS", HERE.parents[4] / "shared" / "corpus"))
DEVIATIONS = HERE.with_name("deviations.json")
"""Cases we decide differently, each with the reason."""

NULLABLE = {"command", "entrypoint", "ipam", "bind", "volume", "tmpfs"}
MISSING = "<absent>"
WANTED = 0.99


@dataclass(slots=True)
class Outcome:
    """What one case came to."""

    case: dict[str, Any]
    verdict: bool = False
    full: bool = False
    crash: bool = False
    said: str = ""
    differences: list[tuple[str, Any, Any]] = field(default_factory=list)


def cases(words: list[str] | None = None) -> list[dict[str, Any]]:
    """Return the cases whose id or category holds one of ``words``; all where none is given."""
    found = []
    for file in sorted((CORPUS / "open" / "cases").glob("*.json")):
        for case in json.loads(file.read_text()):
            name = f"{case['id']} {case['category']}"
            if not words or any(word in name for word in words):
                found.append(case)
    return found


def run(case: dict[str, Any]) -> Outcome:
    """Write a case's files, run its command, compare."""
    root = Path(os.path.realpath(tempfile.mkdtemp(prefix="pc")))
    outcome = Outcome(case)
    try:
        project = _materialise(case, root)
        code, printed, outcome.said = _command(case, root, project)
        outcome.crash = code is None
        if case["expect"] == "reject":
            outcome.verdict = outcome.full = bool(code)
        else:
            outcome.verdict = code == 0
            if outcome.verdict:
                _compare(outcome, printed, root, project)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return outcome


def _materialise(case: dict[str, Any], root: Path) -> Path:
    project = root / "proj"
    (root / "home").mkdir()
    project.mkdir()
    for name, content in case["files"].items():
        path = Path(os.path.normpath(project / name))
        assert path.is_relative_to(root), name
        if isinstance(content, dict) and content.get("dir"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        data = base64.b64decode(content["b64"]) if isinstance(content, dict) else content.encode()
        path.write_bytes(data)
    Path(os.path.normpath(project / case.get("cwd", "."))).mkdir(parents=True, exist_ok=True)
    return project


def _command(case: dict[str, Any], root: Path, project: Path) -> tuple[int | None, str, str]:
    """Return exit code (None for a crash), standard output and standard error."""
    before, environ = Path.cwd(), dict(os.environ)
    out, err = io.StringIO(), io.StringIO()
    stdin = sys.stdin
    given = _placed(case.get("env", {}), root, project)
    home = str(root / "home")
    try:
        os.environ.clear()
        os.environ.update({"PATH": environ["PATH"], "HOME": home, "LANG": "C.UTF-8", **given})
        os.chdir(os.path.normpath(project / case.get("cwd", ".")))
        sys.stdin = io.StringIO(case.get("stdin", ""))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code: int | None = run_command(_placed(case["args"], root, project))
            except SystemExit as left:
                code = left.code if isinstance(left.code, int) else 1
            except Exception:
                traceback.print_exc()
                code = None
    finally:
        sys.stdin = stdin
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environ)
    return code, out.getvalue(), err.getvalue()


def _compare(outcome: Outcome, printed: str, root: Path, project: Path) -> None:
    case = outcome.case
    if case.get("compare") == "lines":
        wanted = sorted(_placed(case["expected_lines"], root, project))
        got = sorted(line for line in printed.split("\n") if line)
        outcome.full = wanted == got
        if not outcome.full:
            outcome.differences = [("lines", wanted, got)]
        return
    wanted = _placed(case["expected"], root, project)
    try:
        got = json.loads(printed)
    except ValueError:
        outcome.differences = [("not JSON", "", printed[:200])]
        return
    for pointer in case.get("ignore", []):
        _drop(wanted, pointer)
        _drop(got, pointer)
    outcome.differences = list(_differences(_normal(wanted), _normal(got)))
    outcome.full = not outcome.differences


def _placed(value: Any, root: Path, project: Path) -> Any:
    if isinstance(value, str):
        home = str(root / "home")
        value = value.replace("@DIR@", str(project)).replace("@HOME@", home)
        return value.replace("@ROOT@", str(root))
    if isinstance(value, list):
        return [_placed(one, root, project) for one in value]
    if isinstance(value, dict):
        return {
            _placed(key, root, project): _placed(one, root, project) for key, one in value.items()
        }
    return value


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _normal(one) for key, one in value.items()}
        return {k: v for k, v in kept.items() if v is not None or k not in NULLABLE} or None
    if isinstance(value, list):
        return [_normal(one) for one in value] or None
    if isinstance(value, float) and value == int(value):
        return int(value)
    return value


def _differences(a: Any, b: Any, path: str = "") -> Any:
    numbers = isinstance(a, int | float) and isinstance(b, int | float)
    if (type(a) is not type(b) and not (numbers and not isinstance(a, bool))) or (
        isinstance(a, bool) != isinstance(b, bool)
    ):
        yield path or "/", a, b
    elif isinstance(a, dict):
        for key in sorted(set(a) | set(b), key=str):
            if key not in a or key not in b:
                yield f"{path}/{key}", a.get(key, MISSING), b.get(key, MISSING)
            else:
                yield from _differences(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list):
        if len(a) != len(b):
            yield path, a, b
        else:
            for number, (one, other) in enumerate(zip(a, b, strict=True)):
                yield from _differences(one, other, f"{path}/{number}")
    elif a != b:
        yield path, a, b


def _drop(document: Any, pointer: str) -> None:
    *above, last = pointer.strip("/").split("/")
    for part in above:
        document = document.get(part) if isinstance(document, dict) else None
    if isinstance(document, dict):
        document.pop(last, None)


def table(outcomes: list[Outcome]) -> str:
    """Return the score by category, one line each."""
    rows: dict[str, Counter[str]] = {}
    for one in outcomes:
        category = one.case["category"]
        attribute = category.startswith("compose-go/attr-")
        name = "compose-go/attr-*" if attribute else "/".join(category.split("/")[:2])
        for row in (name, "TOTAL"):
            counted = rows.setdefault(row, Counter())
            counted["cases"] += 1
            counted["verdict"] += one.verdict
            counted["full"] += one.full
            counted["crash"] += one.crash
    total = rows.pop("TOTAL", Counter())
    lines = [f"{'category':36} {'cases':>6} {'verdict':>8} {'full':>6} {'crash':>6}"]
    for name, row in [*sorted(rows.items()), ("TOTAL", total)]:
        counts = f"{row['cases']:6} {row['verdict']:8} {row['full']:6} {row['crash']:6}"
        lines.append(f"{name:36} {counts}")
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no conformance corpus at {CORPUS}")
def test_files_load_as_the_reference_loads_them(capsys):
    decided = json.loads(DEVIATIONS.read_text())
    outcomes = [run(case) for case in cases()]
    with capsys.disabled():
        sys.stdout.write("\n" + table(outcomes) + "\n")
    differing = {one.case["id"] for one in outcomes if not one.full}

    assert not [one.case["id"] for one in outcomes if one.crash]
    assert sum(one.verdict for one in outcomes) >= WANTED * len(outcomes)
    assert sum(one.full for one in outcomes) >= WANTED * len(outcomes)
    assert not set(decided) - differing, "a deviation is listed that is none"


def _report(words: list[str]) -> None:
    flags = {word for word in words if word.startswith("-")}
    outcomes = [run(case) for case in cases([word for word in words if word not in flags])]
    fields: Counter[str] = Counter()
    for one in outcomes:
        if one.full or not flags:
            continue
        for path, _, _ in one.differences[:20]:
            parts = path.split("/")
            deep = len(parts) > 3
            fields[f"{parts[1]}.*.{parts[3]}" if deep else path] += 1
        if "-v" in flags:
            case = one.case
            sys.stdout.write(f"{case['id']} [{case['category']}] {case['expect']}\n")
            if not one.verdict:
                said = one.said[-300:] if one.crash else one.said[:300]
                sys.stdout.write(f"    said: {said}\n")
                sys.stdout.write(f"    reference: {case.get('reference_error', '')[-200:]}\n")
            for path, wanted, got in one.differences[:6]:
                sys.stdout.write(f"    {path}: {str(wanted)[:150]} <> {str(got)[:150]}\n")
    if "--fields" in flags:
        for name, count in fields.most_common(40):
            sys.stdout.write(f"{count:5} {name}\n")
    sys.stdout.write(table(outcomes) + "\n")


if __name__ == "__main__":
    _report(sys.argv[1:])
