"""A service's ``logging`` → what the runtime makes of a container's output. Pure."""

from collections.abc import Mapping

from orchestrator.spec.models import Logging, Service, StackFile
from orchestrator.spec.values.logging import (
    DRIVERS,
    fill_tag,
    kept,
    parse_address,
    parse_facility,
    parse_pattern,
    parse_truth,
)
from runtime.types import ImageFacts, LogConfig, LogDriver, SyslogConfig

TAG = "{{.ID}}"
SHORT = 12
"""Digits of an image's id that people are shown."""
FORWARDED = {"journald": LogDriver.JOURNALD, "syslog": LogDriver.SYSLOG, "none": LogDriver.NONE}


def log_config(
    service: Service,
    *,
    container: str,
    reference: str,
    image: ImageFacts | None,
    labels: Mapping[str, str],
) -> LogConfig:
    """Return what becomes of the output of one container, called ``container``.

    ``reference`` is what its image is called; ``labels`` are all it has.
    """
    logging = service.logging or Logging()
    if logging.driver not in DRIVERS:
        return LogConfig()
    options = logging.options
    found = kept(options)
    config = LogConfig(
        driver=FORWARDED.get(logging.driver, LogDriver.FILE),
        max_size=found.max_size,
        max_files=found.max_files,
        compress=found.compress,
    )
    if not config.forwards:
        return config
    stack, _, replica = container.partition(".")
    name = service.container_name or f"{stack}-{replica.replace('.', '-')}"
    digest = str(image.id) if image else ""
    values = {
        "ID": container,
        "FullID": container,
        "Name": name,
        "ImageID": digest.rpartition(":")[2][:SHORT],
        "ImageFullID": digest,
        "ImageName": reference,
        "DaemonName": "pyorch",
    }
    return LogConfig(
        driver=config.driver,
        max_size=found.max_size,
        max_files=found.max_files,
        compress=found.compress,
        tag=fill_tag(options.get("tag") or TAG, values),
        container=container,
        name=name,
        image=reference,
        attributes=_attributes(service, options, image, labels),
        syslog=_syslog(options) if config.driver is LogDriver.SYSLOG else SyslogConfig(),
    )


def unattached(model: StackFile) -> frozenset[str]:
    """Return the services whose output an attached `up` does not show; `logs` does."""
    return frozenset(name for name, one in model.services.items() if one.attach is False)


def _syslog(options: Mapping[str, str]) -> SyslogConfig:
    target = parse_address(options.get("syslog-address", ""))
    return SyslogConfig(
        network=target.network,
        host=target.host,
        port=target.port,
        path=target.path,
        facility=parse_facility(options.get("syslog-facility") or "daemon"),
        format=options.get("syslog-format", ""),
        ca_cert=options.get("syslog-tls-ca-cert", ""),
        cert=options.get("syslog-tls-cert", ""),
        key=options.get("syslog-tls-key", ""),
        skip_verify=parse_truth(options.get("syslog-tls-skip-verify") or "false"),
    )


def _attributes(
    service: Service,
    options: Mapping[str, str],
    image: ImageFacts | None,
    labels: Mapping[str, str],
) -> dict[str, str]:
    """Return the labels and variables that go along with every line."""
    known = image.config if image else None
    given = dict(one.partition("=")[::2] for one in known.environment) if known else {}
    changed = {name: text for name, text in service.environment.items() if text is not None}
    unset = service.environment.keys() - changed.keys()
    variables = {name: text for name, text in given.items() if name not in unset} | changed
    told = {**(known.labels if known else {}), **labels}
    return {
        **_chosen(told, options.get("labels", ""), options.get("labels-regex", "")),
        **_chosen(variables, options.get("env", ""), options.get("env-regex", "")),
    }


def _chosen(values: Mapping[str, str], names: str, pattern: str) -> dict[str, str]:
    wanted = {name.strip() for name in names.split(",")} - {""}
    matches = parse_pattern(pattern) if pattern else None
    return {
        # What an image says need not be text that can be written.
        name.encode(errors="replace").decode(): text.encode(errors="replace").decode()
        for name, text in values.items()
        if name in wanted or (matches and matches(name))
    }
