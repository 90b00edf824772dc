"""What services share: networks, volumes, configs, secrets, models."""

from pydantic import Field

from orchestrator.spec.models.base import Labels, Payload, SpecModel, Texts, Truth, Whole


class IpamConfig(SpecModel):
    """``networks.*.ipam.config[]``."""

    subnet: str = Field("", description="The network's addresses.")
    gateway: str = Field("", description="The bridge's own address.")
    ip_range: str = Field("", description="Where replicas' addresses are taken from.")
    aux_addresses: Labels = Field({}, description="Addresses that are left alone, by name.")


class Ipam(SpecModel):
    """``networks.*.ipam``."""

    driver: str = Field("", description="Who hands out addresses.")
    config: tuple[IpamConfig, ...] = Field((), description="Subnets.")
    options: Labels = Field({}, description="Options of the driver.")


class Network(SpecModel):
    """``networks.*``."""

    name: str = Field("", description="Its name on the host.")
    driver: str = Field("", description="What kind of network; `bridge` where none is given.")
    driver_opts: Labels = Field({}, description="Options of the driver.")
    ipam: Ipam = Field(Ipam(), description="Its addresses.")
    external: Truth = Field(default=False, description="Somebody else makes it.")
    internal: Truth = Field(default=False, description="Nothing outside is reachable.")
    attachable: Truth = Field(default=False, description="Accepted and ignored.")
    labels: Labels = Field({}, description="Labels.")
    enable_ipv4: Truth | None = Field(None, description="Whether it has IPv4 addresses.")
    enable_ipv6: Truth | None = Field(None, description="Whether it has IPv6 addresses.")


class Volume(SpecModel):
    """``volumes.*``."""

    name: str = Field("", description="Its name on the host.")
    driver: str = Field("", description="Who keeps it; `local` where none is given.")
    driver_opts: Labels = Field({}, description="Options of the driver.")
    external: Truth = Field(default=False, description="Somebody else makes it.")
    labels: Labels = Field({}, description="Labels.")


class Carried(SpecModel):
    """What ``configs.*`` and ``secrets.*`` have in common: where a file's content comes from."""

    name: str = Field("", description="Its name.")
    file: str = Field("", description="The file that holds it.")
    environment: str = Field("", description="The variable that holds it.")
    external: Truth = Field(default=False, description="Somebody else keeps it.")
    labels: Labels = Field({}, description="Labels.")
    template_driver: str = Field("", description="What fills placeholders in it.")
    payload: Payload | None = Field(
        None, repr=False, description="The content, carried along; never in a file."
    )


class Config(Carried):
    """``configs.*``."""

    content: str = Field("", description="The content itself.")


class Secret(Carried):
    """``secrets.*``."""

    driver: str = Field("", description="Who keeps it.")
    driver_opts: Labels = Field({}, description="Options of the driver.")


class AiModel(SpecModel):
    """``models.*``."""

    name: str = Field("", description="Its name.")
    model: str = Field("", description="The model to run.")
    context_size: Whole = Field(0, description="Tokens it can take in.")
    runtime_flags: Texts = Field((), description="Flags of what runs it.")
