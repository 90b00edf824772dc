"""Short forms written out, texts read as what they stand for, and what is implied."""

import pytest

from orchestrator.spec.models import StackFile

HEAD = "name: s\nservices:\n  a:\n    image: i\n"
REST = "networks: {net: , default: }\nvolumes: {vol: }\nconfigs: {c: {content: x}}\n" + (
    "secrets: {sec: {environment: X}}\nmodels: {m: {model: ai}}\n"
)


@pytest.fixture
def service(load):
    """Load the service `a` with one more key, as it is written in JSON."""

    def service(text, **more):
        found = load(f"{HEAD}    {text}\n{REST}", **more).stack
        document = found.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        assert StackFile.model_validate(document) == found
        return document["services"]["a"]

    return service


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Texts and numbers.
        ("mem_limit: 64m", "67108864"),
        ("mem_limit: 1.5g", "1610612736"),
        ("memswap_limit: -1", "-1"),
        ("shm_size: 1024", "1024"),
        ("cpus: '0.5'", 0.5),
        ("scale: '2'", 2),
        ("pids_limit: '7'", 7),
        ("oom_score_adj: -5", -5),
        ("privileged: 'yes'", True),
        ("init: 'false'", False),
        ("stop_grace_period: 1m30s", "1m30s"),
        ("stop_grace_period: 1d", "24h0m0s"),
        ("expose: [80, '81']", ["80", "81"]),
        ("group_add: [7, mail]", ["7", "mail"]),
        # Commands.
        ("command: run 'a b' \"c\"", ["run", "a b", "c"]),
        ("command: []", []),
        ("command: ''", []),
        ("command: [a, 'b c']", ["a", "b c"]),
        ("entrypoint: sh -c", ["sh", "-c"]),
        # Mappings of texts, in either form.
        ("environment: {A: 1, B: true, C: , D: 1.50}",
            {"A": "1", "B": "true", "C": None, "D": "1.5"}),
        ("environment: [A=1, B, C=]", {"A": "1", "B": None, "C": ""}),
        ("labels: [a, b=c=d]", {"a": "", "b": "c=d"}),
        ("annotations: {a: }", {"a": ""}),
        ("sysctls: {net.core.somaxconn: 1024}", {"net.core.somaxconn": "1024"}),
        ("storage_opt: {size: 1G}", {"size": "1G"}),
        ("logging: {driver: x, options: {max-file: 3}}",
            {"driver": "x", "options": {"max-file": "3"}}),
        # One or several.
        ("dns: 1.1.1.1", ["1.1.1.1"]),
        ("dns: ['', 1.1.1.1]", ["1.1.1.1"]),
        ("dns_search: a.b", ["a.b"]),
        ("tmpfs: /run:size=1m", ["/run:size=1m"]),
        ("extra_hosts: ['b:1.1.1.1', 'a=[::1]', 'c=2.2.2.2,3.3.3.3']",
            ["a=::1", "b=1.1.1.1", "c=2.2.2.2", "c=3.3.3.3"]),
        ("extra_hosts: {a: 1.1.1.1, b: [2.2.2.2, 3.3.3.3]}",
            ["a=1.1.1.1", "b=2.2.2.2", "b=3.3.3.3"]),
        # Long forms.
        ("ports: [80]", [{"mode": "ingress", "target": 80, "protocol": "tcp"}]),
        ("ports: [{target: '80', published: 8080}]",
            [{"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"}]),
        ("volumes: ['vol:/d/../e/']", [{"type": "volume", "source": "vol", "target": "/e"}]),
        ("volumes: ['./x:/e:ro']",
            [{"type": "bind", "source": "@/x", "target": "/e", "read_only": True}]),
        ("volumes: [{type: bind, source: ./x, target: /e, bind: {create_host_path: false}}]",
            [{"type": "bind", "source": "@/x", "target": "/e",
                "bind": {"create_host_path": False}}]),
        ("volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1k, mode: 1770}}]",
            [{"type": "tmpfs", "target": "/t", "tmpfs": {"size": "1024", "mode": 1770}}]),
        ("volumes: [{type: image, source: i, target: /t, image: {subpath: x}}]",
            [{"type": "image", "source": "i", "target": "/t", "image": {"subpath": "x"}}]),
        ("configs: [c]", [{"source": "c"}]),
        ("configs: [{source: c, target: /x, uid: '1', mode: '0440'}]",
            [{"source": "c", "target": "/x", "uid": "1", "mode": "0440"}]),
        ("secrets: [{source: sec, mode: 0400}]",
            [{"source": "sec", "target": "/run/secrets/sec", "mode": "0400"}]),
        ("devices: ['/dev/a:/dev/b:r']",
            [{"source": "/dev/a", "target": "/dev/b", "permissions": "r"}]),
        ("networks: [net]", {"net": {}}),
        ("networks: {net: {aliases: [x], priority: 5}}",
            {"net": {"aliases": ["x"], "priority": 5}}),
        ("models: [m]", {"m": {}}),
        ("models: {m: {endpoint_var: U}}", {"m": {"endpoint_var": "U"}}),
        ("ulimits: {nofile: 5, nproc: {soft: 1, hard: '2'}}",
            {"nofile": 5, "nproc": {"soft": 1, "hard": 2}}),
        ("gpus: all", [{"count": -1}]),
        ("gpus: [{driver: x, device_ids: ['0']}]", [{"driver": "x", "device_ids": ["0"]}]),
        ("healthcheck: {test: curl x, interval: 90s}",
            {"test": ["CMD-SHELL", "curl x"], "interval": "1m30s"}),
        ("healthcheck: {test: [CMD, a], retries: '3', disable: 'no'}",
            {"test": ["CMD", "a"], "retries": 3}),
        ("env_file: [{path: no.env, required: false}]", None),
        ("pull_policy: if_not_present", "missing"),
        ("post_start: [{command: a b, environment: [X=1]}]",
            [{"command": ["a", "b"], "environment": {"X": "1"}}]),
        ("pre_start: [{command: [a]}]", [{"command": ["a"], "image": "i"}]),
        ("develop: {watch: [{path: ./src, action: sync, target: /x, ignore: node_modules}]}",
            {"watch": [{"path": "@/src", "action": "sync", "target": "/x",
                "ignore": ["node_modules"]}]}),
        ("provider: {type: p, options: {a: 1, b: [x, true]}}",
            {"type": "p", "options": {"a": ["1"], "b": ["x", "true"]}}),
        ("blkio_config: {weight: 300, device_read_bps: [{path: /dev/a, rate: 1m}]}",
            {"weight": 300, "device_read_bps": [{"path": "/dev/a", "rate": "1048576"}]}),
        ("deploy: {replicas: '2', resources: {limits: {cpus: '0.5', memory: 1m}}}",
            {"replicas": 2, "resources": {"limits": {"cpus": 0.5, "memory": "1048576"}}}),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
            {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": -1}]}}}),
        ("deploy: {restart_policy: {condition: any, delay: 5s, max_attempts: 3}}",
            {"restart_policy": {"condition": "any", "delay": "5s", "max_attempts": 3}}),
        # Building.
        ("build: .", {"context": "@", "dockerfile": "Dockerfile"}),
        ("build: {dockerfile_inline: FROM x}", {"context": "@", "dockerfile_inline": "FROM x"}),
        ("build: {context: 'https://x/y.git', args: [A=1], ssh: [default, k=key]}",
            {"context": "https://x/y.git", "dockerfile": "Dockerfile", "args": {"A": "1"},
                "ssh": ["default", "k=@/key"]}),
        ("build: {additional_contexts: [a=../x, 'b=docker-image://i']}",
            {"context": "@", "dockerfile": "Dockerfile",
                "additional_contexts": {"a": "@/../x", "b": "docker-image://i"}}),
        ("build: {secrets: [sec], provenance: true, no_cache: 'on'}",
            {"context": "@", "dockerfile": "Dockerfile", "secrets": [{"source": "sec"}],
                "provenance": "true", "no_cache": True}),
        # What sharing something implies.
        ("x-pyorch: {dns: all}", {"dns": "all"}),
    ],
)  # fmt: skip
def test_every_form_comes_to_one(service, tmp_path, text, expected):
    def placed(value):
        if isinstance(value, str):
            return value.replace("@/..", str(tmp_path.parent)).replace("@", str(tmp_path))
        if isinstance(value, dict):
            return {key: placed(one) for key, one in value.items()}
        return [placed(one) for one in value] if isinstance(value, list) else value

    found = service(text)

    assert found.get(text.partition(":")[0]) == placed(expected)


@pytest.mark.parametrize(
    ("text", "restart"),
    [
        ("links: ['b:alias']", True),
        ("links: [b]", True),
        ("network_mode: 'service:b'", True),
        ("ipc: 'service:b'", True),
        ("pid: 'service:b'", True),
        ("volumes_from: ['b:ro']", False),
    ],
)
def test_sharing_something_implies_a_dependency(load, text, restart):
    found = load(f"{HEAD}    {text}\n  b: {{image: i}}\n").stack.services["a"].depends_on

    assert {n: (d.condition, d.restart, d.required) for n, d in found.items()} == {
        "b": ("service_started", restart, True)
    }


def test_what_a_container_shares_implies_nothing(load):
    found = load(HEAD + "    volumes_from: ['container:x']\n").stack.services["a"]

    assert found.depends_on == {}


def test_networks_volumes_and_files_are_named_after_the_stack(load):
    found = load(
        HEAD + "    networks: [one, two, three]\n    volumes: ['vol:/v', 'ext:/e']\n"
        "networks: {one: , two: {name: mine}, three: {external: true}}\n"
        "volumes: {vol: {}, ext: {external: {name: theirs}}}\n"
    )
    names = {key: one.name for key, one in found.stack.networks.items()}

    assert names == {"one": "s_one", "two": "mine", "three": "three"}
    assert {key: one.name for key, one in found.stack.volumes.items()} == {
        "vol": "s_vol",
        "ext": "theirs",
    }
    assert "`external.name` is called `name` today" in "".join(found.warnings)


def test_the_default_network_is_there_where_it_is_used(load):
    alone = "name: s\nservices: {a: {image: i, network_mode: host}}\nnetworks: {default: }\n"

    assert "default" in load(HEAD).stack.networks
    assert "default" in load(HEAD + "    networks: {}\n").stack.networks
    assert load(alone).stack.networks == {}


def test_what_no_service_uses_is_left_out(load):
    found = load(HEAD + REST).stack

    assert (found.volumes, found.configs, found.secrets, found.models) == ({}, {}, {}, {})


def test_options_of_a_volume_that_mean_nothing_are_told(load):
    found = load(HEAD + "    volumes: ['/x:/y:ro,fast,cached']\n")

    assert found.stack.services["a"].volumes[0].read_only
    assert found.warnings == (
        "f0.yml:5:15: services.a.volumes.0: option `fast` means nothing and is ignored",
    )


@pytest.mark.parametrize("variable", [None, "/home/me"])
def test_a_home_is_put_where_it_is_known(load, tmp_path, variable):
    environ = {"HOME": variable} if variable else {}

    found = load(HEAD + "    volumes: ['~/x:/y']\n", environ=environ).stack.services["a"]

    assert found.volumes[0].source == (f"{variable}/x" if variable else f"{tmp_path}/~/x")


def test_paths_can_be_left_alone(load):
    text = HEAD + "    volumes: ['./x:/y']\n    build: ./b\n    env_file: e.env\n"

    found = load(text, resolve_paths=False, resolve_env=False).stack.services["a"]

    assert (found.volumes[0].source, found.build.context) == ("./x", "./b")
    assert found.env_file[0].path == "e.env"


def test_a_device_of_a_volume_is_a_path_where_it_is_bound(load, tmp_path):
    options = "{o: bind, type: none, device: ./d}"
    volume = f"{{driver: local, driver_opts: {options}}}"
    text = f"{HEAD}    volumes: ['vol:/v']\nvolumes: {{vol: {volume}}}\n"

    found = load(text).stack.volumes["vol"]

    assert found.driver_opts["device"] == f"{tmp_path}/d"


def test_what_is_watched_is_where_links_lead(load, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    text = HEAD + "    develop: {watch: [{path: ./link, action: rebuild}]}\n"

    found = load(text).stack.services["a"].develop

    assert found.watch[0].path == f"{tmp_path}/real"
