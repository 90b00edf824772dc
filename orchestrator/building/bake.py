"""Builds as a file for ``docker buildx bake``: to be looked at, or built elsewhere."""

import json
from collections.abc import Sequence
from typing import Any

from orchestrator.building.prepare import SERVICE, Wishes, in_order
from orchestrator.spec.load import Loaded


def bake_file(loaded: Loaded, services: Sequence[str], wishes: Wishes) -> str:
    """Return the text of the file: a target for each service, and those they begin with."""
    ordered = in_order(loaded.whole, services)
    targets = {name: _target(loaded, name, wishes) for name in ordered}
    document = {"group": {"default": {"targets": list(services)}}, "target": targets}
    return json.dumps(document, indent=2) + "\n"


def _target(loaded: Loaded, service: str, wishes: Wishes) -> dict[str, Any]:
    build = loaded.whole.services[service].build
    assert build is not None
    args = {name: value for name, value in build.args.items() if value is not None}
    contexts = {
        name: f"target:{where.removeprefix(SERVICE)}" if where.startswith(SERVICE) else where
        for name, where in build.additional_contexts.items()
    }
    found = {
        "context": build.context,
        "contexts": contexts,
        "dockerfile": "" if build.dockerfile_inline else build.dockerfile,
        "dockerfile-inline": build.dockerfile_inline,
        "args": {**args, **wishes.args},
        "labels": build.labels,
        "tags": list(dict.fromkeys((loaded.whole.image_of(service), *build.tags))),
        "target": build.target,
        "network": build.network,
        "platforms": list(build.platforms),
        "no-cache": build.no_cache or wishes.no_cache,
        "pull": build.pull or wishes.pull,
        "cache-from": list(build.cache_from),
        "cache-to": list(build.cache_to),
        "extra-hosts": {
            name: address for name, _, address in (one.partition("=") for one in build.extra_hosts)
        },
    }
    return {key: value for key, value in found.items() if value}
