"""Stack files of repositories: found, kept, and not obeyed beyond what they say."""

import shutil
import socket
import subprocess
import time

import pytest

from orchestrator.errors import PyorchError
from orchestrator.spec.problems import SpecError
from orchestrator.spec.reading.remote import GitReference, read_reference, shown

STACK = (
    "services:\n  web:\n    image: web:{0}\n    env_file: web.env\n    volumes: [./data:/data]\n"
)
FILES = {"compose.yaml": STACK.format("1"), "web.env": "A=far\n", "data/x": "x"}


def refused(call, *words, **more):
    with pytest.raises(SpecError) as said:
        call(*words, **more)
    return f"{said.value}\nhint: {said.value.hint}"


# ── where it may be named ────────────────────────────────────────────────────────────────────


def test_a_stack_file_may_be_in_a_repository(load, repository):
    repository.commit(FILES)

    loaded = load(repository.url)

    service = loaded.stack.services["web"]
    assert loaded.stack.name == "shop"
    assert service.image == "web:1"
    assert service.environment == {"A": "far"}
    assert service.volumes[0].source.endswith("/shop/data")
    assert loaded.fetched


def test_an_override_beside_it_is_here(load, repository, tmp_path):
    repository.commit(FILES)
    (tmp_path / "here" / "more.yml").write_text("services: {web: {image: mine}}")

    assert load(repository.url, "more.yml").stack.services["web"].image == "mine"


def test_a_repository_may_be_included(load, repository):
    repository.commit(FILES)

    loaded = load(text=f"name: x\ninclude: ['{repository.url}']\n")

    service = loaded.stack.services["web"]
    assert service.environment == {"A": "far"}
    assert service.volumes[0].source.endswith("/shop/data")


def test_a_repository_may_be_included_with_a_directory_and_overrides_of_ours(
    load, repository, tmp_path
):
    repository.commit(FILES)
    (tmp_path / "here" / "web.env").write_text("A=here\n")
    (tmp_path / "here" / "over.yml").write_text("services: {web: {image: mine}}")

    loaded = load(
        text=f"include: [{{path: ['{repository.url}', over.yml], project_directory: .}}]\n"
    )

    service = loaded.stack.services["web"]
    assert (service.image, service.environment) == ("mine", {"A": "here"})
    assert service.volumes[0].source == str(tmp_path / "here" / "data")


def test_a_service_of_a_repository_may_be_extended(load, repository):
    repository.commit(FILES)

    loaded = load(
        text="services: {mine: {extends: {service: web, file: '"
        + repository.url
        + "'}, tty: true}}"
    )

    service = loaded.stack.services["mine"]
    assert (service.image, service.tty) == ("web:1", True)
    assert service.volumes[0].source.endswith("/shop/data")


def test_files_of_a_repository_refer_to_each_other(load, repository):
    repository.commit(
        {
            "compose.yaml": "include: [parts/db.yml]\nservices: {web: {image: w}}",
            "parts/db.yml": "services: {db: {extends: {file: ../base.yml, service: base}}}",
            "base.yml": "services: {base: {image: base}}",
        }
    )

    assert load(repository.url).stack.services["db"].image == "base"


# ── which of its files, which of its commits ─────────────────────────────────────────────────


def test_a_folder_or_a_file_of_it_may_be_named(load, repository):
    repository.commit({"a/docker-compose.yml": "services: {a: {image: a}}", "b.yml": STACK})

    assert load(f"{repository.url}#main:a").stack.services["a"].image == "a"
    assert load(f"{repository.url}#:a").stack.name == "a"
    assert load(f"{repository.url}#:b.yml", resolve_env=False).stack.services["web"]


def test_a_branch_a_tag_and_a_commit_may_be_named(load, repository):
    first = repository.commit({"compose.yaml": "services: {a: {image: '1'}}"}, tag="v1")
    repository.commit({"compose.yaml": "services: {a: {image: '2'}}"}, branch="next/main")
    repository.commit({"compose.yaml": "services: {a: {image: '3'}}"})

    def image(ref):
        return load(f"{repository.url}{ref}").stack.services["a"].image

    assert [image(ref) for ref in ("#v1", f"#{first}", "#next/main", "#main", "")] == list("11233")


def test_a_branch_that_went_on_is_fetched_again(load, repository):
    repository.commit({"compose.yaml": "services: {a: {image: '1'}}"})
    load(repository.url)
    repository.commit({"compose.yaml": "services: {a: {image: '2'}}"})

    assert load(repository.url).stack.services["a"].image == "2"


def test_a_commit_that_was_fetched_is_there_without_its_repository(load, repository):
    commit = repository.commit(FILES)
    load(f"{repository.url}#{commit}")
    shutil.rmtree(repository.bare)

    assert load(f"{repository.url}#{commit}").stack.services["web"].image == "web:1"


# ── what is wrong with it ────────────────────────────────────────────────────────────────────


def test_a_mistake_is_shown_where_it_is_written(load, repository):
    repository.commit({"compose.yaml": "services:\n  web:\n    imgae: x\n"})

    assert refused(load, f"{repository.url}#main").startswith(
        f"{repository.url}#main:compose.yaml:3:5: services.web.imgae: unknown key"
    )


def test_who_asked_for_what_cannot_be_fetched_is_told(load, tmp_path):
    url = f"file://{tmp_path}/gone.git"

    said = refused(load, text=f"name: x\ninclude:\n  - {url}\n")
    assert said.startswith(f"compose.yaml:3:5: include: `{url}` cannot be fetched: git: ")
    assert "hint: compare the address" in said

    said = refused(
        load, text=f"services:\n  a:\n    extends:\n      file: {url}\n      service: b\n"
    )
    assert said.startswith("compose.yaml:4:7: services.a.extends.file: ")
    assert refused(load, url).startswith(f"{url}: `{url}` cannot be fetched: git: ")


@pytest.mark.parametrize(
    ("reference", "cause"),
    [
        ("#nope", "there is no branch or tag `nope`"),
        ("#" + "0" * 40, "git: "),
        ("#main:no/where", "there is no `no/where` in it"),
        ("#main:empty", "no stack file in `empty`"),
        ("#main:out", "`out` is a link to something outside"),
        ("#main:../x", "the folder is outside the repository"),
        ("#main:/etc", "the folder is outside the repository"),
        ("#--upload-pack=x", "is no branch, tag or commit"),
        ("#a..b", "is no branch, tag or commit"),
        ("#a*", "is no branch, tag or commit"),
    ],
)
def test_what_is_not_in_it_is_told(load, repository, reference, cause):
    (repository.tree / "out").symlink_to("/etc/hostname")
    repository.commit({**FILES, "empty/x": ""})

    assert cause in refused(load, f"{repository.url}{reference}")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("https://host/stack.yml", "ends in `.git`"),
        ("ftp://host/x.git", "nothing is fetched by `ftp`"),
        ("ext::sh -c x://a/b.git", None),
        ("ssh://-oProxyCommand=x/y.git", "is no host"),
        ("https://a b/x.git", "is no host"),
        ("git@host:-x", None),
    ],
)
def test_an_address_that_is_none_is_not_fetched(load, text, cause):
    said = refused(load, text)

    assert (cause or "No such file or directory") in said


def test_a_password_in_an_address_is_not_shown(load, repository):
    url = f"{repository.url}".replace("file://", "https://me:hunter2@127.0.0.1:1")

    said = refused(load, url)

    assert "hunter2" not in said
    assert "https://me:***@127.0.0.1:1" in said
    assert shown("ssh://git@host/x.git") == "ssh://git@host/x.git"


def test_without_git_there_is_a_hint(load, repository, environ):
    environ["PATH"] = "/nowhere"
    repository.commit(FILES)

    assert "cannot be fetched" in refused(load, repository.url)


def test_the_switch_of_the_reference_turns_it_off(load, repository, environ):
    environ["COMPOSE_EXPERIMENTAL_GIT_REMOTE"] = "false"

    assert "`COMPOSE_EXPERIMENTAL_GIT_REMOTE` says" in refused(load, repository.url)


@pytest.mark.parametrize(
    ("text", "url", "ref", "folder", "name"),
    [
        ("https://h/a/b.git", "https://h/a/b.git", "", "", "b"),
        ("https://h:8/b.git#v1.2:x/y", "https://h:8/b.git", "v1.2", "x/y", "b"),
        ("git@h:a/b.git#f/x", "git@h:a/b.git", "f/x", "", "b"),
        ("ssh://git@h:22/a/b.git#:x", "ssh://git@h:22/a/b.git", "", "x", "b"),
        ("git://h/b", "git://h/b", "", "", "b"),
        ("github.com/a/b.git", "https://github.com/a/b.git", "", "", "b"),
    ],
)
def test_addresses_are_read_like_those_of_the_reference(text, url, ref, folder, name):
    found = read_reference(text)

    assert found == GitReference(text=text, url=url, ref=ref, folder=folder)
    assert found.name == name


@pytest.mark.parametrize("path", ["compose.yaml", "./git@x", "a@b/c.yml", "/x#y.yml", "C:\\x"])
def test_paths_are_not_addresses(path):
    assert read_reference(path) is None


# ── hostile repositories ─────────────────────────────────────────────────────────────────────


def test_nothing_of_a_repository_is_run(load, repository, environ, tmp_path):
    """Hooks, filters, submodules and configuration that come along do nothing."""
    trap = tmp_path / "trapped"
    repository.commit(
        {
            **FILES,
            ".gitattributes": "* filter=trap diff=trap\n",
            ".gitconfig": f"[core]\n\tfsmonitor = touch {trap}\n",
            ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = ext::touch {trap}\n',
            "config": f'[filter "trap"]\n\tsmudge = touch {trap}\n',
            "hooks/post-checkout": f"#!/bin/sh\ntouch {trap}\n",
        }
    )
    for hook in ("post-checkout", "post-merge", "reference-transaction"):
        path = repository.bare / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {trap}\n")
        path.chmod(0o755)

    loaded = load(repository.url)

    assert loaded.stack.services["web"].image == "web:1"
    assert not trap.exists()
    root = loaded.found.directory
    assert not (root / ".git").exists()
    assert (root.stat().st_mode & 0o077) == 0


def test_another_repository_of_the_caller_is_left_alone(load, repository, environ, tmp_path):
    repository.commit(FILES)
    own = tmp_path / "own.git"
    subprocess.run(["git", "init", "-q", "--bare", own], check=True)
    environ |= {"GIT_DIR": str(own), "GIT_INDEX_FILE": str(own / "index"), "GIT_ASKPASS": "/bin/no"}

    load(repository.url)

    assert not (own / "index").exists()
    assert not list((own / "objects").glob("??"))


def test_a_few_kilobytes_that_stand_for_billions_of_files_are_refused(load, repository):
    """Trees of ten times the same tree, ten levels deep."""
    below = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=repository.tree, input="x", capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    kind = "100644 blob"
    for _ in range(10):
        listing = "".join(f"{kind} {below}\td{n}\n" for n in range(10))
        below = subprocess.run(
            ["git", "mktree"],
            cwd=repository.tree, input=listing, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        kind = "040000 tree"
    commit = repository.git("commit-tree", "-m", "bomb", below)
    repository.git("push", "-q", str(repository.bare), f"{commit}:refs/heads/bomb")

    said = refused(load, f"{repository.url}#bomb")

    assert "it is too large" in said


def test_a_cache_of_another_user_is_not_used(load, repository, environ, tmp_path):
    repository.commit(FILES)
    cache = tmp_path / "home" / "cache" / "pyorch"
    cache.parent.mkdir(parents=True)
    cache.write_text("no folder")

    assert "XDG_CACHE_HOME says where" in refused(load, repository.url)


# ── over the network ─────────────────────────────────────────────────────────────────────────


def test_a_repository_is_fetched_from_a_daemon(load, repository, free_port):
    repository.commit(FILES)
    daemon = subprocess.Popen(
        [
            *("git", "daemon", "--listen=127.0.0.1", f"--port={free_port}", "--export-all"),
            f"--base-path={repository.bare.parent}",
        ],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", free_port)).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        loaded = load(f"git://127.0.0.1:{free_port}/shop.git#main")
    finally:
        daemon.terminate()
        daemon.wait()

    assert loaded.stack.services["web"].image == "web:1"


def test_without_means_nothing_is_fetched(tmp_path):
    from orchestrator.spec.load import LoadRequest, load_stack

    with pytest.raises(PyorchError, match="nothing is fetched here"):
        load_stack(LoadRequest(files=("git://host/x",), cwd=tmp_path))
