"""The JSON schema for editors: it takes what the loader takes, and underlines mistakes.

Besides what is here, the fixture `load` holds every file against it that a test loads alone.
"""

import json
from pathlib import Path

import pytest

from orchestrator.cli import run as run_command
from orchestrator.spec.showing.keys import keys
from orchestrator.spec.showing.schema import schema
from tests.orchestrator.spec.examples import FULL
from tests.orchestrator.spec.schemas import mistakes
from tests.orchestrator.spec.test_corpus import CORPUS, cases

ROOT = Path(__file__).resolve().parents[4]
WRITTEN = ROOT / "docs" / "stack.schema.json"
HEAD = "services:\n  a:\n    image: i\n"


def test_what_is_written_is_what_is_generated():
    assert json.loads(WRITTEN.read_text()) == schema(), "run `make docs`"


def test_config_prints_it(capsys):
    assert run_command(["config", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_the_examples_pass():
    found = sorted(ROOT.glob("examples/stacks/*/*.yml"))

    assert found
    assert {path.name: mistakes(path.read_text()) for path in found} == {"stack.yml": []}


def test_a_file_with_every_key_passes():
    assert mistakes(FULL) == []


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no conformance corpus at {CORPUS}")
def test_every_file_passes_that_the_reference_takes_by_itself():
    looked_at, underlined = 0, {}
    for case in cases():
        texts = [
            content
            for name, content in case["files"].items()
            if name.endswith((".yml", ".yaml")) and isinstance(content, str)
        ]
        if case["expect"] == "accept" and len(texts) == 1:
            looked_at += 1
            if found := mistakes(texts[0]):
                underlined[case["id"]] = found

    assert underlined == {}
    assert looked_at > 1000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("imagee: x", "services.a"),
        ("ports: 80", "services.a.ports"),
        ("user: 1000", "services.a.user"),
        ("build: {contxt: x}", "services.a.build"),
        ("cgroup: shared", "services.a.cgroup"),
        ("security_opt: [a, a]", "services.a.security_opt"),
        ("oom_score_adj: 2000", "services.a.oom_score_adj"),
        ("volumes: [{source: x, target: /x}]", "services.a.volumes.0"),
        ("volumes: [{type: disk, target: /x}]", "services.a.volumes.0.type"),
        ("post_start: [{user: x}]", "services.a.post_start.0"),
        ("x-pyorch: {nope: 1}", "services.a.x-pyorch"),
        ("x-pyorch: {dns: some}", "services.a.x-pyorch.dns"),
        ("pull_policy: sometimes", "services.a.pull_policy"),
    ],
)
def test_a_mistake_is_underlined(text, place):
    assert [one.split(":")[0] for one in mistakes(f"{HEAD}    {text}\n")] == [place]


@pytest.mark.parametrize(
    "text",
    [
        "cgroup: '${CGROUP}'",
        "pull_policy: '${POLICY:-always}'",
        "x-pyorch: {dns: '$DNS'}",
        "oom_score_adj: '${ADJUSTED}'",
        "cap_add: [A, A]",
        "ports: !override [80]",
        "ports: !reset []",
        "x-own: {anything: [1]}",
        "depends_on: {b: {restart: true}}",
    ],
)
def test_what_only_the_loader_can_judge_is_left_to_it(text):
    assert mistakes(f"{HEAD}    {text}\n") == []


def test_every_key_is_described_with_its_fate():
    service = schema()["properties"]["services"]["patternProperties"]["^[a-zA-Z0-9._-]+$"]

    assert service["properties"]["image"]["description"] == "What it runs from."
    assert (
        "Accepted with a warning: a container"
        in service["properties"]["storage_opt"]["description"]
    )
    assert "Refused: " in service["properties"]["provider"]["description"]
    assert schema()["properties"]["version"]["deprecated"] is True
    assert [key.name for key in keys() if not key.description] == []
