"""Images built from Dockerfiles, and run."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.root


@pytest.mark.attribute(
    "services.*.build.context",
    "services.*.build.args",
    "services.*.build.labels",
    "services.*.build.tags",
)
def test_a_service_is_built_from_its_folder_and_runs(pyorch):
    app = pyorch.work / "app"
    (app / "node_modules").mkdir(parents=True)
    (app / "node_modules" / "large").write_text("never sent")
    (app / ".dockerignore").write_text("node_modules\n*.secret\n")
    (app / "a.secret").write_text("never sent")
    (app / "outside").symlink_to("/etc/shadow")
    (app / "run.sh").write_text("echo hello from $WHO; sleep 1000")
    (app / "Dockerfile").write_text(
        """
        ARG BASE=nothing
        FROM $BASE AS tools
        RUN echo made > /made
        FROM busybox
        ARG WHO
        ENV WHO=$WHO
        WORKDIR /app
        COPY . .
        COPY --from=tools /made made
        RUN ls > /listed && cat /proc/1/comm > /first
        USER web
        HEALTHCHECK --interval=1s CMD test -f /app/run.sh || exit 1
        LABEL of=file
        CMD ["sh", "/app/run.sh"]
        """
    )
    pyorch.write(
        """
        name: shop
        services:
          web:
            build:
              context: app
              args: {BASE: busybox, WHO: me}
              labels: {given: yes}
              tags: ["shop/web:1"]
            stop_grace_period: 0s
        """
    )
    pyorch.run("up", "-d", "--wait")
    listed = pyorch.run("exec", "web", "cat", "/listed").split()
    assert sorted(listed) == ["Dockerfile", "made", "outside", "run.sh"]
    assert pyorch.run("logs", "--no-log-prefix", "web") == "hello from me\n"
    assert pyorch.run("exec", "web", "id", "-u") == "7\n"
    image, same = json.loads(pyorch.run("image", "inspect", "shop-web", "shop/web:1"))
    assert image["Id"] == same["Id"]
    assert image["Config"]["config"]["Labels"] == {"of": "file", "given": "yes"}
    assert image["Config"]["config"]["Healthcheck"]["Test"] == [
        "CMD-SHELL",
        "test -f /app/run.sh || exit 1",
    ]
    # The base's layers are those that were there: nothing is kept twice.
    base = json.loads(pyorch.run("image", "inspect", "busybox"))[0]
    assert image["Layers"][: len(base["Layers"])] == base["Layers"]

    # Nothing changed: every step comes from the cache, and nothing is made anew.
    before = pyorch.main_process("shop/web.1")
    again = pyorch.try_("up", "-d", "--build")
    assert again.code == 0
    assert again.err.count("Using cache") >= 5
    assert json.loads(pyorch.run("image", "inspect", "shop-web"))[0]["Id"] == image["Id"]
    assert pyorch.main_process("shop/web.1") == before

    # Another file: another image, and a container of it.
    (app / "run.sh").write_text("echo changed; sleep 1000")
    pyorch.run("up", "-d", "--build", "--wait", "--quiet-build")
    assert "changed" in pyorch.run("logs", "web")
    assert pyorch.run("exec", "web", "cat", "/app/run.sh") == "echo changed; sleep 1000"


@pytest.mark.attribute("services.*.build.additional_contexts", "services.*.build.dockerfile_inline")
def test_builds_begin_with_each_other_and_go_on_at_once(pyorch):
    folder = pyorch.work / "files"
    folder.mkdir()
    (folder / "data").write_text("from a folder")
    pyorch.write(
        """
        name: shop
        services:
          web:
            build:
              dockerfile_inline: |
                FROM base
                COPY --from=files data /data
                COPY --from=other /who /other
                RUN cat /who /other /data > /all
              additional_contexts:
                base: service:base
                other: service:other
                files: ./files
            command: [sleep, "1000"]
          base:
            build: {dockerfile_inline: "FROM busybox\\nRUN echo base > /who"}
            scale: 0
          other:
            build:
              dockerfile_inline: |
                FROM tools
                RUN echo other > /who
              additional_contexts: {tools: "docker-image://busybox"}
            scale: 0
        """
    )
    done = pyorch.try_("build", "web")
    assert done.code == 0, done.err
    lines = done.err.splitlines()
    # A build begins once what it begins with is there.
    first_of_web = next(i for i, line in enumerate(lines) if line.startswith("web "))
    for name in ("base", "other"):
        last = max(i for i, line in enumerate(lines) if line.startswith(f"{name} "))
        assert last < first_of_web
    assert [line for line in lines if line.startswith("Image")] == ["Image shop-web Built"]
    pyorch.run("up", "-d")
    assert pyorch.run("exec", "web", "cat", "/all") == "base\nother\nfrom a folder"


@pytest.mark.attribute("services.*.build.secrets", "services.*.build.ssh")
def test_secrets_and_keys_are_there_for_a_step_and_nowhere_afterwards(pyorch):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", pyorch.work / "key"], check=True
    )
    (pyorch.work / "file").write_text("top-secret-content")
    (pyorch.work / ".dockerignore").write_text("*")
    pyorch.write(
        """
        name: shop
        services:
          web:
            build:
              dockerfile_inline: |
                FROM busybox
                RUN --mount=type=secret,id=token --mount=type=secret,id=own \\
                    wc -c < /run/secrets/token > /size; wc -c < /run/secrets/own >> /size
                RUN --mount=type=ssh test -S "$$SSH_AUTH_SOCK" && echo agent >> /size
                RUN ls /run/secrets 2>/dev/null >> /size || true
              secrets: [token, {source: given, target: own}]
              ssh: [default=./key]
            command: [sleep, "1000"]
        secrets:
          token: {file: ./file}
          given: {environment: GIVEN}
        """
    )
    pyorch.environment["GIVEN"] = "hidden-in-a-variable"
    said = pyorch.try_("up", "-d")
    assert "Image shop-web Built" in said.err
    for secret in ("top-secret-content", "hidden-in-a-variable"):
        assert secret not in said.out + said.err
    assert pyorch.run("exec", "web", "cat", "/size") == "18\n20\nagent\n"
    for kept in pyorch.settings.data.rglob("*"):
        if kept.is_file() and kept.stat().st_size < 10_000_000:
            content = kept.read_bytes()
            assert b"top-secret-content" not in content, kept
            assert b"hidden-in-a-variable" not in content, kept
    assert list((pyorch.settings.run / "build").iterdir()) == []


@pytest.mark.attribute("services.*.build.extra_hosts", "services.*.build.network")
def test_steps_reach_what_the_file_says(pyorch):
    pyorch.write(
        """
        name: shop
        services:
          web:
            build: &build
              dockerfile_inline: |
                FROM busybox
                ARG ONE
                RUN cat /proc/net/dev > /links; cat /etc/hosts > /names
              extra_hosts: ["there=10.1.2.3", "host=host-gateway"]
            command: [sleep, "1000"]
          alone:
            build: {<<: *build, network: none, args: {ONE: alone}}
            command: [sleep, "1000"]
          host:
            build: {<<: *build, network: host, args: {ONE: host}}
            command: [sleep, "1000"]
        """
    )
    pyorch.run("up", "-d")
    own = pyorch.run("exec", "web", "cat", "/links")
    assert "eth0" in own
    assert "10.1.2.3\tthere" in pyorch.run("exec", "web", "cat", "/names")
    assert "eth0" not in pyorch.run("exec", "alone", "cat", "/links")
    here = {line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()}
    there = pyorch.run("exec", "host", "cat", "/links").splitlines()
    assert {"lo"} < {line.split(":")[0].strip() for line in there} & here
    assert "pyorch-builds" not in pyorch.run("network", "ls")

    # A network of the stack: its names are known to the steps.
    pyorch.write(
        """
        name: shop
        services:
          web: {image: busybox, command: [sleep, "1000"]}
          asks:
            build:
              dockerfile_inline: "FROM busybox\\nRUN nslookup web > /answer"
              network: default_
            command: [sleep, "1000"]
        networks: {default_: {name: shop_default, external: true}}
        """
    )
    refused = pyorch.try_("-p", "other", "build", "asks")
    assert refused.code == 0, refused.err


def test_a_step_that_fails_is_told_with_its_service_and_leaves_nothing(pyorch):
    pyorch.write(
        """
        name: shop
        services:
          web:
            build: {dockerfile_inline: "FROM busybox\\nRUN echo about to fail && exit 7"}
        """
    )
    done = pyorch.try_("up", "-d")
    assert done.code == 1
    assert "about to fail" in done.err
    assert "error: services.web.build: cannot build image `shop-web`" in done.err
    assert "exit status 7" in done.err
    assert pyorch.run("image", "ls", "-q") == "docker.io/library/busybox:latest\n"
    assert list((pyorch.settings.data / "build" / "work").iterdir()) == []
    assert pyorch.run("ls").splitlines()[1:] == []


def test_flags_say_more_than_the_file(pyorch):
    pyorch.write(
        """
        name: shop
        services:
          web:
            build: {dockerfile_inline: "FROM busybox\\nARG A=file\\nRUN echo $$A > /a"}
            depends_on: [db]
          db:
            build: {dockerfile_inline: "FROM busybox"}
          no: {image: busybox}
        """
    )
    printed = json.loads(pyorch.run("build", "--print", "web"))
    assert printed["target"]["web"]["tags"] == ["shop-web"]
    one = pyorch.try_("build", "-q", "web")
    assert (one.code, one.err) == (0, "")
    assert one.out.strip() == json.loads(pyorch.run("image", "inspect", "shop-web"))[0]["Id"]
    both = pyorch.try_("build", "--with-dependencies", "--build-arg", "A=flag", "web")
    assert "Image shop-db Built" in both.err
    assert pyorch.run("build", "-q", "--build-arg", "A=flag", "web") != one.out
    fresh = pyorch.try_("build", "--no-cache", "web")
    assert "Using cache" not in fresh.err
    as_json = pyorch.try_("build", "--progress", "json", "web")
    assert json.loads(as_json.err.splitlines()[0])["service"] == "web"
    for words in (["--check"], ["--sbom"], ["--provenance"], ["--builder", "x"]):
        refused = pyorch.try_("build", *words)
        assert refused.code == 1
        assert f"{words[0]} is not carried out" in refused.err
    assert "no such service: `none`" in pyorch.try_("build", "none").err
    freed = pyorch.try_("builder", "prune")
    assert "freed" in freed.err
    assert not (pyorch.settings.data / "build").exists()
    assert "Using cache" not in pyorch.try_("build", "web").err


def test_what_is_here_is_not_built_and_what_may_not_be_built_is_refused(pyorch):
    pyorch.write(
        """
        name: shop
        services:
          web:
            image: "127.0.0.1:1/nobody/web"
            build: {dockerfile_inline: "FROM busybox"}
            command: [sleep, "1000"]
        """
    )
    refused = pyorch.try_("up", "-d", "--no-build")
    assert refused.code == 1
    assert "--no-build is given" in refused.err
    built = pyorch.try_("up", "-d")
    assert built.code == 0, built.err
    assert "it is built" in built.err
    again = pyorch.try_("up", "-d")
    assert "STEP" not in again.err
    assert pyorch.try_("up", "-d", "--build", "--no-build").code == 1
    stack = (pyorch.work / "stack.yml").read_text()
    pyorch.write(stack.replace("build:", "pull_policy: build\n            build:"))
    assert "STEP" in pyorch.try_("up", "-d").err


def test_a_context_may_be_a_folder_of_a_repository(pyorch):
    repository = pyorch.home / "shop.git"
    (repository / "web").mkdir(parents=True)
    (repository / "web" / "Dockerfile").write_text("FROM busybox\nCOPY . /app\n")
    (repository / "web" / "data").write_text("committed")
    (repository / "out").symlink_to("/etc")
    git = ["git", "-C", repository, "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    (repository / "web" / "data").write_text("not committed")
    url = f"file://{repository}#main"
    pyorch.write(
        f"""
        name: shop
        services:
          web:
            build: {{context: "{url}:web"}}
            command: [sleep, "1000"]
            stop_grace_period: 0s
        """
    )
    pyorch.run("up", "-d")
    assert pyorch.run("exec", "web", "cat", "/app/data") == "committed"
    for folder, why in (("out", "no such folder"), ("none", "no such folder")):
        pyorch.write(f"name: shop\nservices: {{web: {{build: {{context: '{url}:{folder}'}}}}}}\n")
        refused = pyorch.try_("build")
        assert refused.code == 1
        assert "services.web.build.context: " in refused.err
        assert why in refused.err


@pytest.mark.attribute("services.*.build.platforms")
def test_another_machines_platform_is_refused(pyorch):
    for dockerfile, more in (
        ("FROM busybox", {"platforms": ["linux/s390x"]}),
        ("FROM --platform=linux/s390x busybox", {}),
    ):
        build = {"dockerfile_inline": dockerfile, **more}
        pyorch.write(json.dumps({"name": "shop", "services": {"web": {"build": build}}}))
        refused = pyorch.try_("build")
        assert refused.code == 1
        assert "linux/s390x" in refused.err
        assert "STEP" not in refused.err


def test_proxies_of_docker_reach_steps_and_containers_and_stay_in_no_image(pyorch):
    own, proxies = (
        pyorch.work / "config.json",
        {"httpProxy": "http://u:p@proxy:1", "noProxy": "lan"},
    )
    own.write_text(json.dumps({"proxies": {"default": proxies}}))
    pyorch.environment["DOCKER_CONFIG"] = str(pyorch.work)
    pyorch.write(
        """
        name: shop
        services:
          web:
            build:
              dockerfile_inline: |
                FROM busybox
                RUN echo $$HTTP_PROXY $$http_proxy $$no_proxy > /seen
              args: {http_proxy: "own"}
            environment: {NO_PROXY: mine}
            command: [sleep, "1000"]
            stop_grace_period: 0s
        """
    )
    pyorch.run("up", "-d")

    show = "cat /seen; echo $HTTP_PROXY $NO_PROXY $no_proxy"
    found = pyorch.run("exec", "-T", "web", "sh", "-c", show)
    assert found == "http://u:p@proxy:1 own lan\nhttp://u:p@proxy:1 mine lan\n"
    assert "proxy:1" not in pyorch.run("image", "inspect", "shop-web")
    assert "proxy:1" not in pyorch.run("config")
    assert "web" not in pyorch.run("plan")

    own.write_text(json.dumps({"proxies": {"default": {"httpProxy": "http://another"}}}))
    assert "Using cache" in pyorch.try_("build").err
    assert "web" in pyorch.try_("plan").out
