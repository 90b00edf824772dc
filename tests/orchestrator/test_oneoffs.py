"""What a service is when it is run once, and what becomes of that as the stack changes."""

import json

import pytest

from orchestrator.cli.talking import Keys, parse_keys
from orchestrator.errors import PyorchError
from orchestrator.oneoffs import RunRequest, definition, with_one_offs
from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.store import OneOff

SHOP = """
name: shop
services:
  db: {image: db}
  web:
    image: web
    command: serve
    restart: always
    ports: ["8080:80"]
    environment: {COLOUR: red}
    depends_on: {db: {condition: service_started, restart: true}}
    networks: {front: {aliases: [shopfront], ipv4_address: 10.9.0.9}}
    volumes: ["data:/data"]
    pre_start: [{command: [migrate]}]
networks: {front: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}
volumes: {data: {}}
"""


def load(tmp_path, text=SHOP):
    return load_stack(LoadRequest(files=("-",), stdin=text, cwd=tmp_path)).stack


def run_of(model, **wanted):
    request = RunRequest(service="web", **wanted)
    service = definition(model, request, "abc")
    document = json.loads(service.model_dump_json(by_alias=True))
    return OneOff(name="web-run-abc", service="web", generation=1, document=document)


def test_a_service_run_once_has_nothing_of_what_makes_it_a_service(tmp_path):
    found = definition(load(tmp_path), RunRequest(service="web"), "abc")

    assert found.container_name == "shop-web-run-abc"
    assert (found.replicas, found.restart, found.ports, found.pre_start) == (1, "", (), ())
    assert found.networks["front"].aliases == ()
    assert found.networks["front"].ipv4_address == ""
    assert not found.depends_on["db"].restart
    assert found.command == ("serve",)


def test_what_was_asked_for_takes_the_place_of_what_the_file_says(tmp_path):
    wanted = RunRequest(
        service="web",
        command=("sh",),
        entrypoint=("wrap",),
        environment={"COLOUR": "blue", "SIZE": None},
        volumes=({"type": "bind", "source": "/here", "target": "/data"},),
        service_ports=True,
        use_aliases=True,
    )

    found = definition(load(tmp_path), wanted, "abc")

    assert (found.entrypoint, found.command) == (("wrap",), ("sh",))
    assert found.environment == {"COLOUR": "blue", "SIZE": None}
    assert [one.source for one in found.volumes] == ["/here"]
    assert [port.target for port in found.ports] == [80]
    assert found.networks["front"].aliases == ("shopfront", "web")


def test_what_the_file_names_no_more_comes_from_the_generation_the_run_began_under(tmp_path):
    before = load(tmp_path)
    after = load(tmp_path, "name: shop\nservices: {db: {image: db}}\n")

    whole = with_one_offs(after, [run_of(before)], lambda number: before)

    assert set(whole.services) == {"db", "web-run-abc"}
    assert whole.networks["front"] == before.networks["front"]
    assert whole.volumes["data"] == before.volumes["data"]


def test_a_run_whose_ground_is_gone_goes_with_it(tmp_path):
    shared = SHOP.replace(
        "networks: {front: {aliases: [shopfront], ipv4_address: 10.9.0.9}}",
        "network_mode: service:db",
    )
    before = load(tmp_path, shared.replace('ports: ["8080:80"]', ""))
    after = load(tmp_path, "name: shop\nservices: {other: {image: db}}\n")

    assert with_one_offs(after, [run_of(before)], lambda number: before) == after


def test_what_makes_no_service_is_refused(tmp_path):
    wanted = RunRequest(service="web", volumes=({"type": "nonsense"},))

    with pytest.raises(PyorchError, match="volumes"):
        definition(load(tmp_path), wanted, "abc")


@pytest.mark.parametrize(
    ("typed", "passed", "left"),
    [
        ([b"a\x10b"], b"a\x10b", False),
        ([b"\x10\x11"], b"", True),
        ([b"x\x10", b"\x11y"], b"x", True),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x11\x10"], b"\x11", False),
    ],
)
def test_keys_that_leave_are_found_wherever_they_are_typed(typed, passed, left):
    keys = Keys(parse_keys("ctrl-p,ctrl-q"))
    found = [keys.take(one) for one in typed]

    assert b"".join(one for one, _ in found) == passed
    assert found[-1][1] is left


def test_a_key_nobody_has_is_refused():
    with pytest.raises(PyorchError, match="is no key"):
        parse_keys("ctrl-p,meta-x")
