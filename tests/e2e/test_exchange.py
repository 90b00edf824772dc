"""`pull` and `push` of a stack, against a real registry."""

import json

import pytest

pytestmark = pytest.mark.root


def put(pyorch, busybox, *names):
    """Have the registry know images by these names, and nobody here."""
    for name in names:
        pyorch.run("image", "import", str(busybox), name)
        pyorch.run("image", "push", name)
        pyorch.run("image", "rm", name)


def here(pyorch):
    return set(pyorch.run("image", "ls", "-q").split())


def test_images_of_services_are_fetched_several_at_once_and_each_failure_is_named(
    bare, busybox, registry
):
    one, two, gone = (f"{registry}/{name}:1" for name in ("one", "two", "gone"))
    put(bare, busybox, one, two)
    bare.write(
        f"""
        name: shop
        services:
          a: {{image: "{one}", depends_on: [b]}}
          b: {{image: "{two}"}}
          c: {{image: "{gone}"}}
          d: {{image: "{gone}-own", pull_policy: never}}
        """
    )

    assert bare.run("pull", "a") == ""
    assert here(bare) == {one}
    bare.run("pull", "--include-deps", "a")
    assert here(bare) == {one, two}

    told = bare.try_("pull", "--policy", "missing")
    assert told.code == 1
    assert f"services.c: cannot pull image `{gone}`" in told.err
    assert "Pulled" not in told.err
    assert "services.d" not in told.err
    assert bare.try_("pull", "--ignore-pull-failures").code == 0


def test_what_is_built_is_uploaded_and_what_can_be_built_need_not_be_there(bare, busybox, registry):
    made, base = f"{registry}/made:1", f"{registry}/base:1"
    put(bare, busybox, base)
    bare.write(
        f"""
        name: shop
        services:
          web: {{image: "{made}", build: {{dockerfile_inline: "FROM {base}"}}}}
          db: {{image: "{base}"}}
        """
    )
    warned = bare.try_("pull")
    assert warned.code == 0
    assert "services.web" in warned.err
    assert "`pyorch build` makes it" in warned.err

    refused = bare.try_("push")
    assert refused.code == 1
    assert "services.web" in refused.err
    bare.run("build")
    assert "Pushed" in bare.try_("push").err
    bare.run("image", "rm", made)
    bare.run("image", "pull", made)
    assert made in here(bare)


def test_a_build_looks_for_a_newer_base_and_uploads_what_it_made(bare, busybox, registry):
    made, base = f"{registry}/made:1", f"{registry}/base:1"
    put(bare, busybox, base)
    service = {
        "image": made,
        "build": {"dockerfile_inline": f"FROM {base}\nRUN echo $$MODE > /mode"},
    }
    bare.write(json.dumps({"name": "shop", "services": {"web": service}}))
    bare.run("image", "pull", base)
    old = bare.run("build", "-q")
    bare.run("image", "import", str(busybox), "newer", "--env", "MODE=new")
    bare.run("image", "push", "newer", base)

    same = bare.run("build", "-q")
    new = bare.run("build", "-q", "--pull", "--push")

    assert same == old
    assert new != old
    bare.run("image", "rm", made)
    bare.run("image", "pull", made)
    (found,) = json.loads(bare.run("image", "inspect", made))
    assert found["Id"] == new.strip()
    assert "MODE=new" in found["Config"]["config"]["Env"]


def test_a_step_has_no_more_memory_than_the_build_is_given(pyorch):
    take = "RUN busybox dd if=/dev/zero of=/dev/null bs=100M count=1"
    build = {"dockerfile_inline": f"FROM busybox\n{take}"}
    pyorch.write(json.dumps({"name": "shop", "services": {"web": {"build": build}}}))

    refused = pyorch.try_("build", "-m", "32m")

    assert refused.code == 1
    assert "exited on killed" in refused.err
    pyorch.run("build", "-m", "256m")
