"""A build → the words of the builder's command line. Pure."""

from collections.abc import Iterator

from runtime.types import BuildConfig

BUILDAH = "/usr/bin/buildah"
STORAGE = ("--root", "/storage", "--runroot", "/run/storage", "--storage-driver", "overlay")
DOCKERFILE = "/build/Dockerfile"
NOTHING = "/build/nothing"
"""An empty file: what is to be ignored was left out of the context."""
RUNTIME = "/build/runtime"
MADE = "/out/id"
LAYOUT = "/out/layout"


def build_words(config: BuildConfig, *, cgroup: str, no_cache: bool) -> list[str]:
    """Return what builds ``config`` in a room that has its contexts below ``/context``."""
    return [BUILDAH, *STORAGE, "build", *_words(config, cgroup=cgroup, no_cache=no_cache)]


def _words(config: BuildConfig, *, cgroup: str, no_cache: bool) -> Iterator[str]:
    # The image format of Docker keeps what OCI's leaves out: healthchecks, shells, ONBUILD.
    yield from ("--format", "docker", "--layers", "--force-rm")
    # What it needs is there: registries are asked by nobody but the image driver.
    yield from ("--pull=never", "--network", "host", "--isolation", "oci", "--runtime", RUNTIME)
    yield from ("--cgroup-parent", f"/{cgroup}", "--iidfile", MADE)
    yield from ("--file", DOCKERFILE, "--ignorefile", NOTHING)
    if no_cache or config.no_cache:
        yield "--no-cache"
    if config.target:
        yield f"--target={config.target}"
    for name, value in config.args.items():
        yield f"--build-arg={name}={value}"
    for name, value in config.labels.items():
        yield f"--label={name}={value}"
    for number, name in enumerate(config.contexts):
        if name:
            yield f"--build-context={name}=/context/{number}"
    for name, reference in config.image_contexts.items():
        yield f"--build-context={name}=docker-image://{reference}"
    for name in config.secrets:
        yield f"--secret=id={name},src=/build/secrets/{name}"
    for name in config.keys:
        yield f"--ssh={name}=/build/keys/{name}"
    for entry in config.hosts:
        yield f"--add-host={entry}"
    for limit in config.ulimits:
        yield f"--ulimit={limit}"
    if config.shm_size:
        # The kernel is told it as it is written here, and knows no `b`.
        yield f"--shm-size={config.shm_size}"
    if config.memory:
        yield f"--memory={config.memory}b"
    yield "/context/0"


def take_words(layout: str) -> list[str]:
    """Return what takes an image of a layout into the builder's storage and prints its id."""
    return [BUILDAH, *STORAGE, "pull", "--quiet", f"oci:{layout}"]


def name_words(image: str, name: str) -> list[str]:
    """Return what gives an image of the builder's storage a name."""
    return [BUILDAH, *STORAGE, "tag", image, name]


def tell_words(image: str) -> list[str]:
    """Return what prints everything the builder knows about an image."""
    return [BUILDAH, *STORAGE, "inspect", "--type", "image", image]


def give_words(image: str) -> list[str]:
    """Return what writes an image to the layout, with those layers that are not there yet."""
    return [BUILDAH, *STORAGE, "push", "--quiet", image, f"oci:{LAYOUT}:built"]
