"""What a client asks to have built → the runtime's configuration of a build. Pure."""

from dataclasses import dataclass

from orchestrator.building.request import BuildRequest
from runtime.types import BuildConfig

GATEWAY = "host-gateway"
"""What stands for the host in ``extra_hosts``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the steps of a build are on the network."""

    netns: str = ""
    offline: bool = False
    nameservers: tuple[str, ...] = ()
    gateway: str = ""
    """The host, as the steps see it."""


def build_config(wanted: BuildRequest, place: Place) -> BuildConfig:
    """Return what ``wanted`` means, carried out at ``place``."""
    return BuildConfig(
        names=wanted.names,
        dockerfile=wanted.dockerfile,
        contexts=("", *wanted.contexts),
        image_contexts=wanted.image_contexts,
        platforms=wanted.platforms,
        target=wanted.target,
        args=wanted.args,
        labels=wanted.labels,
        secrets=wanted.secrets,
        keys=wanted.keys,
        no_cache=wanted.no_cache,
        pull=wanted.pull,
        hosts=tuple(_host(entry, place) for entry in wanted.hosts),
        shm_size=wanted.shm_size or None,
        memory=wanted.memory or None,
        ulimits=wanted.ulimits,
        netns=place.netns,
        offline=place.offline,
        nameservers=place.nameservers,
    )


def _host(entry: str, place: Place) -> str:
    name, _, address = entry.partition("=")
    return f"{name}:{place.gateway if address == GATEWAY else address}"
