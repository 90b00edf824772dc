"""What services share: networks, volumes, configs, secrets, models."""

from pydantic import Field

from orchestrator.spec.models.base import Labels, Payload, SpecModel, Texts, Truth, Whole
from orchestrator.spec.models.extensions import CarriedExtension


class IpamConfig(SpecModel):
    """``networks.*.ipam.config[]``."""

    subnet: str = Field(default="", description="The network's addresses.")
    gateway: str = Field(default="", description="The bridge's own address.")
    ip_range: str = Field(default="", description="Where replicas' addresses are taken from.")
    aux_addresses: Labels = Field(default={}, description="Addresses that are left alone, by name.")


class Ipam(SpecModel):
    """``networks.*.ipam``."""

    driver: str = Field(default="", description="Who hands out addresses.")
    config: tuple[IpamConfig, ...] = Field(default=(), description="Subnets.")
    options: Labels = Field(default={}, description="Options of the driver.")


class Network(SpecModel):
    """``networks.*``."""

    name: str = Field(default="", description="Its name on the host.")
    driver: str = Field(
        default="", description="What kind of network; `bridge` where none is given."
    )
    driver_opts: Labels = Field(default={}, description="Options of the driver.")
    ipam: Ipam = Field(default=Ipam(), description="Its addresses.")
    external: Truth = Field(default=False, description="Somebody else makes it.")
    internal: Truth = Field(default=False, description="Nothing outside is reachable.")
    attachable: Truth = Field(default=False, description="Other containers may join it.")
    labels: Labels = Field(default={}, description="Labels.")
    enable_ipv4: Truth | None = Field(default=None, description="Whether it has IPv4 addresses.")
    enable_ipv6: Truth | None = Field(default=None, description="Whether it has IPv6 addresses.")


class Volume(SpecModel):
    """``volumes.*``."""

    name: str = Field(default="", description="Its name on the host.")
    driver: str = Field(default="", description="Who keeps it; `local` where none is given.")
    driver_opts: Labels = Field(default={}, description="Options of the driver.")
    external: Truth = Field(default=False, description="Somebody else makes it.")
    labels: Labels = Field(default={}, description="Labels.")


class Carried(SpecModel):
    """What ``configs.*`` and ``secrets.*`` have in common: where a file's content comes from."""

    name: str = Field(default="", description="Its name.")
    file: str = Field(default="", description="The file that holds it.")
    environment: str = Field(default="", description="The variable that holds it.")
    external: Truth = Field(default=False, description="Somebody else keeps it.")
    labels: Labels = Field(default={}, description="Labels.")
    template_driver: str = Field(default="", description="What fills placeholders in it.")
    x_pyorch: CarriedExtension = Field(
        default=CarriedExtension(), alias="x-pyorch", description="What only pyorch understands."
    )
    payload: Payload | None = Field(
        default=None, repr=False, description="The content, carried along; never in a file."
    )


class Config(Carried):
    """``configs.*``."""

    content: str = Field(default="", description="The content itself.")


class Secret(Carried):
    """``secrets.*``."""

    driver: str = Field(default="", description="Who keeps it.")
    driver_opts: Labels = Field(default={}, description="Options of the driver.")


class AiModel(SpecModel):
    """``models.*``."""

    name: str = Field(default="", description="Its name.")
    model: str = Field(default="", description="The model to run.")
    context_size: Whole = Field(default=0, description="Tokens it can take in.")
    runtime_flags: Texts = Field(default=(), description="Flags of what runs it.")
