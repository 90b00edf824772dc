"""Which files of a context a `.dockerignore` leaves out."""

import pytest

from orchestrator.building.ignore import Ignored, read_rules


@pytest.mark.parametrize(
    ("rules", "left_out", "kept"),
    [
        ("node_modules", ["node_modules", "node_modules/a/b"], ["src/node_modules", "node"]),
        ("**/node_modules", ["node_modules", "src/node_modules/a"], ["node_modules2"]),
        ("*.log", ["a.log"], ["logs/a.log", "a.logs"]),
        ("*/*.log", ["logs/a.log"], ["a.log", "a/b/c.log"]),
        ("**/*.log", ["a.log", "a/b/c.log"], ["a.txt"]),
        ("/dist/", ["dist", "dist/a"], ["src/dist"]),
        ("./dist", ["dist"], ["adist"]),
        ("dist/../build", ["build"], ["dist"]),
        ("../outside", ["outside"], ["inside"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[ab].txt", ["a.txt"], ["c.txt"]),
        ("*\n!README.md", ["src", "Dockerfile"], ["README.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["a.md", "README-secret.md"], ["README.md"]),
        ("README.md\n!README.md", [], ["README.md"]),
        ("dist\n!dist/keep", ["dist/a"], ["dist/keep", "dist/keep/x"]),
        ("# a comment\n\n  dist  \n", ["dist"], ["# a comment"]),
        ("\ufeffdist", ["dist"], []),
        ("**", ["a", "a/b"], []),
        (".", ["a", "a/b"], []),
        ("", [], ["a"]),
        ("a?c\n*\udcff", ["a\udc80c", "\udcff"], ["a\udc80", "b"]),
        ("?", ["\n"], ["a\n"]),
        (f"{'a*' * 25}b", [f"{'a' * 60}b"], ["a" * 60, "a" * 200]),
    ],
)
def test_patterns_mean_what_they_mean_to_docker(rules, left_out, kept):
    ignored = Ignored(rules)
    assert [path for path in (*left_out, *kept) if ignored(path)] == left_out


@pytest.mark.parametrize(
    ("rules", "folder", "whole"),
    [
        ("dist", "dist", True),
        ("dist\n!dist/keep", "dist", False),
        ("dist\n!dist/a/keep", "dist/a", False),
        ("dist\n!dist/a/keep", "dist/b", True),
        ("dist\n!other", "dist", True),
        ("dist\n!**/keep", "dist", False),
        ("dist\n!d*/keep", "dist", False),
    ],
)
def test_a_folder_is_only_entered_where_something_in_it_may_be_kept(rules, folder, whole):
    assert Ignored(rules).whole(folder) is whole


def test_the_first_file_of_rules_that_exists_counts(tmp_path):
    (tmp_path / "general").write_text("a")
    (tmp_path / "own").write_text("b")
    assert read_rules([f"{tmp_path}/own", f"{tmp_path}/general"])("b")
    assert read_rules([f"{tmp_path}/none", f"{tmp_path}/general"])("a")
    assert not read_rules([f"{tmp_path}/none"])("a")


def test_the_file_beside_a_dockerfile_goes_before_that_of_the_folder(tmp_path):
    own, general = tmp_path / "File.dockerignore", tmp_path / ".dockerignore"
    general.write_text("general\n")
    names = [str(own), str(general)]
    without = read_rules(names)
    own.write_text("own\n")
    beside = read_rules(names)

    assert [without("general"), without("own")] == [True, False]
    assert [beside("general"), beside("own")] == [False, True]
