"""What mounts, volumes, configs and secrets may say and cannot be carried out. Pure."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from orchestrator.spec.models import Mount, Secret, Service, StackFile, Volume
from orchestrator.spec.models.extensions import CarriedExtension
from orchestrator.spec.models.resources import Carried
from orchestrator.spec.tree import Path, Refusal
from orchestrator.spec.values.signals import is_signal
from orchestrator.spec.values.templates import KNOWN, parse_template

MOUNTED = ("bind", "volume", "tmpfs", "image")
ELSEWHERE = {
    "npipe": "named pipes are of Windows",
    "cluster": "cluster volumes are of a swarm",
}
"""Types of mounts that no Linux machine has by itself."""
DRIVER_OPTIONS = ("type", "device", "o")
PROPAGATIONS = ("", "private", "rprivate", "shared", "rshared", "slave", "rslave")
RECURSIVE = ("", "enabled", "disabled", "writable", "readonly")
HIGHEST = 2**32 - 2
"""The last user and group there can be (-1 is none)."""
LARGEST = 1024 * 1024
"""Bytes a config or a secret may hold."""


def mount_refusals(service: Service, path: Path) -> Iterator[Refusal]:
    """Yield what is wrong with what one service mounts."""
    for number, mount in enumerate(service.volumes):
        yield from _mount(mount, (*path, "volumes", str(number)))
    for kind in ("configs", "secrets"):
        for number, given in enumerate(getattr(service, kind)):
            for key in ("uid", "gid"):
                value = getattr(given, key)
                if value and not (value.isascii() and value.isdigit() and int(value) <= HIGHEST):
                    where = (*path, kind, str(number), key)
                    hint = "write its number: names are known in the container alone"
                    yield where, f"`{value[:40]}` is no number of a user or a group", hint
            target = given.target
            if target in ("/", "/proc", "/sys") or target.startswith(("/proc/", "/sys/")):
                where = (*path, kind, str(number), "target")
                yield where, f"nothing can be put at `{target[:60]}`", "use another path"


def volume_refusals(stack: StackFile) -> Iterator[Refusal]:
    """Yield what is wrong with the stack's volumes."""
    for name, volume in stack.volumes.items():
        if volume.driver not in ("", "local"):
            hint = "leave it out: volumes are kept by pyorch itself"
            yield ("volumes", name, "driver"), f"there is no driver `{volume.driver}`", hint
        if volume.driver_opts:
            yield from _options(volume, ("volumes", name, "driver_opts"))


def carried_refusals(stack: StackFile) -> Iterator[Refusal]:
    """Yield what is wrong with the stack's configs and secrets."""
    for kind, section in (("configs", stack.configs), ("secrets", stack.secrets)):
        for name, resource in section.items():
            path = (kind, name)
            if resource.payload is None:
                yield path, "what it holds was not found", "give one of `file`, `environment`"
            elif len(resource.payload) > LARGEST:
                cause = f"it holds {len(resource.payload)} bytes; {LARGEST} at most"
                yield path, cause, "bind the file instead"
            if isinstance(resource, Secret) and not resource.external:
                for key in ("driver", "driver_opts"):
                    if getattr(resource, key):
                        cause = "a driver keeps what is `external`"
                        yield (*path, key), cause, "write `external: true`, or leave it out"
            yield from _template(resource, (*path, "template_driver"))
            yield from _on_change(resource, (*path, "x-pyorch"))


def brought_refusals(stack: StackFile) -> Iterator[Refusal]:
    """Yield every template that brings what is changed in place: it would keep the old content."""
    sections: dict[str, Mapping[str, Carried]] = {
        "configs": stack.configs,
        "secrets": stack.secrets,
    }
    found = {}
    for service in stack.services.values():
        for kind, section in sections.items():
            for given in getattr(service, kind):
                resource = section.get(given.source)
                if resource is not None and resource.template_driver:
                    for name in _brought(resource, service, sections):
                        found[kind, given.source] = name
    for path, name in found.items():
        cause = f"it brings `{name}`, whose content is changed in place by `on_change`"
        yield (*path, "template_driver"), cause, "leave `on_change` out there"


def _brought(
    resource: Carried, service: Service, sections: Mapping[str, Mapping[str, Carried]]
) -> Iterator[str]:
    """Yield what is changed in place of what a template of a service brings."""
    with suppress(ValueError):  # told elsewhere
        for part in parse_template((resource.payload or b"").decode()):
            if isinstance(part, str):
                continue
            kind = f"{part.what}s"
            for given in getattr(service, kind) if kind in sections else ():
                other = sections[kind].get(given.source)
                meant = part.name in (given.source, given.target)
                if meant and other is not None and other.x_pyorch.on_change != "recreate":
                    yield part.name


def _on_change(resource: Carried, path: Path) -> Iterator[Refusal]:
    own = resource.x_pyorch
    if own.on_change != "recreate" and resource.template_driver:
        cause = f"`{own.on_change}` is not for a template: every replica has a content of its own"
        yield (*path, "on_change"), cause, "leave it out, or `template_driver`"
    if own.on_change == "exec" and not own.exec:
        cause = "`exec` needs the command to run"
        yield (*path, "on_change"), cause, "write `exec: [program, argument]` beside it"
    for key, usual in (("signal", CarriedExtension().signal), ("exec", ())):
        if getattr(own, key) != usual and own.on_change != key:
            cause = f"it says nothing with `on_change: {own.on_change}`"
            yield (*path, key), cause, f"write `on_change: {key}`, or leave it out"
    if not is_signal(own.signal):
        yield (*path, "signal"), f"`{own.signal[:60]}` is no signal", "write one like SIGUSR1"


def _template(resource: Carried, path: Path) -> Iterator[Refusal]:
    driver = resource.template_driver
    if driver not in ("", "golang"):
        yield path, f"there is no template driver `{driver[:40]}`", "there is `golang`"
    elif driver and resource.payload is not None:
        try:
            list(parse_template(resource.payload.decode()))
        except UnicodeDecodeError:
            yield path, "it is no text, and has no placeholders", "leave the driver out"
        except ValueError as error:
            yield path, f"the placeholder {error}", f"there are {KNOWN}"


def _mount(mount: Mount, path: Path) -> Iterator[Refusal]:
    if mount.type in ELSEWHERE:
        yield (*path, "type"), ELSEWHERE[mount.type], f"use one of {', '.join(MOUNTED)}"
    elif mount.type == "image" and not mount.source:
        yield (*path, "source"), "an image to mount is needed", "write its reference, or a service"
    elif not mount.target.startswith("/"):
        cause = f"`{mount.target[:60]}` is no absolute path"
        yield (*path, "target"), cause, "mounts begin at the container's root: `/...`"
    elif mount.target == "/":
        hint = "mount it at a directory below"
        yield (*path, "target"), "nothing can be mounted over the container's own root", hint
    if mount.type == "bind":
        yield from _bind(mount, (*path, "bind"))


def _bind(mount: Mount, path: Path) -> Iterator[Refusal]:
    for key, words in (("propagation", PROPAGATIONS), ("recursive", RECURSIVE)):
        value = getattr(mount.bind, key)
        if value not in words:
            yield (*path, key), f"`{value[:40]}` is none", f"one of {', '.join(words[1:])}"
    if mount.bind.recursive == "readonly":
        # What is mounted later on the host would come through, and be writable.
        private = mount.bind.propagation in ("", "private", "rprivate")
        if not (mount.read_only and private):
            hint = "write `read_only: true`, and leave `propagation` out"
            yield (*path, "recursive"), "`readonly` is of a private, read-only bind", hint


def _options(volume: Volume, path: Path) -> Iterator[Refusal]:
    for name in volume.driver_opts:
        if name not in DRIVER_OPTIONS:
            hint = f"there are {', '.join(DRIVER_OPTIONS)}"
            yield (*path, name), f"`{name[:60]}` is no option of the driver `local`", hint
    for name in ("type", "device"):
        if not volume.driver_opts.get(name):
            yield path, f"`{name}` is missing", "`type` and `device` say what is mounted"
