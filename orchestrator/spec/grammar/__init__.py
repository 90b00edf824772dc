"""What a stack file may hold: every key of the Compose Specification, and what it looks like."""

from orchestrator.spec.grammar.common import (
    DRIVER_OPTS,
    LIST_OR_MAP,
    NAME,
    NULL,
    STRING,
    STRING_OR_LIST,
    STRINGS,
    TRUTH,
    WHOLE,
)
from orchestrator.spec.grammar.service import SERVICE
from orchestrator.spec.grammar.shapes import ListOf, MapOf, Record, either

EXTERNAL = either(TRUTH, Record({"name": STRING}))
OPEN_EXTERNAL = either(TRUTH, Record({"name": STRING}, closed=False))

NETWORK = Record(
    {
        "name": STRING,
        "driver": STRING,
        "driver_opts": DRIVER_OPTS,
        "ipam": Record(
            {
                "driver": STRING,
                "config": ListOf(
                    Record(
                        {
                            "subnet": STRING,
                            "ip_range": STRING,
                            "gateway": STRING,
                            "aux_addresses": MapOf(STRING, keys="^.+$"),
                        }
                    )
                ),
                "options": MapOf(STRING, keys="^.+$"),
            }
        ),
        "external": EXTERNAL,
        "internal": TRUTH,
        "enable_ipv4": TRUTH,
        "enable_ipv6": TRUTH,
        "attachable": TRUTH,
        "labels": LIST_OR_MAP,
    }
)

VOLUME = Record(
    {
        "name": STRING,
        "driver": STRING,
        "driver_opts": DRIVER_OPTS,
        "external": EXTERNAL,
        "labels": LIST_OR_MAP,
    }
)

SECRET = Record(
    {
        "name": STRING,
        "environment": STRING,
        "file": STRING,
        "external": OPEN_EXTERNAL,
        "labels": LIST_OR_MAP,
        "driver": STRING,
        "driver_opts": DRIVER_OPTS,
        "template_driver": STRING,
    }
)

CONFIG = Record(
    {
        "name": STRING,
        "content": STRING,
        "environment": STRING,
        "file": STRING,
        "external": OPEN_EXTERNAL,
        "labels": LIST_OR_MAP,
        "template_driver": STRING,
    }
)

MODEL = Record(
    {
        "name": STRING,
        "model": STRING,
        "context_size": WHOLE,
        "runtime_flags": STRINGS,
    },
    required=("model",),
)

INCLUDE = either(
    STRING,
    Record(
        {"path": STRING_OR_LIST, "env_file": STRING_OR_LIST, "project_directory": STRING},
        extensible=False,
    ),
)

STACK = Record(
    {
        "version": STRING,
        "name": STRING,
        "include": ListOf(INCLUDE),
        "services": MapOf(SERVICE, keys=NAME),
        "models": MapOf(MODEL, keys=NAME, closed=False),
        "networks": MapOf(either(NULL, NETWORK), keys=NAME, closed=False),
        "volumes": MapOf(either(NULL, VOLUME), keys=NAME),
        "secrets": MapOf(SECRET, keys=NAME),
        "configs": MapOf(CONFIG, keys=NAME),
    },
)

__all__ = ["INCLUDE", "SERVICE", "STACK"]
