"""Keys of `build` that say how an image is built, seen by what its steps saw."""

import json
import subprocess

import pytest

pytestmark = pytest.mark.root

STACK = """
name: built
x-idle: &idle {command: sleep 1000, stop_grace_period: 0s}
services:
  web:
    <<: *idle
    build:
      context: ./app
      dockerfile: files/My.dockerfile
      target: first
      shm_size: 8m
      ulimits: {nofile: {soft: 100, hard: 200}, core: 0}
      platforms: ["linux/s390x", HERE]
      secrets: [{source: word, target: own, uid: '103', gid: '103', mode: '0440'}]
secrets: {word: {file: ./word.txt}}
"""
DOCKERFILE = """
FROM busybox AS first
COPY data /data
RUN busybox grep ' /dev/shm ' /proc/self/mountinfo > /shm; \\
    (ulimit -Sn; ulimit -Hn; ulimit -c) > /limits
RUN --mount=type=secret,id=own,uid=7,gid=8,mode=0400 \\
    busybox stat -c '%u:%g %a' /run/secrets/own > /secret
FROM first AS second
RUN touch /beyond
"""


@pytest.fixture(scope="module")
def built(begun):
    """The stack of this file, built and running."""
    (begun.work / "app" / "files").mkdir(parents=True)
    begun.write("of the context", "app/data")
    begun.write(DOCKERFILE, "app/files/My.dockerfile")
    begun.write("FROM nothing-at-all", "app/Dockerfile")
    begun.write("hush", "word.txt")
    (image,) = json.loads(begun.run("image", "inspect", "busybox"))
    here = f"{image['Config']['os']}/{image['Config']['architecture']}"
    begun.write(STACK.replace("HERE", here))
    begun.run("up", "-d", "--wait")
    return begun


def inside(pyorch, *words):
    return pyorch.run("-p", "built", "exec", "-T", "web", *words).strip()


@pytest.mark.attribute("services.*.build.dockerfile", "services.*.build.target")
def test_build_dockerfile_and_target_are_what_is_built(built):
    assert inside(built, "cat", "/data") == "of the context"
    assert "beyond" not in inside(built, "ls", "/").split()


@pytest.mark.attribute("services.*.build.shm_size", "services.*.build.ulimits")
def test_build_shm_size_and_ulimits_hold_for_the_steps(built):
    assert "size=8192k" in inside(built, "cat", "/shm")
    assert inside(built, "cat", "/limits").split() == ["100", "200", "0"]


@pytest.mark.attribute("services.*.build.platforms")
def test_build_platforms_name_this_machines_among_others(built):
    (image,) = json.loads(built.run("image", "inspect", "built-web"))
    (base,) = json.loads(built.run("image", "inspect", "busybox"))

    assert image["Config"]["architecture"] == base["Config"]["architecture"]


@pytest.mark.attribute("services.*.build.secrets")
def test_build_secrets_belong_to_whom_the_step_says(built):
    assert inside(built, "cat", "/secret") == "7:8 400"


@pytest.mark.attribute("services.*.build.no_cache", "services.*.build.no_cache_filter")
def test_build_no_cache_and_no_cache_filter_build_anew(begun):
    services = {"usual": "", "never": "no_cache: true", "some": "no_cache_filter: [one]"}
    text = "name: cached\nservices:\n"
    for name, more in services.items():
        inline = f'"FROM busybox AS one\\nRUN busybox date +{name}-%N > /at"'
        text += f"  {name}: {{build: {{dockerfile_inline: {inline}, {more}}}}}\n"
    begun.write(text, "cached.yml")

    def images():
        begun.run("-f", "cached.yml", "build")
        names = [f"cached-{name}" for name in services]
        return [one["Id"] for one in json.loads(begun.run("image", "inspect", *names))]

    first, second = images(), images()

    assert [old == new for old, new in zip(first, second, strict=True)] == [True, False, False]


@pytest.mark.attribute("services.*.build.pull")
def test_build_pull_asks_for_newer_images_to_begin_with(bare, busybox, registry, tmp_path):
    name = f"{registry}/base:1"
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "-xf", busybox, "-C", root], check=True)

    def becomes(colour):
        (root / "colour").write_text(colour)
        bare.run("image", "import", str(root), "local")
        bare.run("image", "push", "local", name)

    def built(pull):
        inline = f'"FROM {name}\\nRUN cat /colour > /seen"'
        bare.write(
            "name: fresh\nservices:\n  web:\n"
            f"    build: {{dockerfile_inline: {inline}, pull: {pull}}}\n"
        )
        bare.run("build")
        return json.loads(bare.run("image", "inspect", "fresh-web"))[0]["Id"]

    becomes("red")
    first = built("false")
    becomes("green")
    assert built("false") == first
    assert built("true") != first
