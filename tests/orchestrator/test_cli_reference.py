"""What `docs/cli.md` says of verbs and flags is so."""

from pathlib import Path

from orchestrator.cli import reference

HERE = Path(__file__).parents[2]


def test_no_flag_is_claimed_that_is_not_there_and_shown():
    found = reference.rows(HERE / "tests")
    held = {(row.verb, row.flag): row.state for row in found}

    claimed = {}
    verb = ""
    for line in (HERE / "docs" / "cli.md").read_text().splitlines():
        if line.startswith("## "):
            verb = line.strip("# `")
        elif line.startswith("| ") and not line.startswith("| flag"):
            flag, state = (cell.strip() for cell in line.split("|")[1:3])
            key = "" if flag == "the verb" else flag.replace("`", "").replace(", ", "/")
            claimed[verb, key] = state

    assert claimed.keys() == held.keys()
    better = {key for key, state in claimed.items() if state != "no" and state != held[key]}
    assert better == set(), "`make docs` writes the page anew"


def test_what_is_neither_known_nor_shown_is_no_yes(tmp_path):
    test = "def test_it():\n    run(['up', '-d', '--scale=web=2'])\n\n\n"
    (tmp_path / "test_one.py").write_text(test + "WORDS = ['down', '--volumes']\n")

    held = {(row.verb, row.flag): row.state for row in reference.rows(tmp_path)}

    assert held["up", "-d/--detach"] == held["up", "--scale"] == "yes"
    assert held["up", "--build"] == held["down", ""] == held["publish", ""] == "no"
