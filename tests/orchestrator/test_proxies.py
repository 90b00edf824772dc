"""Containers and builds have the proxies that docker's configuration has for them."""

import json

import pytest

from orchestrator.cli.proxies import read_proxies, with_proxies

BOTH = {"httpProxy": "http://u:p@proxy:3128", "noProxy": "localhost"}
FOUND = {
    "HTTP_PROXY": "http://u:p@proxy:3128",
    "http_proxy": "http://u:p@proxy:3128",
    "NO_PROXY": "localhost",
    "no_proxy": "localhost",
}


@pytest.fixture
def docker(tmp_path):
    """Write docker's configuration, and return the environment that leads to it."""

    def write(document, **more):
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "config.json").write_text(text)
        return {"DOCKER_CONFIG": str(tmp_path), **more}

    return write


def test_every_proxy_has_its_two_variables(docker):
    assert read_proxies(docker({"proxies": {"default": BOTH}})) == FOUND
    every = {f"{kind}Proxy": kind for kind in ("http", "https", "no", "ftp", "all")}
    found = read_proxies(docker({"proxies": {"default": every}}))
    assert found == {
        name: kind
        for kind in ("http", "https", "no", "ftp", "all")
        for name in (f"{kind}_proxy", f"{kind}_proxy".upper())
    }


def test_the_entry_of_the_host_goes_before_the_one_for_all(docker):
    other = {"httpProxy": "http://other"}
    hosts = {"default": BOTH, "tcp://far:2375": other}

    assert read_proxies(docker({"proxies": hosts})) == FOUND
    found = read_proxies(docker({"proxies": hosts}, DOCKER_HOST="tcp://far:2375"))
    assert found == {"HTTP_PROXY": "http://other", "http_proxy": "http://other"}


def test_the_file_is_in_the_home_folder_unless_said_otherwise(tmp_path):
    (tmp_path / ".docker").mkdir()
    path = tmp_path / ".docker/config.json"
    path.write_text(json.dumps({"proxies": {"default": BOTH}}))

    assert read_proxies({"HOME": str(tmp_path)}) == FOUND
    assert read_proxies({"HOME": str(tmp_path / "none")}) == {}


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[" * 100_000,
        [],
        {"proxies": 5},
        {"proxies": {"default": [5]}},
        {"proxies": {"default": {"httpProxy": 5}}},
        {"proxies": {"default": {"httpProxy": "a\0b"}}},
    ],
    ids=range(7),
)
def test_a_file_that_cannot_be_understood_is_named_and_holds_nobody_up(docker, document, capsys):
    environ = docker(document)
    said = read_proxies(environ), capsys.readouterr().err

    assert said[0] == {}
    assert said[1].startswith(f"warning: the proxies of {environ['DOCKER_CONFIG']}/config.json")


def test_what_a_service_says_of_a_variable_counts(docker, monkeypatch):
    for name, text in docker({"proxies": {"default": BOTH}}).items():
        monkeypatch.setenv(name, text)
    services = {"web": {"environment": {"HTTP_PROXY": "own", "no_proxy": None}}}

    found = with_proxies({"name": "x", "services": services})

    assert found == {
        "name": "x",
        "services": {
            "web": {"environment": {**FOUND, "HTTP_PROXY": "own", "no_proxy": None}},
        },
    }
