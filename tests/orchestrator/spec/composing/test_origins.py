"""Values know where they come from, whatever was done to the file they stand in."""

import pytest

from orchestrator.spec.load import LoadRequest, load_document
from orchestrator.spec.tree import bare, copy, origin_at, take_out


@pytest.fixture
def place(write):
    """Return where a key path stands in the document that files come to."""

    def place(files, path, environ=None):
        request = LoadRequest(cwd=write(files), environ=environ or {})
        tree = load_document(request).tree
        return origin_at(tree, path.split("."))

    return place


FILES = {
    "compose.yaml": "services:\n  a:\n    image: one\n    user: u\n    ports: ['1:1']\n",
    "compose.override.yml": "services:\n  a:\n    image: two\n    command: c\n    ports: ['2:2']\n",
}


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("services.a.image", "compose.override.yml:3:5"),
        ("services.a.user", "compose.yaml:4:5"),
        ("services.a.command", "compose.override.yml:4:5"),
        ("services.a.ports.0", "compose.yaml:5:13"),
        ("services.a.ports.1", "compose.override.yml:5:13"),
        ("services.a.ports.1.target", "compose.override.yml:5:13"),
        ("services.a", "compose.yaml:2:3"),
        ("services.a.nothing.there", "compose.yaml:2:3"),
    ],
)
def test_a_value_stands_in_the_file_that_set_it(place, path, where):
    assert str(place(FILES, path).mark) == where


def test_a_value_knows_what_it_hides(place):
    origin = place(FILES, "services.a.image")

    assert origin.step == "merge"
    assert origin.over is not None
    below, value = origin.over
    assert (str(below.mark), value) == ("compose.yaml:3:5", "one")


def test_a_value_knows_the_text_it_was_before_its_variables_were_put_in(place):
    files = {"compose.yaml": "services:\n  a:\n    image: 'i:${TAG}'\n    user: u\n"}

    assert place(files, "services.a.image", {"TAG": "1"}).text == "i:${TAG}"
    assert place(files, "services.a.user").text is None


def test_what_is_extended_stands_where_it_is_written(place):
    files = {
        "compose.yaml": "services:\n  a:\n    extends: {file: b.yml, service: b}\n    user: a\n",
        "b.yml": "services:\n  b:\n    image: i\n    user: b\n",
    }
    origin = place(files, "services.a.user")

    assert str(place(files, "services.a.image").mark) == "b.yml:3:5"
    assert (str(origin.mark), origin.step) == ("compose.yaml:4:5", "extends")
    assert str(origin.over[0].mark) == "b.yml:4:5"


def test_what_is_included_stands_where_it_is_written(place):
    files = {
        "compose.yaml": "include: [sub/c.yml]\nservices:\n  b:\n    user: mine\n",
        "sub/c.yml": "services:\n  b:\n    image: i\n    user: theirs\n",
    }
    origin = place(files, "services.b.user")

    assert str(place(files, "services.b.image").mark) == "sub/c.yml:3:5"
    assert (str(origin.mark), origin.step) == ("compose.yaml:4:5", "include")
    assert str(origin.over[0].mark) == "sub/c.yml:4:5"


def test_an_entry_that_took_the_place_of_another_knows_it(place):
    files = {
        "compose.yaml": "services:\n  a:\n    image: i\n    volumes: ['/a:/d']\n",
        "compose.override.yml": "services:\n  a:\n    volumes: ['/b:/d']\n",
    }
    origin = place(files, "services.a.volumes.0")

    assert (str(origin.mark), origin.step) == ("compose.override.yml:3:15", "unicity")
    assert origin.over[1]["source"] == "/a"


def test_a_copy_changes_nothing_of_what_it_was_made_from(write):
    tree = load_document(LoadRequest(cwd=write(FILES))).tree
    before = bare(tree)
    other = copy(tree)

    take_out(other, ("services", "a", "ports", "0", "target"))
    take_out(other, ("services", "a", "user", "below"))

    assert bare(tree) == before
    assert bare(other) != before
    assert "user" not in other["services"]["a"]
