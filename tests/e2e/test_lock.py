"""What names of images stand for: asked again after a time, or written down in `stack.lock`."""

import json

import pytest

pytestmark = pytest.mark.root


def image(pyorch, name):
    return json.loads(pyorch.run("image", "inspect", name))[0]["Id"]


def push(pyorch, name, colour, busybox):
    """Have the registry know another image by this name; return its digest."""
    pyorch.run("image", "import", str(busybox), name, "--env", f"COLOUR={colour}")
    pyorch.run("image", "push", name)
    return image(pyorch, name)


def test_m24_a_locked_stack_runs_on_what_was_locked_though_its_tag_has_moved(
    bare, busybox, registry
):
    name = f"{registry}/app:1"
    old = push(bare, name, "old", busybox)
    bare.run("image", "import", str(busybox), "built")
    bare.write(
        f"""
        name: shop
        services:
          web: {{image: "{name}", command: [sleep, "1000"]}}
          made:
            build: {{dockerfile_inline: "FROM built"}}
            command: [sleep, "1000"]
        """
    )
    missing = bare.try_("up", "-d", "--locked")
    assert missing.code == 1
    assert "`pyorch lock` writes it" in missing.err
    assert bare.run("lock") == f"+ {name}\n"
    lock = json.loads((bare.work / "stack.lock").read_text())
    assert lock == {"version": 1, "images": {name: {"linux/amd64": old}}}
    assert bare.run("lock") == ""
    bare.run("up", "-d", "--locked")

    # The tag moves at the registry and is gone from here: what is locked is fetched.
    new = push(bare, name, "new", busybox)
    bare.run("down", "-t", "0")
    bare.run("image", "rm", name)
    bare.run("image", "prune")
    bare.run("up", "-d", "--locked")
    assert image(bare, name) == old
    assert bare.run("exec", "web", "env").count("COLOUR=old") == 1
    pinned = bare.run("config", "--lock-image-digests")
    assert f"{name}@{old}" in pinned

    # The tag here is another one: refused, with both digests and what to do.
    bare.run("image", "pull", name)
    moved = bare.try_("up", "-d", "--locked")
    assert moved.code == 1
    assert f"services.web: `{name}` is {new} here, and {old} in stack.lock" in moved.err
    assert "`pyorch lock`" in moved.err
    assert bare.try_("lock", "--check").code == 2
    assert bare.run("lock") == f"~ {name}\n"
    bare.run("up", "-d", "--locked", "--wait")
    assert "COLOUR=new" in bare.run("exec", "web", "env")

    # A name that is not in the file is no secret guest.
    bare.run("image", "tag", "built", "other")
    bare.write(f"name: shop\nservices: {{web: {{image: '{name}'}}, x: {{image: other}}}}\n")
    refused = bare.try_("up", "-d", "--locked")
    assert "services.x: `docker.io/library/other:latest` is not in stack.lock at all" in refused.err


def test_a_lock_file_that_is_none_is_refused_and_written_anew(bare, busybox, registry):
    name = f"{registry}/app:1"
    digest = push(bare, name, "old", busybox)
    bare.run("image", "rm", name)
    bare.write(f"name: shop\nservices: {{web: {{image: '{name}'}}}}\n")
    for text in ("", "[]", '{"version": 2, "images": {}}', '{"version": 1, "images": [1]}'):
        (bare.work / "stack.lock").write_text(text)
        refused = bare.try_("up", "-d", "--locked")
        assert refused.code == 1
        assert "stack.lock" in refused.err
    (bare.work / "stack.lock").unlink()
    # Of an image that is not here the registry is asked.
    bare.run("lock", "--upgrade")
    lock = json.loads((bare.work / "stack.lock").read_text())
    assert lock["images"][name] == {"linux/amd64": digest}


@pytest.mark.attribute("services.*.pull_policy")
def test_an_image_is_asked_for_again_when_its_policy_says_so(bare, busybox, registry):
    name = f"{registry}/app:1"

    def moves(colour):
        bare.run("image", "import", str(busybox), "local", "--env", f"COLOUR={colour}")
        bare.run("image", "push", "local", name)

    def colour(policy, *words):
        bare.write(
            f"""
            name: shop
            services:
              web:
                image: "{name}"
                pull_policy: {policy}
                command: [sleep, "1000"]
                stop_grace_period: 0s
            """
        )
        bare.run("up", "-d", "--wait", *words)
        return bare.run("exec", "web", "sh", "-c", "echo $COLOUR").strip()

    moves("red")
    assert colour("every_1h") == "red"
    moves("green")
    for policy in ("every_1h", "daily", "weekly", "missing", "if_not_present", "never"):
        assert colour(policy) == "red"

    # Two hours later.
    bare.run("daemon", "stop")
    index = bare.settings.data / "images" / "index.json"
    document = json.loads(index.read_text())
    document["named"][name] -= 7200
    index.write_text(json.dumps(document))
    assert colour("daily") == "red"
    assert colour("every_1h", "--pull", "missing") == "red"
    assert colour("every_1h") == "green"
    moves("blue")
    assert colour("every_1h") == "green"
    assert colour("always", "--pull", "never") == "green"
    assert colour("always") == "blue"
    moves("white")
    assert colour("missing", "--pull", "always") == "white"
    assert bare.run("image", "rm", "local") == ""
