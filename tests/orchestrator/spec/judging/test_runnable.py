"""What a file may say and the runtime cannot do: printed by `config`, refused by `up`."""

import pytest

from orchestrator.spec.judging.support import ACCEPTED
from orchestrator.spec.values.pulling import refresh_after

HEAD = "name: s\nservices:\n  a:\n    image: i\n"
REST = "networks: {net: {driver: DRIVER}}\nvolumes: {vol: {driver: VDRIVER}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("restart: maybe", "`maybe` is no restart policy"),
        ("restart: on-failure:3", None),
        (
            "logging: {driver: none}\n    x-pyorch: {probes: {startup: {log: up}}}",
            "x-pyorch.probes.startup.log: there is no log to look in: `logging.driver` is `none`",
        ),
        ("logging: {driver: none}\n    x-pyorch: {probes: {startup: {tcp: 80}}}", None),
        ("pull_policy: always-ish", "is no pull policy"),
        ("hostname: a_b", "is no host name"),
        ("container_name: 'ab c'", "is no name of a container"),
        ("user: 'a:b:c'", "is no user"),
        ("platform: linux/arm64/v8", None),
        ("platform: 'linux/arm 64'", "`linux/arm 64` is no platform"),
        ("platform: linux/a/b/c", "is no platform"),
        ("user: '1:2'", None),
        ("stop_signal: SIGKILL;x", "is no signal"),
        ("stop_signal: SIGRTMIN+3", None),
        ('dns_search: "a\\nb"', "holds white space"),
        ("extra_hosts: ['a=1.1.1.1 b']", "holds white space"),
        ("annotations: {run.oci.hooks: x}", "`run.oci.hooks` would steer the runtime"),
        ("ports: ['80/sctp']", None),
        ("ports: [{target: 0}]", "must be a port of the container"),
        ("ports: [{target: 80, published: x}]", "`x` is no port"),
        ("ports: [{target: 80, published: 0-9}]", "`0-9` is no port"),
        ("volumes: [{type: image, source: i, target: /x}]", None),
        ("volumes: [{type: image, target: /x}]", "an image to mount is needed"),
        ("volumes: ['./x:relative']", "`relative` is no absolute path"),
        ("deploy: {replicas: 1001}", "more than 1000 replicas"),
        ("scale: 1001", "services.a.scale: more than 1000 replicas"),
        ("deploy: {restart_policy: {condition: maybe}}", "is no condition"),
        ("deploy: {mode: globl}", "`globl` is no mode of a service"),
        ("deploy: {mode: global}\n    scale: 2", "scale: `mode: global` is one replica"),
        ("deploy: {mode: global}\n    scale: 1", None),
        ("deploy: {mode: replicated-job, replicas: 2, labels: {a: b}}", None),
        (
            "deploy: {mode: global-job, restart_policy: {condition: any}}",
            "deploy.restart_policy.condition: `mode: global-job` is not started again",
        ),
        ("deploy: {mode: global-job}\n    restart: always", "restart: `mode: global-job` is not"),
        ("deploy: {mode: global-job}\n    restart: on-failure:3", None),
        ("restart: on-failure\n    x-pyorch: {job: {timeout: 1m}}", None),
        ("x-pyorch: {job: {max_concurrent: 2}}", None),
        ("x-pyorch: {schedule: {cron: '@daily', timezone: Europe/Berlin}}", None),
        (
            "restart: unless-stopped\n    x-pyorch: {schedule: {cron: '@daily'}}",
            "x-pyorch.schedule: a service that is started again whenever it ends is no job",
        ),
        (
            "x-pyorch: {schedule: {cron: '@daily'}}\n"
            "  b:\n    image: i\n    depends_on: {a: {condition: service_completed_successfully}}",
            "services.b.depends_on.a.condition: `a` runs by its schedule",
        ),
        (
            "restart: always\n    x-pyorch: {job: {timeout: 1m}}",
            "x-pyorch.job: a service that is started again whenever it ends is no job",
        ),
        ("deploy: {placement: {constraints: ['node.labels.a==b', 'node.role != x']}}", None),
        ("deploy: {endpoint_mode: dnsrr}", None),
        ("deploy: {endpoint_mode: dns}", "`dns` is no way to reach a service"),
        (
            "deploy: {resources: {reservations: {generic_resources:"
            " [{discrete_resource_spec: {kind: gpu, value: 2}}]}}}",
            None,
        ),
        (
            "deploy: {resources: {reservations: {generic_resources:"
            " [{discrete_resource_spec: {value: 2}}]}}}",
            "generic_resources.0: a kind and how many",
        ),
        ("deploy: {placement: {constraints: [a]}}", "`a`: it is no `KEY == VALUE`"),
        ("deploy: {placement: {constraints: [node.id==x]}}", "nothing is known of `node.id`"),
        ("deploy: {placement: {constraints: ['node.labels.==x']}}", "nothing is known of"),
        ("deploy: {placement: {max_replicas_per_node: -1}}", "must not be negative"),
        ("deploy: {placement: {preferences: [{spread: node.labels.a}]}}", None),
        ("mem_limit: -5", "must be 6 MiB at least"),
        ("mem_limit: 5m", "must be 6 MiB at least"),
        ("mem_limit: 6m", None),
        ("deploy: {resources: {limits: {memory: 1m}}}", "limits.memory: must be 6 MiB at least"),
        ("mem_limit: 10m\n    mem_reservation: 11m", "more than the memory it may have"),
        ("mem_reservation: 1m", "mem_reservation: must be 6 MiB at least"),
        ("memswap_limit: 10m", "needs a limit of memory beside it"),
        ("mem_limit: 10m\n    memswap_limit: 9m", "it counts memory and swap together"),
        ("mem_limit: 10m\n    memswap_limit: -1", None),
        ("mem_limit: 10m\n    memswap_limit: -2", "must not be negative"),
        ("mem_swappiness: 101", "goes from 0 to 100"),
        ("cpus: 0.001", "must be 0.01 at least"),
        ("cpus: 1\n    cpu_quota: 5000", "`cpu_quota` and `cpus` exclude each other"),
        ("cpu_quota: 999", "must be 1000 µs at least"),
        ("cpu_period: 999", "goes from 1000 to 1000000 µs"),
        ("cpu_shares: 1", "must be 2 at least"),
        ("cpuset: 0-a", "`0-a` is no set of processors"),
        ("cpuset: '0-3,5'", None),
        ("pids_limit: -1", None),
        ("pids_limit: -2", "must not be negative"),
        ("x-pyorch: {rates: {receive: 1mb, send: 1k}}", None),
        ("x-pyorch: {rates: {receive: 1000}}", "receive: must be 1 KiB a second at least"),
        (
            "x-pyorch: {rates: {send: 1mb}}\n    network_mode: host",
            "send: with `network_mode: host` it has no links of its own",
        ),
        ("blkio_config: {weight: 9}", "weight: goes from 10 to 1000"),
        ("blkio_config: {weight_device: [{path: /dev/a, weight: 1001}]}", "goes from 10 to 1000"),
        ("blkio_config: {device_read_bps: [{path: sda, rate: 1}]}", "`sda` is no absolute path"),
        ("blkio_config: {device_read_bps: [{path: /dev/a, rate: 0}]}", "more than nothing"),
        ("healthcheck: {test: x, interval: 1ns}", "a millisecond at least"),
        ("stop_grace_period: -1s", "must not be negative"),
        ("networks: [net]\n#DRIVER=overlay", "there is no driver `overlay`"),
        ("volumes: ['vol:/v']\n#VDRIVER=nfs", "there is no driver `nfs`"),
        ("provider: {type: x}", "a service without a container"),
        ("secrets: [{source: key, uid: web}]\n#SECRET=labels: {}", "`web` is no number of a user"),
        ("secrets: [{source: key, target: /proc/x}]\n#SECRET=labels: {}", "nothing can be put at"),
        ("secrets: [key]\n#SECRET=template_driver: x", "there is no template driver `x`"),
        ("secrets: [key]\n#SECRET=driver: x", "a driver keeps what is `external`"),
        ("secrets: [key]\n#SECRET=driver_opts: {a: b}", "a driver keeps what is `external`"),
    ],
)
def test_what_cannot_be_run_is_refused_where_it_stands(load, complain, text, expected):
    driver = "overlay" if "#DRIVER" in text else "bridge"
    kept = "nfs" if "#VDRIVER" in text else "local"
    secret = f"secrets: {{key: {{file: ./f0.yml, {text.partition('SECRET=')[2]}}}}}\n"
    text = f"{HEAD}    {text}\n{secret if 'SECRET' in text else ''}" + REST.replace(
        "VDRIVER", kept
    ).replace("DRIVER", driver)

    assert load(text).stack.services["a"], "`config` prints it"
    if expected is None:
        load(text, to_run=True)
    else:
        said = complain(text, to_run=True)
        assert expected in said
        assert "f0.yml:" in said


def test_names_the_host_could_not_hold_are_refused(load, complain):
    text = f"name: {'n' * 70}\nservices: {{{'s' * 130}: {{image: i}}}}\n"
    said = complain(text, to_run=True)

    assert len(load(text).stack.name) == 70
    assert "at most 63 characters" in said
    assert "at most 128 letters" in said


@pytest.mark.parametrize("name", [".", "..", ".hidden", "-flag"])
def test_names_that_would_be_somewhere_else_on_the_host_are_refused(load, complain, name):
    service = f"name: s\nservices: {{'{name}': {{image: i}}}}\n"
    volume = HEAD + f"    volumes: ['data:/v']\nvolumes: {{data: {{name: '{name}'}}}}\n"

    assert f"services.{name}" in complain(service, to_run=True)
    assert "volumes.data.name" in complain(volume, to_run=True)
    assert load(service).stack.services, "`config` prints it"


def test_a_stack_without_services_is_printed_and_not_run(load, complain):
    text = "name: s\nservices: {a: {image: i, profiles: [p]}}\n"

    assert load(text).stack.services == {}
    assert "no service to run" in complain(text, to_run=True)


EXAMPLES = {
    "build.cache_from": "{context: ., cache_from: [x]}",
    "build.cache_to": "{context: ., cache_to: [x]}",
    "build.provenance": "{context: ., provenance: true}",
    "build.sbom": "{context: ., sbom: true}",
    "cgroup_parent": "x",
    "cpu_count": "1",
    "cpu_percent": "5",
    "cpu_rt_period": "1",
    "cpu_rt_runtime": "1",
    "credential_spec": "{file: x}",
    "develop": "{watch: [{path: ., action: rebuild}]}",
    "isolation": "x",
    "models": "[m]",
    "storage_opt": "{size: 1G}",
    "use_api_socket": "true",
}  # fmt: skip
"""What uses a key of services that is not carried out yet."""


def test_there_is_an_example_of_every_key_that_is_not_carried_out_yet_and_of_no_other():
    assert {f"services.*.{key}" for key in EXAMPLES} == set(ACCEPTED)


@pytest.mark.parametrize("key", EXAMPLES)
def test_a_key_that_is_not_carried_out_yet_loads_and_is_named_once(load, key):
    used = f"    {key.partition('.')[0]}: {EXAMPLES[key]}\n"
    text = f"{HEAD}{used}  b:\n    image: i\n{used}models: {{m: {{model: x}}}}\n"

    warnings = load(text).warnings

    why = ACCEPTED[f"services.*.{key}"]
    about = [one for one in warnings if one.split(": accepted, but ")[1] == why]
    assert len(about) == 1
    assert about[0].split(": ")[0].split(".")[-1] == key.split(".")[-1]


@pytest.mark.parametrize("policy", ["build", "daily", "weekly", "refresh", "every_1w2d3h4m5s"])
def test_every_pull_policy_is_run_without_a_warning(load, policy):
    assert load(f"{HEAD}    pull_policy: {policy}\n", to_run=True).warnings == ()


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        ("always", 0), ("refresh", 0), ("daily", 86400), ("weekly", 604800),
        ("every_12h", 43200), ("every_1d1h1m1s", 90061), ("every_2w", 1209600),
        ("missing", None), ("never", None), ("build", None), ("", None),
    ],
)  # fmt: skip
def test_a_pull_policy_says_how_old_an_image_may_be(policy, seconds):
    assert refresh_after(policy) == seconds


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("label:type:web", True),
        ("apparmor=unconfined", False),
        ("label=disable", False),
        ("no-new-privileges", False),
        ("seccomp=./profile.json", False),
    ],
)
def test_a_security_option_that_confines_nothing_yet_is_named(load, option, told):
    warnings = load(f"{HEAD}    security_opt: ['{option}']\n").warnings

    assert [one.split(":")[0] for one in warnings] == ["services.a.security_opt"] * told


def test_replicas_of_what_is_once_on_every_machine_are_named(load):
    once = load(HEAD + "    deploy: {mode: global, replicas: 3}\n")
    usual = load(HEAD + "    deploy: {mode: replicated, replicas: 3}\n")

    assert [one.split(":")[0] for one in once.warnings] == ["services.a.deploy.replicas"]
    assert once.stack.services["a"].replicas == 1
    assert (usual.stack.services["a"].replicas, usual.warnings) == (3, ())


def test_what_is_carried_out_is_not_warned_about(load):
    found = load(
        HEAD + "    deploy: {replicas: 2}\n    healthcheck: {test: x}\n    cap_add: [CHOWN]\n"
        "    cgroup_parent: ''\n    attach: true\n"
    )

    assert [one for one in found.warnings if "attach" not in one] == []


def test_words_lost_behind_an_operator_of_the_shell_are_told(load):
    found = load(HEAD + "    command: make it && run it\n")

    assert found.stack.services["a"].command == ("make", "it")
    assert "there is no shell, so `&& run it` is not part of it" in "".join(found.warnings)
