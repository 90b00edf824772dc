"""What does not fit together in a stack whose single values are all right. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.spec.judging.runnable import refusals
from orchestrator.spec.models import Service, StackFile
from orchestrator.spec.problems import Mark, suggest
from orchestrator.spec.tree import Map, Path, Troubles, stop

SERVICE = "service:"


class Consistency:
    """Checks a settled stack; problems are shown where ``tree`` says they stand."""

    def __init__(
        self, stack: StackFile, disabled: Iterable[str], tree: Map, troubles: Troubles
    ) -> None:
        self._stack = stack
        self._disabled = set(disabled)
        self._tree = tree
        self._troubles = troubles

    def check(self) -> None:
        """Note everything that does not fit together."""
        for name, service in self._stack.services.items():
            path = ("services", name)
            self._check_image(service, path)
            self._check_networks(service, path)
            self._check_references(service, path)
            self._check_twins(service, path)
            self._check_mounts(service, path)
            self._check_rest(service, path)
        self._check_secrets()
        self._check_names()
        self._check_circles()

    def _say(self, path: Path, cause: str, hint: str | None = None) -> None:
        self._troubles.add(self._tree, path, cause, hint=hint)

    def _check_image(self, service: Service, path: Path) -> None:
        if not service.image and service.build is None and service.provider is None:
            if not self._troubles.within(path):
                self._say(path, "neither `image` nor `build` is given")
            return
        build = service.build
        if build is None:
            return
        if build.dockerfile and build.dockerfile_inline:
            where = (*path, "build", "dockerfile_inline")
            self._say(where, "`dockerfile` and `dockerfile_inline` exclude each other")
        for name, context in build.additional_contexts.items():
            if context.startswith(SERVICE):
                self._check_context(context.removeprefix(SERVICE), (*path, "build"), name)
        if build.platforms and service.platform and service.platform not in build.platforms:
            cause = f"`{service.platform}` is not among `build.platforms`"
            self._say((*path, "platform"), cause, "add it there")

    def _check_context(self, wanted: str, path: Path, name: str) -> None:
        where = (*path, "additional_contexts", name)
        other = self._stack.services.get(wanted)
        if other is None:
            self._say(where, f"unknown service `{wanted}`", self._like(wanted))
        elif other.build is None:
            self._say(where, f"service `{wanted}` is not built", "give it a `build`")

    def _check_networks(self, service: Service, path: Path) -> None:
        if service.network_mode and service.networks:
            where = (*path, "network_mode")
            cause = "`network_mode` and `networks` exclude each other"
            self._say(where, cause, "leave one of them out")
        if service.network_mode.startswith(SERVICE):
            self._check_service(service.network_mode.removeprefix(SERVICE), (*path, "network_mode"))
        self._declared((*path, "networks"), service.networks, self._stack.networks, "network")

    def _check_references(self, service: Service, path: Path) -> None:
        for wanted, dependency in service.depends_on.items():
            if wanted in self._stack.services:
                continue
            if wanted in self._disabled and not dependency.required:
                continue
            if self._troubles.within(("services", wanted)):
                continue
            where = (*path, "depends_on", wanted)
            if wanted in self._disabled:
                hint = f"activate a profile of `{wanted}`, or write `required: false`"
                self._say(where, f"service `{wanted}` is in no active profile", hint)
            else:
                self._say(where, f"unknown service `{wanted}`", self._like(wanted))
        stack = self._stack
        volumes = [one.source for one in service.volumes if one.type == "volume" and one.source]
        secrets = [one.source for one in service.secrets]
        built = [one.source for one in service.build.secrets] if service.build else []
        configs = [one.source for one in service.configs]
        self._declared((*path, "volumes"), volumes, stack.volumes, "volume")
        self._declared((*path, "secrets"), secrets, stack.secrets, "secret")
        self._declared((*path, "build", "secrets"), built, stack.secrets, "secret")
        self._declared((*path, "configs"), configs, stack.configs, "config")
        self._declared((*path, "models"), service.models, stack.models, "model")

    def _declared(
        self, path: Path, used: Iterable[str], declared: Mapping[str, object], kind: str
    ) -> None:
        section = f"{kind}s"
        for name in dict.fromkeys(used):
            # What is declared wrongly has been told already.
            told = (section,) in self._troubles.places or self._troubles.within((section, name))
            if name not in declared and not told:
                hint = suggest(name, declared) or f"declare it under top-level `{kind}s:`"
                self._say(self._entry(path, name), f"undeclared {kind} `{name}`", hint)

    def _entry(self, path: Path, name: str) -> Path:
        """Return the path of the entry of a list that names ``name``."""
        node: Any = self._tree
        for key in path:
            node = node.get(key) if isinstance(node, Map) else None
        if isinstance(node, list):
            for number, entry in enumerate(node):
                if isinstance(entry, Map) and entry.get("source") == name:
                    return (*path, str(number))
        return (*path, name) if isinstance(node, Map) else path

    def _check_service(self, wanted: str, path: Path) -> None:
        # The dependency this implies tells it already, where there is one.
        known = (*self._stack.services, *self._stack.services[path[1]].depends_on)
        if wanted not in known:
            self._say(path, f"unknown service `{wanted}`", self._like(wanted))

    def _like(self, name: str) -> str | None:
        return suggest(name, [*self._stack.services, *self._disabled])

    def _check_twins(self, service: Service, path: Path) -> None:
        """Two ways to say one thing must not say two things."""
        deploy = service.deploy
        replicas = deploy.replicas if deploy else None
        if service.scale is not None and replicas is not None and service.scale != replicas:
            self._say((*path, "scale"), "`scale` and `deploy.replicas` differ", "keep one")
        limits = deploy.resources.limits if deploy else None
        reserved = deploy.resources.reservations if deploy else None
        for key, mine, twin, theirs in (
            ("cpus", service.cpus, "limits.cpus", limits.cpus if limits else None),
            ("mem_limit", service.mem_limit, "limits.memory", limits.memory if limits else None),
            ("pids_limit", service.pids_limit, "limits.pids", limits.pids if limits else None),
            (
                "mem_reservation",
                service.mem_reservation,
                "reservations.memory",
                reserved.memory if reserved else None,
            ),
        ):
            if mine and theirs is not None and theirs != mine:
                cause = f"`{key}` and `deploy.resources.{twin}` differ"
                self._say((*path, key), cause, "keep one, or give both the same value")

    def _check_mounts(self, service: Service, path: Path) -> None:
        seen: dict[str, str] = {}
        places = [("volumes", number, one.target) for number, one in enumerate(service.volumes)]
        for number, text in enumerate(service.tmpfs):
            places.append(("tmpfs", number, text.partition(":")[0]))
        for kind, number, target in places:
            where = f"{kind}.{number}"
            if target and target in seen:
                cause = f"`{target}` is mounted already, by `{seen[target]}`"
                self._say((*path, kind, str(number)), cause, "leave one of them out")
            seen.setdefault(target, where)

    def _check_rest(self, service: Service, path: Path) -> None:
        check = service.healthcheck
        if check and check.test and check.test[0] not in ("CMD", "CMD-SHELL", "NONE"):
            cause = "`test` begins with `CMD`, `CMD-SHELL` or `NONE`"
            hint = f"write [CMD, {', '.join(check.test)}], or a single text"
            self._say((*path, "healthcheck", "test"), cause, hint[:200])
        if service.container_name and service.replicas > 1:
            self._say(
                (*path, "container_name"),
                "`container_name` forbids more than one replica",
                "leave it out, or scale to 1",
            )
        for number, rule in enumerate(service.develop.watch if service.develop else ()):
            if not rule.target and rule.action not in ("rebuild", "restart"):
                where = (*path, "develop", "watch", str(number))
                self._say(where, f"`target` is needed for `{rule.action}`")

    def _check_secrets(self) -> None:
        for name, secret in self._stack.secrets.items():
            source = secret.file or secret.environment
            if not secret.external and not source:
                self._say(("secrets", name), "one of `file`, `environment` is needed")

    def _check_names(self) -> None:
        named: dict[str, str] = {}
        for name, service in self._stack.services.items():
            if service.container_name in named:
                cause = (
                    f"`{service.container_name}` is the name of `{named[service.container_name]}`"
                )
                self._say(("services", name, "container_name"), cause, "use another name")
            elif service.container_name:
                named[service.container_name] = name

    def _check_circles(self) -> None:
        graph = {n: tuple(s.depends_on) for n, s in self._stack.services.items()}
        if circle := find_circle(graph):
            self._say(
                ("services", circle[0], "depends_on"),
                f"services depend on each other in a circle: {' -> '.join(circle)}",
                "remove one `depends_on` of the circle",
            )


def check_settled(stack: StackFile) -> None:
    """Check a stack that was settled elsewhere. Raises SpecError, with paths for places."""
    troubles = Troubles()
    troubles.default = Mark(file=stack.name)
    Consistency(stack, (), Map(), troubles).check()
    for path, cause, hint in refusals(stack):
        troubles.add(None, path, cause, hint=hint)
    stop(troubles)


def find_circle(graph: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return a circle in ``graph``, first name repeated at the end; empty where there is none."""
    done: set[str] = set()
    for start in sorted(graph):
        if start in done:
            continue
        trail = {start: None}
        todo = [(start, iter(graph[start]))]
        while todo:
            node, below = todo[-1]
            step = next((one for one in below if one not in done and one in graph), None)
            if step is None:
                todo.pop()
                del trail[node]
                done.add(node)
            elif step in trail:
                names = list(trail)
                return (*names[names.index(step) :], step)
            else:
                trail[step] = None
                todo.append((step, iter(graph[step])))
    return ()
