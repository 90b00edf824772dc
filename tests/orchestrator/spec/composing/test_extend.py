"""`extends`: services built on others, of the same file and of other files."""

import pytest


def test_a_service_is_laid_over_the_one_it_extends(load):
    found = load(
        "name: s\nservices:\n"
        "  base: {image: i, environment: {A: 1, B: 1}, command: [x], volumes: ['/a:/d']}\n"
        "  a: {extends: {service: base}, environment: [B=2], command: [y], volumes: ['/b:/d']}\n"
    ).stack.services["a"]

    assert (found.image, found.environment) == ("i", {"A": "1", "B": "2"})
    assert found.command == ("y",)
    assert [one.source for one in found.volumes] == ["/b"]


def test_a_chain_of_services_is_followed(load):
    found = load(
        "name: s\nservices:\n  c: {extends: b, user: c}\n  b: {extends: a, hostname: b}\n"
        "  a: {image: i, user: a, hostname: a}\n"
    ).stack.services["c"]

    assert (found.image, found.user, found.hostname) == ("i", "c", "b")


def test_paths_of_another_file_begin_where_that_file_is(load, tmp_path):
    found = load(
        "name: s\nservices: {a: {extends: {file: lib/b.yml, service: b}}}\n",
        files={
            "lib/b.yml": "services:\n  b: {extends: {file: deep/c.yml, service: c},"
            " volumes: ['./b:/b'], env_file: [b.env]}\n",
            "lib/deep/c.yml": "services:\n  c: {build: ., volumes: ['../c:/c', '~/h:/h']}\n",
            "lib/b.env": "FROM_B=1\n",
        },
        environ={"HOME": "/home/me"},
    ).stack.services["a"]

    assert found.build.context == f"{tmp_path}/lib/deep"
    assert [one.source for one in found.volumes] == [
        f"{tmp_path}/lib/c",
        "/home/me/h",
        f"{tmp_path}/lib/b",
    ]
    assert found.environment == {"FROM_B": "1"}


def test_another_file_may_hold_what_is_not_asked_for(load):
    found = load(
        "name: s\nservices: {a: {extends: {file: b.yml, service: b}}}\n",
        files={"b.yml": "include: [nowhere.yml]\nservices: {b: {image: i}, bad: {image: [1]}}\n"},
    )

    assert sorted(found.stack.services) == ["a"]


def test_a_chain_that_never_seems_to_end_is_refused(complain):
    links = "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(5_000))

    assert "more than 100 services" in complain(f"name: s\nservices:\n{links}")


def test_resources_of_what_is_extended_do_not_come_along(complain):
    said = complain(
        "name: s\nservices: {a: {extends: {file: b.yml, service: b}}}\n",
        files={
            "b.yml": "services:\n  b:\n    image: i\n    networks: [n]\nnetworks: {n: }\n",
        },
    )

    assert "b.yml:4:16: services.a.networks.n: undeclared network `n`" in said


def test_an_included_service_can_be_extended(load):
    found = load(
        "name: s\ninclude: [b.yml]\nservices: {a: {extends: b, user: u}}\n",
        files={"b.yml": "services: {b: {image: i}}\n"},
    ).stack.services["a"]

    assert (found.image, found.user) == ("i", "u")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a: {extends: b}, b: {extends: a}}", "a -> b -> a"),
        ("{a: {extends: a}}", "a -> a"),
        ("{ab: {extends: bb}, bbb: {image: i}}", "did you mean `bbb`?"),
        ("{a: {extends: {file: nope.yml, service: b}}}", "nope.yml` does not exist"),
        ("{a: {extends: {file: none.yml, service: b}}}", "has no services"),
        ("{a: {extends: {file: b.yml, service: x}}}", "`x` is not there in b.yml"),
        ("{a: {extends: {file: b.yml}}}", "`service` is missing"),
        ("{a: {extends: {file: 'https://x/y.yml', service: a}}}", "cannot be fetched: the address"),
        ("{a: {extends: [b]}}", "names a service"),
        ("[a]", "must be a mapping of services"),
    ],
)
def test_what_cannot_be_extended_is_told(complain, text, expected):
    files = {"b.yml": "services: {b: {image: i}}\n", "none.yml": "networks: {}\n"}

    said = complain(f"name: s\nservices: {text}\n", files=files)

    assert expected in said
    assert "f0.yml:2:" in said
