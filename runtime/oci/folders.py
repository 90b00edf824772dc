"""What a container consists of on the host: made, made ready, cleared, swept. All of it blocks."""

import json
import os
import shutil
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime import cgroups
from runtime.errors import ConflictError, UnsupportedError
from runtime.files import write_atomic
from runtime.limiting import apply, check_processors, fit, numbers_of
from runtime.limits import oci_resources
from runtime.logs.folder import begin_run
from runtime.mountinfo import unmount_below
from runtime.oci import records
from runtime.oci.bundle import build_bundle, display_command
from runtime.oci.carried import is_carried, renew_carried, write_carried
from runtime.oci.cdi import resolve
from runtime.oci.filters import ANNOTATION, Filters
from runtime.oci.layout import Layout
from runtime.oci.mounts import IMAGE, OwnMounts, bind
from runtime.oci.namespaces import SHAREABLE, ipc_donor, join_processes, pin_ipc
from runtime.oci.records import Record
from runtime.oci.rootfs import mount_root, unmount_root
from runtime.oci.smallfiles import write_files
from runtime.oci.users import resolve_user
from runtime.oci.workdir import make_working_dir
from runtime.pins import is_pinned
from runtime.types import (
    ContainerConfig,
    ContainerId,
    ImageFacts,
    Limits,
    LogDriver,
    Mount,
    MountKind,
    VolumeId,
)
from runtime.volumes import Volumes

INITS = ("/usr/bin/tini-static", "/usr/bin/catatonit", "/usr/libexec/podman/catatonit")
"""Reapers that need no libraries, none of which an image has to have."""
CARRIED = "carried"
"""Where, in a container's scratch folder, what configs and secrets hold is mounted."""
RESERVED = ("pyorch.", "com.docker.compose.")
"""Beginnings of labels that an image has no say in."""
INIT_TARGET = "/sbin/pyorch-init"


class Folders:
    """Bundles, root filesystems, records and cgroups of one instance's containers."""

    def __init__(self, layout: Layout, volumes: Volumes) -> None:
        """Make everything where ``layout`` says; nothing is touched yet."""
        self._layout = layout
        self._volumes = volumes
        self._filters: dict[str, Filters] = {}

    def filters(self, config: ContainerConfig) -> Filters:
        """Return the seccomp rules of containers, compiled once by each runtime."""
        program = self._layout.program(config)
        if program not in self._filters:
            folder = self._layout.instance.run / "seccomp"
            self._filters[program] = Filters(folder, Path(program))
        return self._filters[program]

    def build(self, record: Record, image: ImageFacts, mounted: Mapping[str, ImageFacts]) -> Record:
        """Make a container that has never run; return what was written down of it.

        ``mounted`` are the images that are mounted in it.
        """
        config = record.config
        folder = self._layout.data / config.id
        folder.mkdir(exist_ok=True, mode=0o700)
        (self._layout.scratch / config.id).mkdir(exist_ok=True, mode=0o700)
        root = mount_root(folder, image.layers)
        files = write_files(self._layout.scratch / config.id / "files", config)
        files += write_carried(self._layout.scratch / config.id / CARRIED, config)
        edits = resolve(config.cdi, self._layout.instance.cdi)
        # What is run beside the main process has the same variables and groups.
        config = replace(
            config,
            environment={**config.environment, **edits.environment},
            group_add=(*config.group_add, *map(str, edits.groups)),
        )
        user = resolve_user(
            root, image.config.user if config.user is None else config.user, config.group_add
        )
        own = self._own(config, mounted).build(root, user)
        init: tuple[str, ...] = ()
        if config.init:
            program = _find_init(config.id)
            own.append(bind(program, INIT_TARGET, ["ro", "nosuid", "nodev"]))
            # A reaper that is not the first process has to ask for the orphans.
            first = not config.pid
            init = (INIT_TARGET, "--") if first else (INIT_TARGET, "-s", "--")
        bundle = build_bundle(
            config,
            image.config,
            root=root,
            cgroup=self._layout.cgroup(config),
            user=user,
            # Shallow targets first: what is deeper is mounted inside of them.
            mounts=sorted([*own, *files], key=lambda one: str(one["destination"]).count("/")),
            resources=self._resources(config.id, config.limits),
            init=init,
            scratch=self._layout.scratch,
            edits=edits,
        )
        make_working_dir(root, bundle["process"]["cwd"], config.id)
        self.filters(config).add_to(bundle)
        write_atomic(folder / "config.json", json.dumps(bundle).encode())
        told = {
            name: text
            for name, text in image.config.labels.items()
            if not name.startswith(RESERVED)
        }
        labels = {**told, "pyorch.command": display_command(config, image.config), **config.labels}
        labelled = replace(record, config=replace(config, labels=labels))
        records.save_record(folder / "record.json", labelled)
        return labelled

    def claim(self, record: Record) -> None:
        """Know again which volumes a container uses."""
        for given in record.config.mounts:
            if given.kind is MountKind.VOLUME:
                self._volumes.claim(VolumeId(given.source), record.config.id)

    def let_go(self) -> None:
        """Unmount volumes no container that is known uses."""
        self._volumes.release_unused()

    def renew(self, record: Record, config: ContainerConfig) -> Record:
        """Write the small files anew: they went with a reboot, or addresses have changed."""
        folder = self._layout.scratch / config.id
        folder.mkdir(exist_ok=True, mode=0o700)
        write_carried(folder / CARRIED, config)
        # One that is called as another is found out so when it was made.
        write_files(folder / "files", replace(config, hostname=record.config.hostname))
        renewed = replace(
            record.config,
            addresses=config.addresses,
            nameservers=config.nameservers,
            mounts=config.mounts,
        )
        return self.note(replace(record, config=renewed))

    def refresh(
        self, config: ContainerConfig, files: Sequence[Mount], namespace: int | None
    ) -> None:
        """Have carried files hold something else, in the open mount namespace of a run, too."""
        folder = self._layout.scratch / config.id / CARRIED
        renew_carried(folder, config.mounts, files, namespace)

    def note(self, record: Record) -> Record:
        """Write down what a container is now."""
        records.save_record(self._layout.data / record.config.id / "record.json", record)
        return record

    def limit(self, record: Record, limits: Limits, *, running: bool) -> Record:
        """Have this run and those to come keep to other limits; return what was written down."""
        config = record.config
        resources = self._resources(config.id, limits)
        if running:
            # What cannot be enforced is left out of both, so that no run is told of it.
            before, after = fit(config.limits)[0], fit(limits)[0]
            apply(self._layout.cgroup(config), before, after, config.id)
        path = self._layout.data / config.id / "config.json"
        bundle = json.loads(path.read_bytes())
        kept = bundle["linux"]["resources"]["devices"]
        bundle["linux"]["resources"] = {"devices": kept, **resources}
        write_atomic(path, json.dumps(bundle).encode())
        found = replace(record, config=replace(config, limits=limits))
        records.save_record(path.with_name("record.json"), found)
        return found

    def _resources(self, subject: str, limits: Limits) -> dict[str, Any]:
        check_processors(limits, subject)
        enforced, _ = fit(limits)
        return oci_resources(enforced, numbers_of(enforced, subject))

    def prepare(
        self,
        record: Record,
        image: ImageFacts,
        mounted: Mapping[str, ImageFacts],
        number: int,
        *,
        joined: int | None = None,
    ) -> str | None:
        """Make ready for a run; return the key of seccomp rules that are compiled by it.

        ``joined`` is the first process of the container whose processes this one shares.
        """
        config = record.config
        mount_root(self._layout.data / config.id, image.layers)
        (self._layout.scratch / config.id).mkdir(exist_ok=True, mode=0o700)
        self._own(config, mounted).hold()
        if config.logging.driver is not LogDriver.NONE:
            begin_run(config.log, number)
        if config.ipc == SHAREABLE:
            pin_ipc(self._layout.scratch / config.id, config)
        elif (donor := ipc_donor(config)) and not is_pinned(self._layout.scratch / donor / "ipc"):
            cause = f"`{donor}`, whose memory it shares, has not run yet"
            raise ConflictError("start container", config.id, cause)
        path = self._layout.data / config.id / "config.json"
        data = path.read_bytes()
        if joined is None and ANNOTATION.encode() in data:
            return None
        bundle = json.loads(data)
        if joined is not None:
            join_processes(bundle, joined)
        compiles = self.filters(config).add_to(bundle)
        if joined is not None or ANNOTATION in bundle.get("annotations", {}):
            write_atomic(path, json.dumps(bundle).encode())
        return compiles

    def is_prepared(self, container: ContainerId) -> bool:
        """Whether the small files of a container are there: a reboot takes them."""
        folder = self._layout.scratch / container
        return (folder / "files").is_dir() and is_carried(folder / CARRIED)

    def clear(self, container: ContainerId, cgroup: str) -> None:
        """Remove what a run left: the runtime's state and its cgroups."""
        # The runtime's own `delete` is not asked: all it would do is kill, and remove the same
        # cgroup and the same folder, and it answers 0 whether it did so or not.
        # A runtime killed in the middle leaves a mount in its own state, which then cannot go.
        state = self._layout.states / container
        if state.exists():
            unmount_below(state)
        cgroups.remove(cgroup)
        shutil.rmtree(state, ignore_errors=True)

    def delete(self, container: ContainerId, cgroup: str) -> None:
        """Remove everything a container was."""
        folder = self._layout.data / container
        unmount_root(folder)
        for other in folder.glob(f"{IMAGE}*"):
            unmount_root(other)
        scratch = self._layout.scratch / container
        if any((scratch / name).exists() for name in ("mounts", "shm", CARRIED)):
            unmount_below(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
        (self._layout.exits / container).unlink(missing_ok=True)
        for name in ("upper", "work", "merged"):
            shutil.rmtree(folder / name, ignore_errors=True)
        self._volumes.release(container)
        # The record goes last: until then the container is found, and removed again.
        shutil.rmtree(folder, ignore_errors=True)
        cgroups.remove_if_empty(str(Path(cgroup).parent))
        cgroups.remove_if_empty(self._layout.instance.cgroup)

    def _own(self, config: ContainerConfig, mounted: Mapping[str, ImageFacts]) -> OwnMounts:
        return OwnMounts(
            config,
            self._volumes,
            mounted,
            folder=self._layout.data / config.id,
            held=self._layout.scratch / config.id / "mounts",
        )

    def sweep(self, known: Callable[[], tuple[Container[str], Container[str]]]) -> Sequence[str]:
        """Remove what is of no container; return a name for each.

        ``known`` says which containers and which cgroups are to stay. It is asked after all is
        listed, so that what is made meanwhile is safe.
        """
        own = self._layout.instance.cgroup
        folders = list(self._layout.data.iterdir())
        running = [*self._layout.scratch.iterdir(), *self._layout.states.iterdir()]
        stacks = [f"{own}/{one}" for one in cgroups.children(own)]
        groups = [f"{stack}/{name}" for stack in stacks for name in cgroups.children(stack)]
        containers, wanted = known()
        found: list[str] = []
        for folder in folders:
            if folder.name not in containers and not (folder / "record.json").exists():
                unmount_below(folder)
                shutil.rmtree(folder, ignore_errors=True)
                found.append(f"half-made container {folder.name}")
        for folder in running:
            if folder.name not in containers:
                unmount_below(folder)
                shutil.rmtree(folder, ignore_errors=True)
        for group in groups:
            if group not in wanted:
                cgroups.remove(group)
                found.append(f"cgroup {group}")
        for above in (*stacks, own):
            cgroups.remove_if_empty(above)
        return found


def _find_init(container: ContainerId) -> Path:
    for path in INITS:
        if os.access(path, os.X_OK):
            return Path(path)
    raise UnsupportedError(
        "create container",
        container,
        "`init: true` needs a reaper and none is installed",
        hint="apt-get install tini",
    )
