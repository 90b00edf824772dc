"""Images come from archives, layouts, root filesystems and a real registry."""

import json
import shutil
import subprocess
import tarfile

import pytest

from tests.images import write_layout
from tests.registry import make_certificate, serve_registry

pytestmark = pytest.mark.root


@pytest.fixture
def layout(tmp_path, busybox):
    """An OCI layout of the tiny image."""
    return write_layout(tmp_path / "layout", busybox.read_bytes())


STACK = "name: x\nservices: {{a: {{image: '{}', stop_grace_period: 0s}}}}\n"


def colour(pyorch, image):
    pyorch.write(STACK.format(image))
    pyorch.run("up", "-d", "--wait")
    return pyorch.run("-p", "x", "exec", "-T", "a", "sh", "-c", "echo $COLOUR").strip()


def test_an_oci_layout_runs_with_its_own_command_and_environment(bare, layout):
    bare.run("image", "load", str(layout), "--name", "tiny")

    assert colour(bare, "tiny") == "green"


def test_an_oci_archive_runs(bare, layout):
    with tarfile.open(bare.work / "tiny.tar", "w") as archive:
        archive.add(layout, arcname=".")

    bare.run("image", "load", "tiny.tar", "--name", "tiny")

    assert colour(bare, "tiny") == "green"


def test_a_docker_archive_runs(bare, layout):
    archive = bare.work / "docker.tar"
    subprocess.run(
        ["skopeo", "copy", "-q", f"oci:{layout}", f"docker-archive:{archive}:tiny:1"], check=True
    )

    bare.run("image", "load", "docker.tar")

    assert colour(bare, "tiny:1") == "green"


def test_a_directory_is_imported(bare, busybox, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "-xf", busybox, "-C", root], check=True)

    bare.run("image", "import", str(root), "tiny", "--env", "COLOUR=red", "--cmd", "sleep 99")

    assert colour(bare, "tiny") == "red"


def test_m12_a_changed_byte_is_found_by_its_digest(bare, layout):
    biggest = max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(biggest.read_bytes())
    data[5000] ^= 1
    biggest.write_bytes(data)

    done = bare.try_("image", "load", str(layout), "--name", "tiny")

    assert done.code == 1
    assert "digest" in done.err
    assert bare.run("image", "ls", "-q") == ""


@pytest.fixture
def tls_registry(tmp_path, free_port):
    """The address of a registry that speaks TLS only, and its certificate."""
    certificate, key = make_certificate(tmp_path)
    tls = f", tls: {{certificate: {certificate}, key: {key}}}"
    with serve_registry(tmp_path, free_port, tls) as address:
        yield address, certificate


def push(layout, reference):
    # A registry that is still starting refuses: skopeo asks again.
    flags = ["-q", "--retry-times", "5", "--dest-tls-verify=false"]
    subprocess.run(["skopeo", "copy", *flags, f"oci:{layout}", f"docker://{reference}"], check=True)


@pytest.mark.attribute("services.*.image")
def test_a_missing_image_is_pulled_by_up(bare, layout, registry):
    push(layout, f"{registry}/tiny:1")

    assert colour(bare, f"{registry}/tiny:1") == "green"


def test_an_image_that_is_nowhere_is_one_sentence(bare, layout, registry):
    push(layout, f"{registry}/tiny:1")

    done = bare.try_("image", "pull", f"{registry}/other:1")

    assert done.code == 1
    assert f"{registry}/other:1" in done.err
    assert "Traceback" not in done.err


def test_m12_a_registry_that_lies_about_a_layer_is_found_out(bare, layout, registry, tmp_path):
    push(layout, f"{registry}/tiny:1")
    stored = sorted(tmp_path.glob("registry/docker/registry/v2/blobs/sha256/*/*/data"))
    biggest = max(stored, key=lambda path: path.stat().st_size)
    data = bytearray(biggest.read_bytes())
    data[5000] ^= 1
    biggest.write_bytes(data)

    done = bare.try_("image", "pull", f"{registry}/tiny:1")

    assert done.code == 1
    assert "digest" in done.err
    assert bare.run("image", "ls", "-q") == ""


def test_a_removed_image_is_gone(bare, layout):
    bare.run("image", "load", str(layout), "--name", "tiny")
    bare.run("image", "rm", "tiny")

    assert bare.run("image", "ls", "-q") == ""
    shutil.rmtree(layout)


def test_an_image_is_pulled_over_tls_from_a_registry_that_is_trusted(bare, layout, tls_registry):
    address, certificate = tls_registry
    push(layout, f"{address}/tiny:1")
    bare.environment["SSL_CERT_FILE"] = str(certificate)
    bare.serve()

    assert colour(bare, f"{address}/tiny:1") == "green"


@pytest.mark.parametrize("how", ["authority", "skip_verify"])
def test_a_registry_is_trusted_by_its_settings_alone(bare, layout, tls_registry, how):
    address, certificate = tls_registry
    push(layout, f"{address}/tiny:1")
    folder = bare.work / "certs.d" / address
    folder.mkdir(parents=True)
    text = f'certificates = ["{bare.work}/certs.d"]\n'
    if how == "authority":
        shutil.copy(certificate, folder / "ca.crt")
    else:
        text += f'[registry."{address}"]\nskip_verify = true\n'
    bare.environment["PYORCH_REGISTRIES"] = str(bare.write(text, "registries.toml"))

    assert colour(bare, f"{address}/tiny:1") == "green"


def test_f21_a_certificate_that_ran_out_is_refused(bare, layout, tmp_path, free_port):
    certificate, key = make_certificate(tmp_path, expired=True)
    tls = f", tls: {{certificate: {certificate}, key: {key}}}"
    bare.environment["SSL_CERT_FILE"] = str(certificate)
    bare.serve()
    with serve_registry(tmp_path, free_port, tls) as address:
        push(layout, f"{address}/tiny:1")

        done = bare.try_("image", "pull", f"{address}/tiny:1")

    assert done.code == 1
    assert "expired" in done.err


def test_r9_a_certificate_nobody_trusts_is_refused_and_http_is_not_tried_instead(
    bare, layout, tls_registry
):
    address, _ = tls_registry
    push(layout, f"{address}/tiny:1")

    done = bare.try_("image", "pull", f"{address}/tiny:1")

    assert done.code == 1
    assert "certificate" in done.err
    assert "SSL_CERT_FILE" in done.err
    assert bare.run("image", "ls", "-q") == ""


def test_images_are_pinned_to_what_is_here_or_to_what_their_registry_has(bare, layout, registry):
    for tag in ("here", "there"):
        push(layout, f"{registry}/tiny:{tag}")
    bare.run("image", "pull", f"{registry}/tiny:here")
    names = {tag: f"{registry}/tiny:{tag}" for tag in ("here", "there")}
    services = ", ".join(f"{tag}: {{image: '{name}'}}" for tag, name in names.items())
    bare.write(f"name: x\nservices: {{{services}}}\n")

    pinned = json.loads(bare.run("config", "--resolve-image-digests", "--format", "json"))
    lock = bare.run("config", "--lock-image-digests")
    bare.write(lock, "lock.yml")
    locked = json.loads(bare.run("-f", "stack.yml", "-f", "lock.yml", "config", "--format", "json"))

    images = {tag: one["image"] for tag, one in pinned["services"].items()}
    digests = {image.partition("@")[2] for image in images.values()}
    assert {tag: image.partition("@")[0] for tag, image in images.items()} == names
    assert len(digests) == 1
    assert digests.pop().startswith("sha256:")
    assert {tag: one["image"] for tag, one in locked["services"].items()} == images


def test_an_image_that_is_nowhere_cannot_be_pinned(bare, layout, registry):
    push(layout, f"{registry}/tiny:1")
    bare.write(f"name: x\nservices: {{a: {{image: '{registry}/other:1'}}}}\n")

    done = bare.try_("config", "--resolve-image-digests")

    assert done.code == 1
    assert "services.a.image" in done.err
    assert f"{registry}/other:1" in done.err
