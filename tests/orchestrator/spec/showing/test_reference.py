"""The reference of every key, and that what it says of each of them is so."""

import dataclasses
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from orchestrator.building.prepare import Wishes, buildable, prepare, refused
from orchestrator.settings import Settings
from orchestrator.spec.judging.support import ACCEPTED, FATES, REFUSED, REMARKS, Kind, fate
from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.spec.models import StackFile
from orchestrator.spec.problems import SpecError
from orchestrator.spec.reading.plant import plant
from orchestrator.spec.reading.yaml import parse
from orchestrator.spec.showing.keys import INTERNAL, keys, model_in
from orchestrator.spec.showing.reference import LEFT_OUT, examples, flow, reference
from orchestrator.spec.tree import Map, take_out
from orchestrator.spec.values.units import parse_duration, parse_size
from orchestrator.store import StoredStack
from orchestrator.translate.container import ContainerFactory
from orchestrator.translate.desired import build_desired
from orchestrator.translate.health import checks_of
from orchestrator.translate.hooks import HookBook, hook_images
from orchestrator.translate.logging import unattached
from orchestrator.translate.network import build_network
from orchestrator.translate.sandbox import build_sandbox
from runtime.types import ContainerFacts, Created
from scheduler.actions import CreateNetwork, CreateReplica
from scheduler.desired import CheckKind, HookKind, Intent
from scheduler.ids import ReplicaId

DOCS = Path(__file__).resolve().parents[4] / "docs"
EVERY = (DOCS / "every-key.yaml").read_text()
ENVIRON = {"TOKEN": "t", "NGINX_CONF": "n"}


def document():
    """Return the file with every key, as it is written."""
    return parse(EVERY, "every-key.yaml")[0].content


def test_what_is_written_is_what_is_generated():
    assert (DOCS / "stack-file.md").read_text() == reference(document()), "run `make docs`"


def patterns(model, path=()):
    """Yield the path of every field of a model and of those in it, `*` being any entry."""
    for name, field in model.model_fields.items():
        if name in INTERNAL:
            continue
        where = (*path, field.alias or name)
        yield ".".join(where)
        below = model_in(field.annotation)
        if below is not None:
            text = str(field.annotation)
            several = any(kind in text for kind in ("dict[", "tuple[", "Mapping["))
            yield from patterns(below, (*where, "*") if several else where)


GENERAL = {
    "services.*.deploy.resources.limits.devices",
    "services.*.deploy.resources.limits.generic_resources",
    "services.*.deploy.resources.reservations.pids",
}
"""Fields of a model that two keys share; only one of them may hold these."""


def test_no_key_of_the_models_is_without_an_entry():
    found = set(patterns(StackFile))
    known = {key.name for key in keys()}
    missing = {name for name in found - known if not any(name.startswith(g) for g in GENERAL)}

    assert missing == set()
    assert {key.name: fate(key.name) for key in keys()}
    assert len(found) > 300


def test_no_entry_is_without_a_key():
    assert set(FATES) - {key.name for key in keys()} == set()
    assert {name for name in REMARKS if FATES[name].kind is not Kind.IMPLEMENTED} == set()
    assert set(LEFT_OUT) - {key.name for key in keys()} == set()


def test_a_key_without_anything_to_do_says_why():
    silent = [key for key, why in SAME.items() if why == "there is nothing to do"]

    assert set(silent) <= set(REMARKS)
    assert set(SAME) <= {key for key, found in FATES.items() if found.kind is Kind.IMPLEMENTED}


def test_a_key_nobody_decided_about_is_not_passed_over():
    with pytest.raises(KeyError):
        fate("services.*.new_key")


def test_every_key_has_an_example():
    without = {key.name for key in keys() if next(examples(key.path, document()), None) is None}

    assert without == {"services.*.pull_refresh_after"}, "no file with it loads"


@pytest.mark.parametrize("value", [{"a": ["1", 1, 1.5, True, None, "x: y", "it's", "", "a b"]}])
def test_an_example_is_read_as_what_it_is(value):
    assert parse(flow(value), "x")[0].content == value


def test_every_example_is_read_as_what_it_is():
    for key in keys():
        for found in examples(key.path, document()):
            assert parse(f"k: {flow(found)}", "x")[0].content == {"k": found}


# ── what becomes of keys ─────────────────────────────────────────────────────────────────────

FILES = {
    "web/Dockerfile.web": "FROM one",
    "web/Dockerfile": "FROM another",
    "Dockerfile.web": "FROM elsewhere",
    "Dockerfile": "FROM here",
    "docs/README": "",
    "key": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "included.yaml": "services: {inc: {image: 'i:${V}', volumes: ['./b:/b']}}\n",
    "included.env": "V=2\n",
    "common.yaml": "services: {base: {user: u}}\n",
    "web.labels": "a.b=c\n",
    "web.env": "E='1'\n",
    "token.txt": "hush {{.Task.Slot}}",
    "home/pyorch/configs/kept-elsewhere": "kept",
    "nginx.conf": "conf",
}


@pytest.fixture
def every(write):
    """Load the file with every key, without what is taken out of it."""

    def every(tree=None, *, to_run=False):
        cwd = write(FILES)
        text = EVERY if tree is None else flow(tree)
        return load_stack(
            LoadRequest(
                files=("-",), stdin=text, cwd=cwd, profiles=("live",), to_run=to_run,
                environ={**ENVIRON, "XDG_CONFIG_HOME": str(cwd / "home")},
            )
        )  # fmt: skip

    return every


def matches(pattern, path):
    parts = path.split(".")
    wanted = pattern.split(".")
    return len(parts) == len(wanted) and all(
        one in ("*", part) for one, part in zip(wanted, parts, strict=True)
    )


def test_a_key_that_does_nothing_is_named_in_exactly_one_warning(every):
    named = [one.split(": ")[0] for one in every().warnings if ": accepted, but " in one]

    assert {key: sum(matches(key, one) for one in named) for key in ACCEPTED} == dict.fromkeys(
        ACCEPTED, 1
    )
    assert len(named) == len(ACCEPTED), "nothing else is warned about"


def test_what_is_told_elsewhere_is_told_once(every):
    assert len([one for one in every().warnings if "`version` is obsolete" in one]) == 1


BUILD = "services.*.build."


@pytest.mark.parametrize("key", [key for key in REFUSED if key.startswith(BUILD)])
def test_a_key_of_a_build_that_is_refused_is_run_and_not_built(every, key):
    tree = runnable()
    example = {"privileged": "true", "isolation": "hyperv", "entitlements": ["network.host"]}
    name = key.removeprefix(BUILD)
    tree["services"]["web"]["build"] = Map({"context": ".", name: example[name]})

    loaded = every(tree, to_run=True)
    with pytest.raises(SpecError) as told:
        refused(loaded, ["web"])
    assert f"services.web.build.{name}: {REFUSED[key]}" in str(told.value)


@pytest.mark.parametrize(
    "key", [key for key in REFUSED if not key.startswith(BUILD) and key.count("refresh") == 0]
)
def test_a_key_that_is_refused_is_printed_and_not_run(every, key):
    tree = plant(parse(EVERY, "f")[0])
    kind, _, rest = key.split(".", 2)
    name = next(
        name
        for name, one in tree[kind].items()
        if name.startswith("refused") and next(examples(rest.split("."), one), None) is not None
    )
    for other in [one for one in tree[kind] if one.startswith("refused") and one != name]:
        take_out(tree, (kind, other))

    assert every(tree).stack
    with pytest.raises(SpecError) as told:
        every(used(tree), to_run=True)
    assert REFUSED[key] in str(told.value) or rest.split(".")[-1] == "image"


def test_a_key_no_loader_takes_is_refused_with_the_reason(complain):
    said = complain("services: {a: {image: i, pull_refresh_after: 1h}}\n", project_name="s")

    assert "services.a.pull_refresh_after: images are pulled when" in said


def used(tree):
    """Return a tree in which a service uses everything that is declared: only that is loaded."""
    mounts = [
        {"type": "volume", "source": name, "target": f"/v/{name}"}
        for name in tree["volumes"]
        if name != "data"
    ]
    tree["services"]["all"] = {
        "image": "all",
        "networks": list(tree["networks"]),
        "volumes": mounts,
        "configs": list(tree["configs"]),
        "secrets": list(tree["secrets"]),
    }
    return tree


def carried_out():
    """Return the keys that are carried out and hold no other key."""
    found = [key for key in keys() if fate(key.name).kind is Kind.IMPLEMENTED]
    above = {key.path[:length] for key in found for length in range(1, len(key.path))}
    return [key.name for key in found if key.path not in above]


SAME = {
    "networks.*.attachable": "there is nothing to do",
    "networks.*.driver": "there is one",
    "services.*.logging.driver": "it is as good as the usual one",
    "networks.*.enable_ipv4": "it has them anyway",
    "networks.*.ipam.driver": "there is one",
    "networks.*.ipam.options": "there is none",
    "services.*.deploy.mode": "it is the usual one",
    "services.*.deploy.endpoint_mode": "it is the usual one",
    "services.*.deploy.update_config.order": "the machine may hold no more of them",
    "services.*.deploy.rollback_config.order": "it is the usual one",
    "services.*.x-pyorch.update.mode": "`deploy` says all of it",
    "services.*.deploy.labels": "who asks for a service is told",
    "services.*.deploy.placement.preferences.*.spread": "there is nothing to do",
    "volumes.*.driver": "there is one",
    "services.*.build.no_cache": "`no_cache_filter` says so, too",
    "services.*.build.no_cache_filter": "`no_cache` says so, too",
    "services.*.build.secrets.*.gid": "whoever mounts it says so",
    "services.*.build.secrets.*.mode": "whoever mounts it says so",
    "services.*.build.secrets.*.uid": "whoever mounts it says so",
    "services.*.pull_policy": "it is built, whatever the policy",
    "services.*.mac_address": "that of its first network is the same",
    "services.*.networks.*.mac_address": "that of the service is the same",
    "services.*.env_file.*.required": "its file is there",
    "services.*.depends_on.*.required": "what is needed is there",
    "services.*.profiles": "its profile is active",
    "services.*.expose": "there is nothing to do",
    "services.*.attach": "whoever shows the output does it",
    "services.*.userns_mode": "there is nothing to do",
    "services.*.gpus.*.options": "there is nothing to do",
    "services.*.gpus.*.capabilities": "its driver says enough",
    "services.*.gpus.*.driver": "it is the usual one",
    "services.*.deploy.resources.reservations.devices.*.options": "there is nothing to do",
    "services.*.deploy.resources.reservations.devices.*.capabilities": "its driver says enough",
    "services.*.deploy.resources.reservations.devices.*.driver": "it is the usual one",
    "services.*.ports.*.app_protocol": "there is nothing to do",
    "services.*.ports.*.mode": "there is nothing to do",
    "services.*.ports.*.name": "there is nothing to do",
    "services.*.volumes.*.bind.selinux": "there is nothing to do",
    "services.*.volumes.*.consistency": "there is nothing to do",
    "configs.*.labels": "there is nothing to do",
    "secrets.*.labels": "there is nothing to do",
    "secrets.*.external.name": "its driver has another name for it",
    "configs.*.name": "there is nothing to do",
    "secrets.*.name": "there is nothing to do",
}
"""Keys whose example says what leaving it out says, and why."""


NEEDED = {
    "include.*.path",
    "networks.*.ipam.config.*.subnet",
    "services.*.build.secrets.*.source",
    "services.*.build.ulimits.*.hard",
    "services.*.build.ulimits.*.soft",
    "configs.*.x-pyorch.exec",
    "configs.*.x-pyorch.on_change",
    "secrets.*.x-pyorch.exec",
    "secrets.*.x-pyorch.on_change",
    "x-pyorch.notify.*.command",
    "x-pyorch.notify.*.webhook",
    "services.*.x-pyorch.schedule.cron",
    "services.*.x-pyorch.probes.*.exec",
    "services.*.x-pyorch.probes.*.grpc",
    "services.*.x-pyorch.probes.*.grpc.port",
    "services.*.x-pyorch.probes.*.http",
    "services.*.x-pyorch.probes.*.http.port",
    "services.*.x-pyorch.probes.*.log",
    "services.*.x-pyorch.probes.*.tcp",
    "services.*.blkio_config.device_read_bps.*.path",
    "services.*.blkio_config.device_read_bps.*.rate",
    "services.*.blkio_config.device_read_iops.*.path",
    "services.*.blkio_config.device_read_iops.*.rate",
    "services.*.blkio_config.device_write_bps.*.path",
    "services.*.blkio_config.device_write_bps.*.rate",
    "services.*.blkio_config.device_write_iops.*.path",
    "services.*.blkio_config.device_write_iops.*.rate",
    "services.*.blkio_config.weight_device.*.path",
    "services.*.blkio_config.weight_device.*.weight",
    "services.*.configs.*.source",
    "services.*.depends_on.*.condition",
    "services.*.deploy.resources.reservations.generic_resources.*.discrete_resource_spec.kind",
    "services.*.devices.*.source",
    "services.*.env_file.*.path",
    "services.*.extends.file",
    "services.*.extends.service",
    "services.*.mem_limit",
    "services.*.ports.*.target",
    "services.*.post_start.*.command",
    "services.*.pre_stop.*.command",
    "services.*.secrets.*.source",
    "services.*.ulimits.*.hard",
    "services.*.ulimits.*.soft",
    "services.*.volumes.*.target",
    "services.*.volumes.*.type",
    "configs.*.content",
    "configs.*.environment",
    "configs.*.external",
    "configs.*.external.name",
    "configs.*.file",
    "secrets.*.driver",
    "secrets.*.driver_opts",
    "secrets.*.environment",
    "secrets.*.external",
    "secrets.*.file",
}
"""Keys without which the example does not load."""


def runnable():
    """Return the file with every key that can be run, all of it used."""
    tree = plant(parse(EVERY, "f")[0])
    for kind in ("services", "volumes", "configs", "secrets"):
        for name in [name for name in tree[kind] if name.startswith("refused")]:
            take_out(tree, (kind, name))
    return used(tree)


SUBNET = IPv4Network("10.5.0.0/16")


def meaning(stack):
    """Return all that the runtime and the planner are told of a stack, but for its hash."""
    stored = StoredStack(
        name=stack.name, intent=Intent.RUN, generation=1, remove_volumes=False, stop_grace=None,
        owner_uid=0, changed_wall=0.0,
    )  # fmt: skip
    settings = Settings(name="test", data=Path("/d"), run=Path("/r"))
    desired = build_desired(stack, stored, settings, images={}, pins={})
    back = dataclasses.replace(stored, origin="rollback to 1")
    going_back = [
        one.update for one in build_desired(stack, back, settings, images={}, pins={}).services
    ]
    plain = tuple(dataclasses.replace(one, revision="") for one in desired.services)
    desired = dataclasses.replace(desired, services=plain)
    factory = ContainerFactory(
        settings=settings, model=stack, desired=desired, images={},
        nameservers=lambda zone: (str(zone),), gateway=lambda network: "10.0.0.1",
    )  # fmt: skip
    containers = [
        factory.build(CreateReplica(replica=ReplicaId(name, 1), revision=""), None, {})
        for name in sorted(stack.services)
    ]
    networks = [
        build_network(
            stack, CreateNetwork(network=name, subnets=((SUBNET, SUBNET[1]),)), desired.name
        )
        for name in sorted({one.name for one in desired.networks})
    ]
    sandboxes = [
        build_sandbox(
            *(stack, service, desired.name, ReplicaId(service.name, 1)),
            tuple((place.network, SUBNET[2]) for place in service.networks),
        )
        for service in desired.services
    ]
    reactions = [
        list(factory.mounting.reactions(ReplicaId(one.name, 1), one.contents))
        for one in desired.services
    ]
    volumes = [factory.mounting.volume(one.name) for one in desired.volumes]
    volumes += [factory.mounting.anonymous(ReplicaId(name, 1)) for name in sorted(stack.services)]
    hooks = hooks_of(stack, containers)
    hooks += [checks_of(service, None) for _, service in sorted(stack.services.items())]
    logs = factory.log_cap, unattached(stack), stack.x_pyorch.notify, going_back
    return desired, containers, (volumes, hooks, reactions), networks, sandboxes, logs


def hooks_of(stack, containers):
    """Return all that is run before, after and at the end of the replicas of `web`."""
    if "web" not in stack.services:
        return []
    web = ReplicaId("web", 1)
    book = HookBook(stack=stack.name, model=stack, services=stack.services, marks={}, running=())
    facts = ContainerFacts(
        id="x.web.1", image="", labels={}, phase=Created(), created_wall=0.0, log=Path("/l")
    )
    config = next(one for one in containers if ".web." in one.id)
    config = dataclasses.replace(config, privileged=False)
    images = dict.fromkeys(hook_images(stack, "web"), "other")
    found = [book.commands(facts, web, kind) for kind in (HookKind.POST_START, HookKind.PRE_STOP)]
    # Their own definition is a label of them: without it, what it says must still differ.
    own = book.containers(web, config, images).containers
    return found + [dataclasses.replace(one, labels={}) for one in own]


def builds(loaded):
    """Return what the daemon is asked to build of a stack, and which folders go along."""
    found = []
    for name in buildable(loaded.whole):
        one = prepare(loaded, name, Wishes(), fetch=None)
        found.append((one.request, [folder.path for folder in one.folders]))
    return found


@pytest.mark.parametrize("key", [key for key in carried_out() if key not in SAME])
def test_a_key_that_is_carried_out_changes_what_is_done(every, key):
    """Without it, something else is asked of planner or runtime, or nothing can be loaded."""
    with_it = every(runnable(), to_run=True)
    tree = runnable()
    where = next(places(key.split("."), tree))
    assert where, "there is no example that can be run"
    take_out(tree, where)

    if key in NEEDED:
        with pytest.raises(SpecError):
            every(tree, to_run=True)
        return
    without = every(tree, to_run=True)
    if key.startswith(BUILD):
        assert builds(without) != builds(with_it)
    else:
        assert meaning(without.stack) != meaning(with_it.stack)


def test_what_leaving_a_key_out_means_is_what_it_comes_to(load):
    stack = load(
        "name: s\nvolumes: {vol: }\nservices:\n  a: {image: i, healthcheck: {test: x}}\n"
        "  b: {build: ., volumes: ['vol:/v']}\n"
    ).stack
    desired, (container, _), *_ = meaning(stack)
    service, other = desired.services
    check = service.checks[CheckKind.HEALTH]
    said = {name.split(".", 2)[-1]: text for name, text in LEFT_OUT.items()}

    assert check.start_interval is None
    for key in ("interval", "start_period", "timeout"):
        assert parse_duration(said[f"healthcheck.{key}"]) == getattr(check, key)
    assert said["healthcheck.retries"] == str(check.retries)
    assert said["deploy.replicas"] == said["scale"] == str(service.replicas)
    assert said["hostname"].replace("SERVICE-NUMBER", "a-1") == container.hostname
    assert said["image"].replace("STACK-SERVICE", "s-b") == other.image
    assert said["pids_limit"] == str(container.limits.pids)
    assert said["pull_policy"] == service.pull
    assert said["restart"] == service.restart.mode
    assert parse_size(said["shm_size"]) == container.shm_size
    assert parse_duration(said["stop_grace_period"]) == service.stop_grace
    assert desired.networks[0].name == LEFT_OUT["networks.*.name"].replace("STACK_KEY", "s_default")
    assert desired.volumes[0].name == LEFT_OUT["volumes.*.name"].replace("STACK_KEY", "s_vol")


def places(pattern, value, path=()):
    """Yield every path of a document that a pattern matches."""
    if not pattern:
        yield path
        return
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, one in pairs:
        if pattern[0] in ("*", str(key)):
            yield from places(pattern[1:], one, (*path, str(key)))
