"""A service's ``logging`` → what the runtime makes of a container's output. Pure."""

import re
from collections.abc import Mapping

from orchestrator.spec.models import Logging, Service, StackFile
from orchestrator.spec.values.logging import DRIVERS, fill_tag, kept
from runtime.types import LogConfig, LogDriver

TAG = "{{.Name}}"
FORWARDED = {"journald": LogDriver.JOURNALD, "syslog": LogDriver.SYSLOG, "none": LogDriver.NONE}


def log_config(service: Service, *, container: str, image: str) -> LogConfig:
    """Return what becomes of the output of one container, called ``container``."""
    logging = service.logging or Logging()
    if logging.driver not in DRIVERS:
        return LogConfig()
    found = kept(logging.options)
    stack, _, replica = container.partition(".")
    name = service.container_name or f"{stack}-{replica.replace('.', '-')}"
    values = {
        "ID": container,
        "FullID": container,
        "Name": name,
        "ImageID": image,
        "ImageFullID": image,
        "ImageName": service.image,
        "DaemonName": "pyorch",
    }
    driver = FORWARDED.get(logging.driver, LogDriver.FILE)
    forwarded = driver in (LogDriver.JOURNALD, LogDriver.SYSLOG)
    return LogConfig(
        driver=driver,
        max_size=found.max_size,
        max_files=found.max_files,
        compress=found.compress,
        tag=fill_tag(logging.options.get("tag") or TAG, values) if forwarded else "",
        attributes=_attributes(service, logging.options),
        options={key: text for key, text in logging.options.items() if key.startswith("syslog-")},
    )


def unattached(model: StackFile) -> frozenset[str]:
    """Return the services whose output an attached `up` does not show; `logs` does."""
    return frozenset(name for name, one in model.services.items() if one.attach is False)


def _attributes(service: Service, options: Mapping[str, str]) -> dict[str, str]:
    """Return the labels and variables that go along with every line."""
    variables = {name: text or "" for name, text in service.environment.items()}
    return {
        **_chosen(service.labels, options.get("labels", ""), options.get("labels-regex", "")),
        **_chosen(variables, options.get("env", ""), options.get("env-regex", "")),
    }


def _chosen(values: Mapping[str, str], names: str, pattern: str) -> dict[str, str]:
    wanted = {name.strip() for name in names.split(",")} - {""}
    return {
        name: text
        for name, text in values.items()
        if name in wanted or (pattern and re.search(pattern, name))
    }
