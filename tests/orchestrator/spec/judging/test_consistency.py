"""What does not fit together, though every value is all right by itself."""

import pytest

from orchestrator.spec.judging.consistency import check_settled, find_circle
from orchestrator.spec.problems import SpecError

HEAD = "name: s\nservices:\n"
REST = "networks: {front: }\nvolumes: {data: }\nconfigs: {conf: {content: x}}\n"


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ("a: {}", "neither `image` nor `build`"),
        ("a: {provider: {type: x}}", None),
        ("a: {build: {context: ., dockerfile: x, dockerfile_inline: y}}", "exclude each other"),
        ("a: {build: {additional_contexts: {x: 'service:b'}}}", "unknown service `b`"),
        (
            "a: {build: {additional_contexts: {x: 'service:b'}}}\n  b: {image: i}",
            "service `b` is not built",
        ),
        ("a: {build: {platforms: [x]}, platform: y}", "not among `build.platforms`"),
        ("a: {image: i, network_mode: host, networks: [front]}", "exclude each other"),
        ("a: {image: i, networks: [frontt]}", "did you mean `front`?"),
        ("a: {image: i, volumes: ['dat:/d']}", "did you mean `data`?"),
        ("a: {image: i, configs: [x]}", "undeclared config `x`"),
        ("a: {image: i, secrets: [x]}", "undeclared secret `x`"),
        ("a: {build: {secrets: [x]}}", "undeclared secret `x`"),
        ("a: {image: i, models: [x]}", "undeclared model `x`"),
        ("a: {image: i, depends_on: [web]}\n  wep: {image: i}", "did you mean `wep`?"),
        ("a: {image: i, links: [b]}", "unknown service `b`"),
        ("a: {image: i, network_mode: 'service:b'}", "unknown service `b`"),
        ("a: {image: i, depends_on: [b]}\n  b: {image: i, profiles: [p]}", "no active profile"),
        (
            "a: {image: i, depends_on: {b: {condition: service_started, required: false}}}\n"
            "  b: {image: i, profiles: [p]}",
            None,
        ),
        ("a: {image: i, depends_on: [b]}\n  b: {image: i, depends_on: [a]}", "a -> b -> a"),
        ("a: {image: i, depends_on: [a]}", "a -> a"),
        ("a: {image: i, healthcheck: {test: [curl, x]}}", "begins with `CMD`"),
        ("a: {image: i, scale: 2, deploy: {replicas: 3}}", "`scale` and `deploy.replicas`"),
        ("a: {image: i, scale: 2, deploy: {replicas: 2}}", None),
        ("a: {image: i, scale: -1}", "fewer than no replicas"),
        (
            "a: {image: i, cpus: 1, deploy: {resources: {limits: {cpus: '2'}}}}",
            "`cpus` and `deploy.resources.limits.cpus` differ",
        ),
        ("a: {image: i, mem_limit: 1m, deploy: {resources: {limits: {memory: 2m}}}}", "differ"),
        ("a: {image: i, pids_limit: 1, deploy: {resources: {limits: {pids: 2}}}}", "differ"),
        (
            "a: {image: i, mem_reservation: 1m, deploy: {resources: {reservations: {memory: 2m}}}}",
            "differ",
        ),
        ("a: {image: i, scale: 2, container_name: xx}", "forbids more than one replica"),
        (
            "a: {image: i, container_name: xx}\n  b: {image: i, container_name: xx}",
            "`xx` is the name of `a`",
        ),
        (
            "a: {image: i, develop: {watch: [{path: ., action: sync}]}}",
            "`target` is needed for `sync`",
        ),
        ("a: {image: i, develop: {watch: [{path: '', action: rebuild}]}}", "may not be blank"),
        ("a: {image: i, tmpfs: [/d, '/d:size=1m']}", "`/d` is mounted already"),
        ("a: {image: i, volumes: ['data:/d'], tmpfs: /d}", "mounted already, by `volumes.0`"),
        ("a: {image: i, volumes: [{type: bind, target: /d}]}", "`source` is needed"),
        ("a: {image: i, ports: [{target: 80, host_ip: localhost}]}", "is no IP address"),
        ("a: {image: i, ports: [{published: 80}]}", "services.a.ports.0: `target` is missing"),
        ("a: {image: i, volumes: [{type: tmpfs}]}", "services.a.volumes.0: `target` is missing"),
        ("a: {image: i, gpus: [{count: 1, device_ids: ['0']}]}", "exclude each other"),
    ],
)
def test_what_does_not_fit_together_is_told(load, complain, services, expected):
    text = f"{HEAD}  {services}\n{REST}"
    if expected is None:
        assert load(text).stack.services
    else:
        said = complain(text)
        assert expected in said
        assert "f0.yml:" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("secrets: {x: {}}", "one of `file`, `environment` is needed"),
        ("secrets: {x: {file: a, environment: b}}", "only one of"),
        ("secrets: {x: {driver: vault}}", "one of `file`, `environment` is needed"),
        ("secrets: {x: {external: true}}", None),
        ("configs: {x: {labels: {a: b}}}", "one of `file`, `environment`, `content` is needed"),
        ("configs: {x: {content: a, file: b}}", "only one of"),
        ("volumes: {x: {external: true, driver: local}}", "exclude each other"),
        ("volumes: {x: {external: true, name: y}}", None),
        ("volumes: {x: {external: false, driver: local}}", None),
        ("networks: {x: {external: true, driver: bridge}}", None),
        ("networks: {x: {name: a, external: {name: b}}}", "differ"),
    ],
)
def test_resources_say_where_they_come_from(load, complain, text, expected):
    text = f"{HEAD}  a: {{image: i}}\n{text}\n"
    if expected is None:
        assert load(text).stack.services
    else:
        assert expected in complain(text)


def test_contradictions_can_be_left_alone(load):
    text = HEAD + "  a: {depends_on: [b], networks: [nowhere]}\n"

    assert load(text, check_consistency=False).stack.services["a"].depends_on["b"]


def test_a_stack_that_was_settled_elsewhere_is_checked_again(load):
    text = HEAD + "  a: {image: i, networks: [nowhere], restart: maybe}\n"
    stack = load(text, check_consistency=False).stack

    with pytest.raises(SpecError) as refused:
        check_settled(stack)

    said = str(refused.value)
    assert "s: services.a.networks: undeclared network `nowhere`" in said
    assert "s: services.a.restart: `maybe` is no restart policy" in said


def test_f39_a_circle_among_very_many_services_is_found():
    chain = {f"s{n:05}": (f"s{n + 1:05}",) for n in range(20_000)}

    assert find_circle(chain) == ()
    assert find_circle({**chain, "s20000": ("s19999",)}) == ("s19999", "s20000", "s19999")
