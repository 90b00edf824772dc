"""Stack files that are artifacts of a registry, as the reference publishes them."""

import hashlib
import json
import urllib.request

import pytest

from orchestrator.remote.oci import EMPTY_CONFIG, ENV_FILE, PROJECT, STACK_FILE
from orchestrator.spec.problems import SpecError
from runtime.image.manifest import OCI_INDEX, OCI_MANIFEST

STACK = "services: {web: {image: 'web:1', env_file: [ab12.env]}}\n"


class Publisher:
    """Pushes artifacts the way the distribution specification says."""

    def __init__(self, address, repository="team/shop"):
        self.address = address
        self.base = f"http://{address}/v2/{repository}"
        self.reference = f"oci://{address}/{repository}"

    def put(self, url, data, kind):
        request = urllib.request.Request(url, data, {"Content-Type": kind}, method="PUT")
        urllib.request.urlopen(request).close()

    def blob(self, content, kind, **notes):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begin = urllib.request.Request(f"{self.base}/blobs/uploads/", b"", method="POST")
        with urllib.request.urlopen(begin) as answer:
            place = answer.headers["Location"]
        join = "&" if "?" in place else "?"
        self.put(f"{place}{join}digest={digest}", content, "application/octet-stream")
        notes = {f"com.docker.compose.{key}": value for key, value in notes.items()}
        found = {"mediaType": kind, "digest": digest, "size": len(content)}
        return {**found, "annotations": notes} if notes else found

    def manifest(self, tag, document, kind=OCI_MANIFEST):
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, **document}).encode()
        self.put(f"{self.base}/manifests/{tag}", data, kind)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def publish(
        self, *layers, tag="latest", kind=PROJECT, config="application/vnd.oci.empty.v1+json"
    ):
        pushed = [self.blob(text.encode(), media, **notes) for text, media, notes in layers]
        document = {"config": self.blob(b"{}", config), "layers": pushed}
        return self.manifest(tag, {"artifactType": kind, **document} if kind else document)


@pytest.fixture
def publisher(registry):
    """Return means to publish to a registry on this machine."""
    return Publisher(registry)


def stack(text=STACK, **notes):
    return text, STACK_FILE, {"file": "compose.yaml", "version": "v5", **notes}


def variables(name="ab12.env", text="A=far\n"):
    return text, ENV_FILE, {"envfile": name}


def refused(call, *words, **more):
    with pytest.raises(SpecError) as said:
        call(*words, **more)
    return f"{said.value}\nhint: {said.value.hint}"


def test_a_stack_file_may_be_an_artifact(load, publisher):
    publisher.publish(stack(), variables(), tag="1.0")

    loaded = load(f"{publisher.reference}:1.0")

    assert loaded.stack.name == "shop"
    assert loaded.stack.services["web"].image == "web:1"
    assert loaded.stack.services["web"].environment == {"A": "far"}


def test_an_artifact_may_be_included_and_extended(load, publisher):
    publisher.publish(stack(), variables())

    included = load(text=f"name: x\ninclude: ['{publisher.reference}']\n")
    extends = f"{{service: web, file: '{publisher.reference}:latest'}}"
    extended = load(text=f"services: {{mine: {{extends: {extends}}}}}")

    assert included.stack.services["web"].environment == {"A": "far"}
    assert extended.stack.services["mine"].environment == {"A": "far"}


def test_overrides_of_an_artifact_are_laid_over_its_first_file(load, publisher):
    over = "services: {web: {image: 'web:2'}}"
    publisher.publish(stack(), (over, STACK_FILE, {"file": "over.yaml"}), variables())

    assert load(publisher.reference).stack.services["web"].image == "web:2"


def test_a_file_that_another_one_extends_comes_along(load, publisher):
    main = "services: {web: {extends: {file: f8f9, service: base}}}"
    base = ("services: {base: {image: base}}", STACK_FILE, {"file": "f8f9", "extends": "true"})
    publisher.publish(stack(main), base)

    assert load(publisher.reference).stack.services["web"].image == "base"


def test_artifacts_for_old_registries_and_in_an_index_are_known(load, publisher):
    publisher.publish(stack(), variables(), tag="old", kind="", config=EMPTY_CONFIG)
    part = publisher.publish(stack(), variables(), tag="part")
    entry = {**part, "artifactType": PROJECT}
    publisher.manifest("index", {"manifests": [entry]}, kind=OCI_INDEX)

    for tag in ("old", "index"):
        assert load(f"{publisher.reference}:{tag}").stack.services["web"].image == "web:1"


def test_a_tag_that_went_on_is_fetched_again_and_a_digest_never_changes(load, publisher):
    first = publisher.publish(stack("services: {a: {image: '1'}}"))
    load(publisher.reference)
    publisher.publish(stack("services: {a: {image: '2'}}"))

    assert load(publisher.reference).stack.services["a"].image == "2"
    fixed = f"{publisher.reference}@{first['digest']}"
    assert load(fixed).stack.services["a"].image == "1"


@pytest.mark.parametrize(
    "name", ["../x.env", "a/b", "..", "", ".env", "compose.yaml", "a\0b", "x" * 300]
)
def test_a_name_that_leaves_the_folder_is_refused(load, publisher, tmp_path, name):
    publisher.publish(stack(), variables(name))

    said = refused(load, publisher.reference)

    assert "is no name a file of an artifact may have" in said
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert kept == []


def test_what_is_no_stack_is_told(load, publisher):
    publisher.publish(
        stack(), tag="image", kind="", config="application/vnd.oci.image.config.v1+json"
    )
    publisher.publish(stack(), tag="other", kind="application/vnd.example")
    publisher.publish(variables(), tag="empty")

    assert "it is an image" in refused(load, f"{publisher.reference}:image")
    assert "it is `application/vnd.example`" in refused(load, f"{publisher.reference}:other")
    assert "none of its layers is one" in refused(load, f"{publisher.reference}:empty")
    assert "cannot be fetched" in refused(load, f"{publisher.reference}:gone")


def test_a_registry_that_is_not_there_is_told(load, free_port):
    said = refused(load, text=f"include:\n  - oci://Bad:{free_port}/x\n")
    assert said.startswith("compose.yaml:2:5: include: ")


def test_the_switch_of_the_reference_turns_it_off(load, environ):
    environ["COMPOSE_EXPERIMENTAL_OCI_REMOTE"] = "0"

    assert "`COMPOSE_EXPERIMENTAL_OCI_REMOTE` says" in refused(load, "oci://127.0.0.1:1/x")
