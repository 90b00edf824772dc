"""`include`: what other files bring, where their paths and variables come from."""

import pytest

SUB = "services: {b: {image: 'b:${TAG}', volumes: ['./d:/d']}}\nnetworks: {n: }\n"


def test_everything_but_the_name_is_brought(load, tmp_path):
    found = load(
        "name: s\ninclude: [sub/compose.yml]\nservices: {a: {image: i, networks: [n]}}\n",
        files={"sub/compose.yml": "name: other\n" + SUB, "sub/.env": "TAG=7\n"},
    ).stack

    assert found.name == "s"
    assert sorted(found.services) == ["a", "b"]
    assert found.services["b"].image == "b:7"
    assert found.services["b"].volumes[0].source == f"{tmp_path}/sub/d"
    assert "n" in found.networks


@pytest.mark.parametrize(
    ("entry", "environ", "tag"),
    [
        ("sub/compose.yml", {}, "beside"),
        ("sub/compose.yml", {"TAG": "shell"}, "shell"),
        ("{path: sub/compose.yml, env_file: one.env}", {}, "one"),
        ("{path: sub/compose.yml, env_file: [one.env, two.env]}", {}, "two"),
        ("{path: sub/compose.yml, env_file: /dev/null}", {}, ""),
        ("{path: sub/compose.yml, project_directory: .}", {}, "main"),
    ],
)
def test_its_variables_stand_below_those_of_the_including_file(load, entry, environ, tag):
    files = {
        "sub/compose.yml": SUB,
        "sub/.env": "TAG=beside\n",
        "one.env": "TAG=one\n",
        "two.env": "TAG=two\n",
    }
    if tag == "main":
        files[".env"] = "TAG=main\n"

    found = load(f"name: s\ninclude: [{entry}]\n", files=files, environ=environ)

    assert found.stack.services["b"].image == f"b:{tag}"


def test_its_directory_can_be_named(load, tmp_path):
    entry = "{path: sub/compose.yml, project_directory: other}"

    found = load(f"name: s\ninclude: [{entry}]\n", files={"sub/compose.yml": SUB})

    assert found.stack.services["b"].volumes[0].source == f"{tmp_path}/other/d"


def test_several_paths_are_one_stack(load):
    found = load(
        "name: s\ninclude: [{path: [one.yml, two.yml]}]\n",
        files={
            "one.yml": "services: {b: {image: i, user: one}}\n",
            "two.yml": "services: {b: {user: two}}\n",
        },
    ).stack.services["b"]

    assert (found.image, found.user) == ("i", "two")


def test_the_including_file_is_laid_over_and_earlier_includes_win(load):
    found = load(
        "name: s\ninclude: [one.yml, two.yml]\nservices: {b: {user: mine}}\n",
        files={
            "one.yml": "services: {b: {image: one, hostname: one}}\n",
            "two.yml": "services: {b: {image: two, user: two, working_dir: /two}}\n",
        },
    ).stack.services["b"]

    assert (found.user, found.image, found.hostname, found.working_dir) == (
        "mine",
        "one",
        "one",
        "/two",
    )


def test_included_files_include_others(load, tmp_path):
    found = load(
        "name: s\ninclude: [a/a.yml]\n",
        files={
            "a/a.yml": "include: [b/b.yml]\nservices: {a: {image: i}}\n",
            "a/b/b.yml": "services: {b: {image: i, volumes: ['./d:/d']}}\n",
        },
    ).stack

    assert found.services["b"].volumes[0].source == f"{tmp_path}/a/b/d"


def test_variables_are_put_into_its_own_words(load):
    found = load(
        "name: s\ninclude: ['${DIR}/c.yml']\n",
        files={"x/c.yml": "services: {b: {image: i}}\n"},
        environ={"DIR": "x"},
    )

    assert "b" in found.stack.services


@pytest.mark.parametrize(
    ("include", "files", "expected"),
    [
        ("[nope.yml]", {}, "nope.yml` does not exist"),
        ("nope.yml", {}, "must be a list"),
        ("[{path: a.yml, nope: 1}]", {"a.yml": ""}, "nope: unknown key"),
        ("[{env_file: x}]", {}, "must be named"),
        ("['https://x/y.yml']", {}, "cannot be fetched: the address"),
        ("[{path: a.yml, env_file: no.env}]", {"a.yml": ""}, "no.env` does not exist"),
        ("[a.yml]", {"a.yml": "include: [a.yml]\nservices: {}\n"}, "in a circle"),
        ("[a.yml]", {"a.yml": "include: [b.yml]", "b.yml": "include: [a.yml]"}, "in a circle"),
    ],
)
def test_what_cannot_be_included_is_told(complain, include, files, expected):
    said = complain(f"name: s\ninclude: {include}\nservices: {{a: {{image: i}}}}\n", files=files)

    assert expected in said


def test_files_that_include_each_other_without_end_are_refused(complain):
    doubling = {f"f{n}.yaml": f"include: [f{n + 1}.yaml, f{n + 1}.yaml]\n" for n in range(30)}
    files = doubling | {"f30.yaml": "services: {a: {image: i}}\n"}
    deep = {f"d{n}.yaml": f"include: [d{n + 1}.yaml]\n" for n in range(80)}

    assert "or 1000 in all" in complain("name: s\ninclude: [f0.yaml]\n", files=files)
    assert "more than 50 files deep" in complain("name: s\ninclude: [d0.yaml]\n", files=deep)


def test_a_mistake_in_an_included_file_is_shown_there(complain):
    said = complain(
        "name: s\ninclude: [sub/c.yml]\n",
        files={"sub/c.yml": "services:\n  b:\n    image: i\n    imagee: x\n"},
    )

    assert "sub/c.yml:4:5: services.b.imagee: unknown key" in said
