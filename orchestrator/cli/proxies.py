"""The proxies docker's own configuration has for containers and builds, as its compose has them."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

HOST = "unix:///var/run/docker.sock"
VARIABLES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


def read_proxies(environ: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Return the variables ``config.json`` gives to whoever sets none of their name.

    A file that cannot be understood is warned about.
    """
    folder = environ.get("DOCKER_CONFIG") or f"{environ.get('HOME') or '/root'}/.docker"
    path = Path(folder, "config.json")
    try:
        told = json.loads(path.read_bytes())
        hosts = told.get("proxies") or {}
        found = hosts.get(environ.get("DOCKER_HOST") or HOST, hosts.get("default")) or {}
        values = {name: found.get(key) or "" for key, name in VARIABLES.items()}
        if not all(isinstance(text, str) and "\0" not in text for text in values.values()):
            raise ValueError("a proxy is no text")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        sys.stderr.write(f"warning: the proxies of {path} are left out: {error}\n")
        return {}
    return {spelt: text for name, text in values.items() if text for spelt in (name, name.lower())}


def with_proxies(document: Mapping[str, object]) -> Mapping[str, object]:
    """Return a settled stack file whose services have the proxies, where they set none."""
    proxies = read_proxies()
    services = document["services"]
    if not proxies or not isinstance(services, Mapping):
        return document
    return {
        **document,
        "services": {
            name: {**service, "environment": {**proxies, **service["environment"]}}
            for name, service in services.items()
        },
    }
