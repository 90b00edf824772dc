"""Instructions of a Dockerfile that say how an image is run, carried out on its config.

Those that ``commit --change`` takes, as Docker reads them (Dockerfile reference; image-spec,
config.md). Nothing is expanded: there is no build whose variables could be meant.
"""

import json
import posixpath
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runtime.errors import InvalidError

Run = dict[str, Any]
"""The ``config`` object of an image's configuration."""

SHELL = ["/bin/sh", "-c"]


def change_config(config: Mapping[str, Any], changes: Iterable[str]) -> Run:
    """Return a config with every instruction carried out.

    Raises InvalidError naming the first that is none, or is not one for an image that is there.
    """
    run = dict(config)
    is_set = False
    for line in changes:
        word, _, rest = line.strip().partition(" ")
        name, rest = word.upper(), rest.strip()
        known = _INSTRUCTIONS.get(name)
        if known is None:
            raise _refused(line, f"it takes {', '.join(sorted(_INSTRUCTIONS))}")
        if not rest:
            raise _refused(line, "it says nothing")
        try:
            known(run, rest)
        except ValueError as error:
            raise _refused(line, str(error)) from None
        if name == "ENTRYPOINT" and not is_set:
            # The command there is was one for another program.
            run.pop("Cmd", None)
        is_set = is_set or name == "CMD"
    return run


def _refused(line: str, why: str) -> InvalidError:
    return InvalidError("commit image with", line, why)


def _words(key: str) -> Callable[[Run, str], None]:
    def change(run: Run, rest: str) -> None:
        run[key] = _listed(rest) or [*(run.get("Shell") or SHELL), rest]

    return change


def _listed(rest: str) -> list[str] | None:
    """Return the words of the JSON form; None for a line that has none."""
    try:
        found = json.loads(rest)
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return None
    return found


def _pairs(rest: str) -> dict[str, str]:
    words = shlex.split(rest)
    if words and "=" not in words[0]:
        name, mark, value = rest.partition(" ")
        words = [f"{name}={value.strip()}" if mark else name]
    found = {}
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or not name:
            raise ValueError(f"`{word}` is not NAME=VALUE")
        found[name] = value
    return found


def _environment(run: Run, rest: str) -> None:
    kept = dict(one.partition("=")[::2] for one in run.get("Env") or ())
    run["Env"] = [f"{name}={value}" for name, value in (kept | _pairs(rest)).items()]


def _labels(run: Run, rest: str) -> None:
    run["Labels"] = (run.get("Labels") or {}) | _pairs(rest)


def _ports(run: Run, rest: str) -> None:
    found: dict[str, object] = {}
    for word in rest.split():
        port, _, protocol = word.partition("/")
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"`{word}` is no port")
        if protocol not in ("", "tcp", "udp", "sctp"):
            raise ValueError(f"`{protocol}` is no protocol")
        found[f"{int(port)}/{protocol or 'tcp'}"] = {}
    run["ExposedPorts"] = (run.get("ExposedPorts") or {}) | found


def _volumes(run: Run, rest: str) -> None:
    paths = _listed(rest) or rest.split()
    run["Volumes"] = (run.get("Volumes") or {}) | {path: {} for path in paths}


def _user(run: Run, rest: str) -> None:
    run["User"] = rest


def _working_dir(run: Run, rest: str) -> None:
    run["WorkingDir"] = posixpath.normpath(posixpath.join("/", run.get("WorkingDir") or "/", rest))


def _on_build(run: Run, rest: str) -> None:
    run["OnBuild"] = [*(run.get("OnBuild") or ()), rest]


_INSTRUCTIONS: Mapping[str, Callable[[Run, str], None]] = {
    "CMD": _words("Cmd"),
    "ENTRYPOINT": _words("Entrypoint"),
    "ENV": _environment,
    "EXPOSE": _ports,
    "LABEL": _labels,
    "ONBUILD": _on_build,
    "USER": _user,
    "VOLUME": _volumes,
    "WORKDIR": _working_dir,
}
