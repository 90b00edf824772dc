"""Relative paths, resolved against the directory of the file they are written in."""

import os
import re
from collections.abc import Callable
from typing import Any

from orchestrator.spec.tree import Map, Seq

REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@")
_DRIVE = re.compile(r"^([a-zA-Z]:|\\\\)")


def expand_home(path: str, home: str | None) -> str:
    """Return a path with its leading ``~`` replaced."""
    if home and path.startswith("~"):
        return os.path.normpath(f"{home}/{path[1:]}")
    return path


def is_remote(path: str) -> bool:
    """Whether a build context, an included or an extended file is somewhere else."""
    return "://" in path or path.startswith(REMOTE)


class Resolver:
    """Resolves the paths of one document against ``base``, which may be relative itself."""

    def __init__(self, base: str, home: str | None) -> None:
        self._base = base
        self._home = home

    def apply(self, tree: Map) -> None:
        """Resolve every path of a canonical document, in place."""
        for service in _maps(tree.get("services")):
            self._service(service)
        for kind in ("configs", "secrets"):
            for resource in _maps(tree.get(kind)):
                _change(resource, "file", self.host_path)
        for volume in _maps(tree.get("volumes")):
            options = volume.get("driver_opts")
            bound = isinstance(options, Map) and options.get("o") == "bind"
            if bound and volume.get("driver") == "local":
                _change(options, "device", self.host_path)

    def path(self, path: str) -> str:
        """Return a path resolved."""
        expanded = expand_home(path, self._home)
        if not expanded or os.path.isabs(expanded):
            return expanded
        return os.path.normpath(os.path.join(self._base, expanded))

    def host_path(self, path: str) -> str:
        """Return a path of the host resolved; one of Windows stays as it is."""
        return path if _DRIVE.match(path) else self.path(path)

    def context(self, path: str) -> str:
        """Return a build context resolved, unless it is no directory of this machine."""
        return path if is_remote(path) or path.startswith("service:") else self.path(path)

    def _real(self, path: str) -> str:
        found = self.path(path)
        return os.path.realpath(found) if os.path.exists(found) else found

    def _remote_or_path(self, path: str) -> str:
        return path if is_remote(path) else self.path(path)

    def _service(self, service: Map) -> None:
        build = service.get("build")
        if isinstance(build, Map):
            _change(build, "context", self.context)
            for key, resolve in (("additional_contexts", self.context), ("ssh", self.path)):
                named = build.get(key)
                for name in named if isinstance(named, Map) else ():
                    _change(named, name, resolve)
        for entry in _entries(service.get("env_file")):
            _change(entry, "path", self.path)
        files = service.get("label_file")
        if isinstance(files, Seq):
            files[:] = [self.path(one) if isinstance(one, str) else one for one in files]
        if isinstance(extends := service.get("extends"), Map):
            _change(extends, "file", self._remote_or_path)
        if isinstance(develop := service.get("develop"), Map):
            for rule in _entries(develop.get("watch")):
                _change(rule, "path", self._real)
        for mount in _entries(service.get("volumes")):
            if mount.get("type") == "bind":
                _change(mount, "source", self.host_path)


def _change(entry: Any, key: str, resolve: Callable[[str], str]) -> None:
    if isinstance(entry.get(key), str):
        entry[key] = resolve(entry[key])


def _maps(section: Any) -> list[Map]:
    found = section.values() if isinstance(section, Map) else ()
    return [entry for entry in found if isinstance(entry, Map)]


def _entries(section: Any) -> list[Map]:
    found = section if isinstance(section, Seq) else ()
    return [entry for entry in found if isinstance(entry, Map)]
