"""What `deploy` may hold."""

from orchestrator.spec.grammar.common import (
    DEVICE_REQUEST,
    DURATION,
    INTEGER,
    LIST_OR_MAP,
    NUMBER,
    SIZE,
    STRING,
    STRINGS,
)
from orchestrator.spec.grammar.shapes import ListOf, Record, scalar

UPDATE = Record(
    {
        "parallelism": INTEGER,
        "delay": DURATION,
        "failure_action": STRING,
        "monitor": DURATION,
        "max_failure_ratio": NUMBER,
        "order": scalar("string", words=("start-first", "stop-first")),
    }
)

DEPLOY = Record(
    {
        "mode": STRING,
        "endpoint_mode": STRING,
        "replicas": INTEGER,
        "labels": LIST_OR_MAP,
        "rollback_config": UPDATE,
        "update_config": UPDATE,
        "resources": Record(
            {
                "limits": Record({"cpus": NUMBER, "memory": SIZE, "pids": INTEGER}),
                "reservations": Record(
                    {
                        "cpus": NUMBER,
                        "memory": SIZE,
                        "generic_resources": ListOf(
                            Record(
                                {
                                    "discrete_resource_spec": Record(
                                        {"kind": STRING, "value": NUMBER}
                                    )
                                }
                            )
                        ),
                        "devices": ListOf(
                            Record(DEVICE_REQUEST, any_of=("capabilities", "driver"))
                        ),
                    }
                ),
            }
        ),
        "restart_policy": Record(
            {
                "condition": STRING,
                "delay": DURATION,
                "max_attempts": INTEGER,
                "window": DURATION,
            }
        ),
        "placement": Record(
            {
                "constraints": STRINGS,
                "preferences": ListOf(Record({"spread": STRING})),
                "max_replicas_per_node": INTEGER,
            }
        ),
    }
)
