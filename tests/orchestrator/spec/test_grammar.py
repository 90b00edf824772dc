"""What a stack file may hold, and what is said about everything else."""

import pytest
from pydantic import ValidationError

from orchestrator.errors import Paint
from orchestrator.spec.grammar import SERVICE, STACK
from orchestrator.spec.models import Service, StackFile
from orchestrator.spec.problems import SpecError

HEAD = "name: s\nservices:\n  a:\n    image: i\n"


def test_every_key_of_a_service_has_a_place_in_the_model():
    fields = {field.alias or name for name, field in Service.model_fields.items()}
    loading = {"extends", "pull_refresh_after"}

    assert set(SERVICE.fields) - loading == fields - {"x-pyorch", "seccomp"}
    assert len(SERVICE.fields) == 93


def test_every_key_at_the_top_has_a_place_in_the_model():
    fields = {field.alias or name for name, field in StackFile.model_fields.items()}

    assert set(STACK.fields) - {"version", "include"} == fields - {"x-pyorch", "recreate", "origin"}


@pytest.mark.parametrize(
    "document",
    [
        {"image": "i", "imagee": "j"},
        {"image": "i", "build": {"contxt": "."}},
        {"image": "i", "x-pyorch": {"nope": 1}},
    ],
)
def test_the_model_itself_refuses_keys_it_does_not_know(document):
    with pytest.raises(ValidationError):
        Service.model_validate(document)

    assert Service.model_validate({"image": "i", "x-own": 1}).model_extra == {"x-own": 1}


@pytest.mark.parametrize("model", [Service, StackFile])
def test_every_key_says_what_it_is(model):
    assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("imagee: x", "5:5: services.a.imagee: unknown key\nhint: did you mean `image`?"),
        ("Ports: []", "did you mean `ports`?"),
        ("net: host", "`network_mode`"),
        ("log_driver: x", "`logging.driver`"),
        ("log_opt: {}", "`logging.options`"),
        ("volume_driver: x", "`driver` of a volume"),
        ("dockerfile: x", "`build.dockerfile`"),
        ("replicas: 2", "`deploy.replicas`"),
        ("build: {contxt: x}", "5:13: services.a.build.contxt: unknown key"),
        ("deploy: {resources: {limit: {}}}", "did you mean `limits`?"),
        ("healthcheck: {cmd: x}", "services.a.healthcheck.cmd: unknown key"),
        ("volumes: [{type: bind, src: /x}]", "services.a.volumes.0.src: unknown key"),
        ("user: 1000", "must be a string, not `1000`\nhint: write it in quotes: '1000'"),
        ("hostname: true", "write it in quotes: 'true'"),
        ("ports: 80", "must be a list, not `80`\nhint: write [80]"),
        ("environment: x", "must be a list or a mapping, not `x`"),
        ("environment: {A: [1]}", "5:19: services.a.environment.A: must be"),
        ("environment: [{A: 1}]", "services.a.environment.0: must be a string, not a mapping"),
        ("cgroup: shared", "none of `host`, `private`"),
        ("depends_on: {b: {}}", "services.a.depends_on.b: `condition` is missing"),
        ("depends_on: {b: {condition: healthy}}", "did you mean `service_healthy`?"),
        ("cap_add: [A, A]", None),
        ("security_opt: [A, A]", "services.a.security_opt.1: `A` is listed twice"),
        ("oom_score_adj: 2000", "must be at most 1000"),
        ("container_name: ''", "does not match"),
        ("pull_policy: sometimes", "does not match"),
        ("stop_grace_period: 10", "write one like `10s` or `1m30s`"),
        ("volumes: [{type: disk, target: /x}]", "is none of `bind`, `volume`"),
        ("ulimits: {nofile: {soft: 1}}", "`hard` is missing"),
        ("ulimits: {NOFILE: 1}", None),
        ("scale: 1.5", "services.a.scale: must be an integer or a string, `1.5` is not"),
        ("x-anything: {goes: [1]}", None),
        ("build: {x-anything: 1, context: .}", None),
        ("x-pyorch: {nope: 1}", "services.a.x-pyorch.nope: unknown key"),
        ("x-pyorch: {dns: some}", "services.a.x-pyorch.dns"),
        (
            "environment: ['A =1']",
            "5:19: services.a.environment.0: the variable `A ` ends in a space",
        ),
        ("build: {args: ['A ']}", "the variable `A ` ends in a space"),
        (
            "deploy: {resources: {reservations: {devices: [{count: 1}]}}}",
            "`capabilities` or `driver` is missing",
        ),
        ("gpus: most", "is none of `all`"),
    ],
)
def test_a_key_is_what_it_should_be(load, complain, text, expected):
    if expected is None:
        assert load(f"{HEAD}    {text}\n").stack.services["a"]
    else:
        assert expected in complain(f"{HEAD}    {text}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("servces: {}", "f0.yml:1:1: servces: unknown key\nhint: did you mean `services`?"),
        ("services: [a]", "services: must be a mapping"),
        ("services: ", "services: must be a mapping"),
        ("services: {a: x}", "services.a: must be a mapping, not `x`"),
        ("services: {'a b': {image: i}}", "`a b` may not be a name here"),
        ("volumes: [a]", "volumes: must be a mapping, not a list"),
        ("secrets: {a: }", "secrets.a: must be a mapping, not nothing"),
        ("version: 3", "version: must be a string, not `3`"),
        ("models: {m: {}}", "models.m: `model` is missing"),
        ("x-pyorch: {nope: 1}", "x-pyorch.nope: unknown key"),
        ("x-other: {nope: 1}", None),
        ("volumes: {x-vol: {driver: local}}", None),
        ("networks: {'odd name': }", None),
    ],
)
def test_the_top_is_what_it_should_be(load, complain, text, expected):
    rest = "" if text.startswith("serv") else "services: {a: {image: i}}\n"
    if expected is None:
        assert load(f"{text}\n{rest}", project_name="s").stack.services["a"]
    else:
        assert expected in complain(f"{text}\n{rest}", project_name="s")


def test_an_old_version_is_said_once_and_dropped(load):
    found = load("version: '3.8'\nname: s\nservices: {a: {image: i}}\n")

    assert found.warnings == ("f0.yml: `version` is obsolete and ignored",)


def test_very_many_mistakes_are_counted(load):
    text = "name: s\nservices:\n" + "".join(f"  s{n}: {{imagee: x}}\n" for n in range(3_000))

    with pytest.raises(SpecError) as refused:
        load(text)

    assert len(refused.value.problems) == 3_000
    assert refused.value.report(Paint()).endswith("\n... and 2900 more\n")


def test_every_mistake_is_told_in_one_run_in_the_file_s_order(complain):
    said = complain(
        "name: s\nservices:\n  a:\n    imagee: x\n    networks: [frunt]\n    scale: many\n"
        "    mem_limit: lots\n    ports: ['x']\n  b: {image: i, depends_on: [cc]}\n"
        "networks: {front: }\n"
    )
    places = [line.split(":")[1] for line in said.splitlines() if line.startswith("f0")]

    assert places == ["4", "5", "6", "7", "8", "9"]
    assert "neither `image`" not in said, "a consequence of another mistake"
