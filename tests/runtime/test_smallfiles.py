"""Whom a container asks for names, and how, is what its file says, else what the host does."""

import pytest

from runtime.errors import InvalidError
from runtime.oci.smallfiles import resolver_settings
from runtime.types import ContainerConfig, ContainerId, Digest

HOST = [
    "# ours",
    "nameserver 192.0.2.53",
    "search old",
    "search corp.example lan",
    "options rotate",
]
OURS = ("169.254.9.2",)


def config(tmp_path, **more):
    return ContainerConfig(
        id=ContainerId("s.a.1"), image=Digest("sha256:x"), cgroup="s/a.1", log=tmp_path,
        hostname="a-1", **{"netns": tmp_path, "nameservers": OURS, **more},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "host", "expected"),
    [
        ({}, (), "nameserver 169.254.9.2|options ndots:0"),
        (
            {},
            HOST,
            "nameserver 169.254.9.2|search corp.example lan|options rotate ndots:0",
        ),
        (
            {"dns_search": ("mine",), "dns_options": ("use-vc",)},
            HOST,
            "nameserver 169.254.9.2|search mine|options use-vc ndots:0",
        ),
        (
            {"dns_search": (".",), "dns_options": ("ndots:2",)},
            HOST,
            "nameserver 169.254.9.2|options ndots:2",
        ),
        ({}, ["search .", "options ndots:3"], "nameserver 169.254.9.2|options ndots:3"),
        (
            {"nameservers": ()},
            HOST,
            "nameserver 192.0.2.53|search corp.example lan|options rotate",
        ),
        ({"netns": None, "nameservers": ()}, HOST, "|".join(HOST)),
        (
            {"netns": None, "nameservers": (), "dns_search": ("mine",)},
            HOST,
            "nameserver 192.0.2.53|search mine|options rotate",
        ),
    ],
    ids=[
        "a host that says nothing",
        "what the host says",
        "what the file says",
        "no domains to search, and dots of its own",
        "dots of the host",
        "no network, and nobody to ask",
        "the host's network",
        "the host's network, with domains of its own",
    ],
)
def test_what_is_said_of_names_is_the_files_and_else_the_hosts(tmp_path, more, host, expected):
    found = resolver_settings(config(tmp_path, **more), host)

    assert found == expected.replace("|", "\n") + "\n"


def test_a_setting_that_would_be_two_lines_is_refused(tmp_path):
    with pytest.raises(InvalidError, match="line break"):
        resolver_settings(config(tmp_path, dns_search=("a\nnameserver 192.0.2.1",)), ())
