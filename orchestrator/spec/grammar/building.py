"""What `build`, `develop` and the hooks of a service may hold."""

from orchestrator.spec.grammar.common import (
    COMMAND,
    EXTRA_HOSTS,
    INTEGER,
    LIST_OR_MAP,
    MOUNTED_FILES,
    STRING,
    STRING_OR_LIST,
    STRINGS,
    TRUTH,
    ULIMITS,
)
from orchestrator.spec.grammar.shapes import ListOf, Record, Shape, scalar

HOOK: dict[str, Shape] = {
    "command": COMMAND,
    "user": STRING,
    "privileged": TRUTH,
    "working_dir": STRING,
    "environment": LIST_OR_MAP,
}
HOOKS = ListOf(Record(HOOK, required=("command",)))
PRE_START = ListOf(Record({**HOOK, "image": STRING, "per_replica": TRUTH}))

BUILD = Record(
    {
        "context": STRING,
        "dockerfile": STRING,
        "dockerfile_inline": STRING,
        "entitlements": STRINGS,
        "args": LIST_OR_MAP,
        "ssh": LIST_OR_MAP,
        "labels": LIST_OR_MAP,
        "cache_from": STRINGS,
        "cache_to": STRINGS,
        "no_cache": TRUTH,
        "no_cache_filter": STRING_OR_LIST,
        "additional_contexts": LIST_OR_MAP,
        "network": STRING,
        "provenance": TRUTH,
        "sbom": TRUTH,
        "pull": TRUTH,
        "target": STRING,
        "shm_size": INTEGER,
        "extra_hosts": EXTRA_HOSTS,
        "isolation": STRING,
        "privileged": TRUTH,
        "secrets": MOUNTED_FILES,
        "tags": STRINGS,
        "ulimits": ULIMITS,
        "platforms": STRINGS,
    }
)

DEVELOP = Record(
    {
        "watch": ListOf(
            Record(
                {
                    "ignore": STRING_OR_LIST,
                    "include": STRING_OR_LIST,
                    "path": STRING,
                    "action": scalar(
                        "string",
                        words=("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
                    ),
                    "target": STRING,
                    "exec": Record(HOOK, required=("command",)),
                    "initial_sync": TRUTH,
                },
                required=("path", "action"),
            )
        )
    }
)
