"""What lets in or gives away more than was probably meant."""

import re
from collections.abc import Iterator

from orchestrator.lint.findings import Rules, Subject
from orchestrator.spec.tree import Path

RULES = Rules()
Found = Iterator[tuple[Path, str, str]]

SECRET = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIALS?)$", re.IGNORECASE
)
STORES = {
    1433: "SQL Server",
    2379: "etcd",
    3306: "MySQL",
    5432: "PostgreSQL",
    5984: "CouchDB",
    6379: "Redis",
    9042: "Cassandra",
    9200: "Elasticsearch",
    11211: "memcached",
    27017: "MongoDB",
}
"""Ports of databases, which rarely expect strangers."""
ENGINES = ("/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock")
WHOLE = ("/", "/etc", "/root", "/home", "/var", "/proc", "/sys", "/dev")


@RULES.add("secret-in-environment", "a password stands in the file and in the environment")
def secret_in_environment(subject: Subject) -> Found:
    """Find values everybody sees who may look at the file or at the container."""
    for name, service in subject.stack.services.items():
        for key, value in service.environment.items():
            if value and SECRET.search(key):
                yield (
                    ("services", name, "environment", key),
                    "is a secret by its name, and everybody who may inspect the container sees it",
                    f"use `secrets:`; many images take a file's name in `{key}_FILE`",
                )


@RULES.add("database-for-everybody", "a database is published on all addresses of the machine")
def database_for_everybody(subject: Subject) -> Found:
    """Find stores that are reachable from outside of the machine."""
    for name, service in subject.stack.services.items():
        for number, port in enumerate(service.ports):
            what = STORES.get(port.target)
            if what and port.host_ip in ("", "0.0.0.0", "::"):
                published = port.published or str(port.target)
                yield (
                    ("services", name, "ports", str(number)),
                    f"{what} is published on every address of this machine",
                    f"write `127.0.0.1:{published}:{port.target}`, or leave it out: services of the"
                    f" stack reach it as `{name}:{port.target}`",
                )


@RULES.add("rights-over-the-host", "a container that can take over the machine")
def rights_over_the_host(subject: Subject) -> Found:
    """Find what makes a container as good as root on the host."""
    for name, service in subject.stack.services.items():
        if service.privileged:
            yield (
                ("services", name, "privileged"),
                "whoever is in this container is root on the machine",
                "name what it needs in `cap_add` and `devices`",
            )
        for number, mount in enumerate(service.volumes):
            where = ("services", name, "volumes", str(number))
            source = mount.source.rstrip("/") or "/"
            if mount.type == "bind" and source in ENGINES:
                yield (
                    where,
                    "whoever has the engine's socket is root on the machine",
                    "give it a proxy that lets through only what is needed",
                )
            elif mount.type == "bind" and source in WHOLE and not mount.read_only:
                yield (
                    where,
                    f"`{source}` of the machine can be written from this container",
                    "bind the one folder that is needed, or add `:ro`",
                )


@RULES.add("floating-image", "an image whose content changes without this file changing")
def floating_image(subject: Subject) -> Found:
    """Find images without a version."""
    for name, service in subject.stack.services.items():
        if not service.image or service.build or "@" in service.image:
            continue
        _, _, tag = service.image.rpartition("/")[2].partition(":")
        if tag in ("", "latest"):
            yield (
                ("services", name, "image"),
                f"`{service.image}` is another image tomorrow, without this file changing",
                "name a version, or pin all with `pyorch config --lock-image-digests`",
            )
