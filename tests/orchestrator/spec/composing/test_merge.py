"""One stack file laid over another: every rule of merging, and of entries that stand once."""

import pytest

from orchestrator.spec.load import LoadRequest, load_document
from orchestrator.spec.tree import bare

BASE = "name: s\nservices:\n  a:\n    image: i\n"


def service(*bodies):
    """Return one file a body, each with the service `a`."""
    return [f"name: s\nservices: {{a: {body}}}\n" for body in bodies]


@pytest.fixture
def merged(write):
    """Merge files and return the canonical service `a`, with nothing settled in it."""

    def merged(*bodies):
        files = {f"f{number}.yml": text for number, text in enumerate(service(*bodies))}
        directory = write(files)
        request = LoadRequest(files=tuple(files), cwd=directory, normalize=False)
        return bare(load_document(request).tree)["services"]["a"]

    return merged


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        # Mappings merge, lists grow, scalars are replaced, nothing keeps what is there.
        ("{image: x, user: u}", "{image: y}", {"image": "y", "user": "u"}),
        ("{security_opt: [a]}", "{security_opt: [b]}", {"security_opt": ["a", "b"]}),
        ("{logging: {driver: x, options: {a: b}}}", "{logging: }", None),
        ("{image: x}", "{image: }", {"image": "x"}),
        # Replaced, never appended to.
        ("{command: [a, b]}", "{command: [c]}", {"command": ["c"]}),
        ("{command: [a, b]}", "{command: }", {"command": None}),
        ("{entrypoint: a}", "{entrypoint: [b]}", {"entrypoint": ["b"]}),
        (
            "{healthcheck: {test: a, retries: 1}}",
            "{healthcheck: {test: [NONE]}}",
            {"healthcheck": {"test": ["NONE"], "retries": 1}},
        ),
        ("{ulimits: {n: {soft: 1, hard: 2}}}", "{ulimits: {n: 3}}", {"ulimits": {"n": 3}}),
        # Either form of a mapping of texts, made a list in order.
        (
            "{environment: {B: 1, A: 2}}",
            "{environment: [C=3, A=9]}",
            {"environment": ["A=9", "B=1", "C=3"]},
        ),
        ("{labels: {a: 1.0}}", "{labels: {b: true}}", {"labels": ["a=1", "b=true"]}),
        ("{environment: [A]}", "{environment: {A: }}", {"environment": ["A"]}),
        ("{sysctls: {a: 1}}", "{sysctls: [b=2]}", {"sysctls": ["a=1", "b=2"]}),
        ("{annotations: {a: 1}}", "{annotations: {a: 2}}", {"annotations": ["a=2"]}),
        # A single text and a list.
        ("{dns: 1.1.1.1}", "{dns: [8.8.8.8, 1.1.1.1]}", {"dns": ["1.1.1.1", "8.8.8.8"]}),
        ("{tmpfs: /a}", "{tmpfs: /b}", {"tmpfs": ["/a", "/b"]}),
        (
            "{env_file: a.env}",
            "{env_file: [{path: b.env, required: false}, a.env]}",
            {
                "env_file": [
                    {"path": "@/a.env", "required": True},
                    {"path": "@/b.env", "required": False},
                ]
            },
        ),
        # Short and long forms.
        (
            "{depends_on: [x]}",
            "{depends_on: {y: {condition: service_healthy}}}",
            {
                "depends_on": {
                    "x": {"condition": "service_started", "required": True},
                    "y": {"condition": "service_healthy", "required": True},
                }
            },
        ),
        (
            "{networks: [x]}",
            "{networks: {x: {aliases: [b]}, y: }}",
            {"networks": {"x": {"aliases": ["b"]}, "y": None}},
        ),
        ("{models: [x]}", "{models: {y: }}", {"models": {"x": None, "y": None}}),
        (
            "{build: here}",
            "{build: {target: t}}",
            {"build": {"context": "@/here", "target": "t"}},
        ),
        (
            "{build: {args: {A: 1}}}",
            "{build: {args: [A=2, B=3]}}",
            {"build": {"args": ["A=2", "B=3"], "context": "@"}},
        ),
        # Several addresses of one host are several.
        (
            "{extra_hosts: {h: 1.1.1.1}}",
            "{extra_hosts: ['h=1.1.1.1', 'h=2.2.2.2']}",
            {"extra_hosts": ["h=1.1.1.1", "h=2.2.2.2"]},
        ),
        # Options of logging belong to a driver.
        (
            "{logging: {driver: x, options: {a: 1}}}",
            "{logging: {options: {b: 2}}}",
            {"logging": {"driver": "x", "options": {"a": 1, "b": 2}}},
        ),
        (
            "{logging: {driver: x, options: {a: 1}}}",
            "{logging: {driver: y}}",
            {"logging": {"driver": "y"}},
        ),
    ],
)
def test_a_file_is_laid_over_another(merged, tmp_path, base, over, expected):
    if expected is None:
        expected = {"logging": {"driver": "x", "options": {"a": "b"}}}

    def placed(value):
        if isinstance(value, str):
            return value.replace("@", str(tmp_path))
        if isinstance(value, dict):
            return {key: placed(one) for key, one in value.items()}
        return [placed(one) for one in value] if isinstance(value, list) else value

    assert merged(base, over) == placed(expected)


@pytest.mark.parametrize(
    ("key", "base", "over", "expected"),
    [
        ("volumes", "['one:/d']", "['two:/d:ro', 'more:/e']", ["two", "more"]),
        ("devices", "['/dev/a:/dev/x']", "['/dev/b:/dev/x']", ["/dev/b"]),
        ("secrets", "[a]", "[{source: b, target: /run/secrets/a}]", ["b"]),
        ("configs", "[a]", "[{source: b, target: /a}, a]", ["a"]),
        ("ports", "['8080:80']", "['8080:80', '9090:80']", ["8080", "9090"]),
        ("ports", "['127.0.0.1:1:80']", "['1:80']", ["1", "1"]),
        ("ports", "['1-2:80-81']", "[{target: 81, published: 2}]", ["1", 2]),
        ("ports", "['1:80/tcp']", "['1:80/udp']", ["1", "1"]),
        ("expose", "['80']", "[80, '81']", [80, "81"]),
        ("cap_add", "[A]", "[B, A]", ["A", "B"]),
        ("profiles", "[a]", "[a, b]", ["a", "b"]),
        ("links", "['a:x']", "['a:x', b]", ["a:x", "b"]),
        ("group_add", "[a]", "[b]", ["a", "b"]),
        ("devices", "['/dev/a']", "[{source: /dev/b, target: /dev/a}]", ["/dev/b"]),
    ],
)
def test_a_later_entry_takes_the_place_of_an_earlier_one(merged, key, base, over, expected):
    found = merged(f"{{{key}: {base}}}", f"{{{key}: {over}}}")[key]
    told = {"ports": "published"}.get(key, "source")

    assert [one[told] if isinstance(one, dict) else one for one in found] == expected


def test_a_list_without_such_a_rule_may_not_repeat_itself(complain):
    said = complain(*service("{image: i, security_opt: [a]}", "{security_opt: [a]}"))

    assert "f1.yml:2:31: services.a.security_opt.1: `a` is listed twice" in said


def test_pools_of_addresses_merge_by_their_subnet(load):
    found = load(
        BASE + "    networks: [n]\nnetworks: {n: {ipam: {config: [{subnet: 10.1.0.0/16}]}}}\n",
        "networks: {n: {ipam: {config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.9},"
        " {subnet: 10.2.0.0/16}]}}}\n",
    )
    pools = found.stack.networks["n"].ipam.config

    assert [(one.subnet, one.gateway) for one in pools] == [
        ("10.1.0.0/16", "10.1.0.9"),
        ("10.2.0.0/16", ""),
    ]


def test_resources_merge_as_services_do(load):
    found = load(
        BASE + "    volumes: ['vol:/v']\nvolumes: {vol: {labels: {a: 1}}}\nx-top: {a: [1]}\n",
        "volumes: {vol: {labels: [b=2]}}\nx-top: {a: [2]}\n",
    )

    assert found.stack.volumes["vol"].labels == {"a": "1", "b": "2"}
    assert found.stack.model_extra == {"x-top": {"a": [1, 2]}}


@pytest.mark.parametrize(
    ("base", "over"),
    [("{logging: {driver: x}}", "{healthcheck: 5, logging: {driver: y}}")],
)
def test_what_is_of_another_kind_is_told_where_it_stands(complain, base, over):
    assert "f1.yml:2:" in complain(*service(base, over))


def test_kinds_that_do_not_go_together_name_the_way_out(complain):
    said = complain(
        *service("{image: i, healthcheck: {test: a}}", "{healthcheck: [a]}"),
    )

    assert "f1.yml:2:" in said
    assert "services.a.healthcheck: only a mapping can be laid over a mapping" in said
    assert "`!override`" in said


def test_documents_of_one_file_are_merged_in_order(load):
    text = BASE + "---\nservices: {a: {image: j}, b: {image: k}}\n"

    found = load(text).stack.services

    assert (found["a"].image, found["b"].image) == ("j", "k")
