"""What loading came to is used again exactly as long as loading would come to the same."""

import argparse
from base64 import b64encode
from pathlib import Path

import pytest

from orchestrator.cli import cache
from orchestrator.cli.loading import settle

STACK = """
name: kept
services:
  web:
    image: nginx
    environment:
      GREETING: "${GREETING:-hello}"
      PASSED:
    env_file: [{path: more.env, required: false}]
"""


MOTD = "configs: {motd: {external: true}}\n"


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("GREETING", "PASSED", "COMPOSE_FILE", "PWD"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "compose.yml").write_text(STACK)
    monkeypatch.chdir(folder)
    _wait_for_another_moment(folder)
    return folder


def _wait_for_another_moment(folder: Path) -> None:
    """Return once the file system's clock has gone on: what is younger than that is not kept."""
    probe = folder.parent / "moment"
    probe.touch()
    begin = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns <= begin + 2 * cache.GRAIN:
        probe.touch()


def typed(**more) -> argparse.Namespace:
    usual = {
        "file": [],
        "project_name": None,
        "project_directory": None,
        "env_file": [],
        "profile": [],
    }
    return argparse.Namespace(**(usual | more))


def recalled(**more) -> cache.Settled | None:
    place = cache.place_of(typed(**more), Path.cwd())
    return cache.recall(place) if place else None


def environment_of(settled: cache.Settled) -> dict[str, str]:
    return settled.document["services"]["web"]["environment"]


def test_a_stack_file_that_has_not_changed_is_recalled_as_it_was_settled(work):
    settled = settle(typed())

    assert recalled() == settled
    assert settle(typed()) == settled


def test_a_stack_file_that_has_changed_is_not_recalled(work):
    settle(typed())
    (work / "compose.yml").write_text(STACK.replace("nginx", "httpd"))

    assert recalled() is None
    assert settle(typed()).document["services"]["web"]["image"] == "httpd"


@pytest.mark.parametrize("name", ["more.env", ".env", "compose.override.yml", "compose.yaml"])
def test_a_file_that_was_looked_for_and_appears_counts(work, name):
    settle(typed())
    (work / name).write_text("{}" if name.endswith("ml") else "PASSED=1\n")

    assert recalled() is None


def test_a_file_that_was_read_and_goes_away_counts(work):
    (work / "more.env").write_text("MORE=1\n")
    _wait_for_another_moment(work)
    settle(typed())
    assert recalled() is not None
    (work / "more.env").unlink()

    assert recalled() is None


def test_a_variable_the_file_asks_for_counts(work, monkeypatch):
    settle(typed())
    monkeypatch.setenv("GREETING", "good day")

    assert recalled() is None
    assert environment_of(settle(typed()))["GREETING"] == "good day"


def test_a_variable_the_file_passes_on_counts(work, monkeypatch):
    settle(typed())
    monkeypatch.setenv("PASSED", "yes")

    assert recalled() is None
    assert environment_of(settle(typed()))["PASSED"] == "yes"


def test_a_variable_that_is_spelt_with_escapes_counts(work, monkeypatch):
    (work / "compose.yml").write_text(STACK.replace('"${GREETING', '"${\\x47REETING'))
    _wait_for_another_moment(work)
    settle(typed())
    assert recalled() is not None
    monkeypatch.setenv("GREETING", "good day")

    assert recalled() is None
    assert environment_of(settle(typed()))["GREETING"] == "good day"


@pytest.mark.parametrize(
    "named", ["${FIRST}_WORD", "A_${LAST}", "${FIRST}${REST}", "$FIRST${REST}", "$WHOLE"]
)
def test_a_variable_whose_name_is_in_others_counts(work, monkeypatch, named):
    parts = {"FIRST": "A", "REST": "_WORD", "LAST": "WORD", "WHOLE": "A_WORD", "A_WORD": "old"}
    for name, value in parts.items():
        monkeypatch.setenv(name, value)
    (work / "compose.yml").write_text(
        f"name: kept\nservices: {{web: {{image: nginx, environment: ['{named}']}}}}\n"
    )
    _wait_for_another_moment(work)
    assert environment_of(settle(typed())) == {"A_WORD": "old"}
    assert recalled() is not None
    monkeypatch.setenv("A_WORD", "new")

    assert recalled() is None
    assert environment_of(settle(typed())) == {"A_WORD": "new"}


def test_where_a_person_keeps_contents_counts(work, monkeypatch):
    for name in ("one", "two"):
        folder = work.parent / name / "pyorch" / "configs"
        folder.mkdir(parents=True)
        (folder / "motd").write_text(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(work.parent / "one"))
    (work / "compose.yml").write_text(STACK + "    configs: [motd]\n" + MOTD)
    _wait_for_another_moment(work)
    settle(typed())
    assert recalled() is not None
    monkeypatch.setenv("XDG_CONFIG_HOME", str(work.parent / "two"))

    assert recalled() is None
    assert settle(typed()).document["configs"]["motd"]["payload"] == b64encode(b"two").decode()


def test_a_variable_nobody_asks_for_does_not_count(work, monkeypatch):
    settled = settle(typed())
    monkeypatch.setenv("SOMETHING_ELSE", "1")

    assert recalled() == settled


@pytest.mark.parametrize(
    ("name", "value"), [("COMPOSE_FILE", "other.yml"), ("COMPOSE_PROFILES", "a")]
)
def test_a_variable_of_compose_itself_counts(work, monkeypatch, name, value):
    settle(typed())
    (work / "other.yml").write_text("name: other\nservices: {one: {image: a}}")
    monkeypatch.setenv(name, value)

    assert recalled() is None


def test_what_was_typed_counts(work):
    settle(typed())

    assert recalled(project_name="other") is None
    assert recalled(profile=["debug"]) is None


def test_warnings_are_told_every_time(work, capsys):
    (work / "compose.yml").write_text("version: '3'\n" + STACK)
    _wait_for_another_moment(work)
    settle(typed())
    first = capsys.readouterr().err
    settle(typed())

    assert "version" in first
    assert capsys.readouterr().err == first


def test_a_stack_with_secrets_is_never_kept(work):
    (work / "key").write_text("hush-hush")
    (work / "compose.yml").write_text(STACK + "    secrets: [key]\nsecrets: {key: {file: key}}\n")
    _wait_for_another_moment(work)
    settle(typed())

    assert recalled() is None
    kept = [path for path in (work.parent / "cache").rglob("*") if path.is_file()]
    assert kept == []


def test_standard_input_is_never_kept(work):
    assert cache.place_of(typed(file=["-"]), work) is None


def test_a_file_that_changes_while_it_is_loaded_is_not_kept(work):
    since = cache.now()
    settled = settle(typed())
    (work / "compose.yml").write_text(STACK)
    place = cache.place_of(typed(profile=["x"]), work)
    cache.keep(place, settled, [work / "compose.yml"], since=since)

    assert cache.recall(place) is None


def test_an_entry_others_could_have_written_is_not_used(work):
    settle(typed())
    place = cache.place_of(typed(), work)
    place.path.chmod(0o620)

    assert cache.recall(place) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"digest": 1, "files": 2}', "\x00"])
def test_an_entry_that_is_broken_is_none(work, content):
    settle(typed())
    place = cache.place_of(typed(), work)
    place.path.write_text(content)

    assert cache.recall(place) is None
    assert settle(typed()).name == "kept"


def test_entries_are_bounded_and_private(work):
    for number in range(cache.MOST_ENTRIES + 3):
        settle(typed(project_name=f"p{number}"))
    folder = work.parent / "cache" / "pyorch" / "stacks"
    entries = list(folder.iterdir())

    assert len(entries) == cache.MOST_ENTRIES
    assert {entry.stat().st_mode & 0o777 for entry in entries} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_cache_that_cannot_be_written_hinders_nobody(work, monkeypatch):
    (work.parent / "blocked").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(work.parent / "blocked"))

    assert settle(typed()).name == "kept"
