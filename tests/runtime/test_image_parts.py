"""Parts of the image driver that touch nothing: challenges, logins, settings, references."""

import base64
import json

import pytest

from runtime.errors import InvalidError, UnavailableError
from runtime.image.challenge import Challenge, parse_challenges
from runtime.image.credentials import Credentials, Login
from runtime.image.manifest import Index, choose_platform, parse_config
from runtime.image.reference import for_platform, parse_reference, without_platform
from runtime.image.registries import Registries
from runtime.platforms import parse_platform, this_platform

# ── WWW-Authenticate ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('Basic realm="a"', [Challenge("basic", {"realm": "a"})]),
        ("BASIC REALM=a", [Challenge("basic", {"realm": "a"})]),
        (
            'Bearer realm="https://a/b?c=d,e",service="x y" , scope="a:b:c,d"',
            [
                Challenge(
                    "bearer", {"realm": "https://a/b?c=d,e", "service": "x y", "scope": "a:b:c,d"}
                )
            ],
        ),
        (
            'Negotiate abc==, Basic realm="a\\"b\\\\"',
            [Challenge("negotiate"), Challenge("basic", {"realm": 'a"b\\'})],
        ),
        ("Negotiate, Basic", [Challenge("negotiate"), Challenge("basic")]),
        (
            'Digest realm = "a" , , nonce=b, Basic realm="c"',
            [Challenge("digest", {"realm": "a", "nonce": "b"}), Challenge("basic", {"realm": "c"})],
        ),
        ('Basic realm="a", realm="b"', [Challenge("basic", {"realm": "a"})]),
        ('Basic realm="never ends', [Challenge("basic")]),
        ("", []),
        (", ,", []),
        ('"', []),
        ("Basic " + "a=b," * 10_000, []),
        ('Basic realm="a\x1bb"', []),
    ],
)
def test_challenges_are_read_by_their_grammar(header, found):
    assert list(parse_challenges([header])) == found


def test_challenges_of_several_lines_are_all_read():
    assert [one.scheme for one in parse_challenges(["Basic", 'Bearer realm="x"'])] == [
        "basic",
        "bearer",
    ]


# ── logins ───────────────────────────────────────────────────────────────────────────────


def packed(user, password):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def home(tmp_path):
    """Where the other programs keep their files."""
    for folder in (".docker", ".config/containers", "run/containers", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def credentials(home):
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "PATH": f"{home / 'bin'}:."}
    return Credentials(home / "data/auth.json", environ)


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def helper(home, name, script):
    path = home / "bin" / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


async def test_without_any_file_nobody_is_known(credentials):
    assert await credentials.find("ghcr.io") is None


@pytest.mark.parametrize(
    "place", [".docker/config.json", ".config/containers/auth.json", "run/containers/auth.json"]
)
async def test_the_files_of_docker_and_podman_are_read(home, credentials, place):
    write(home / place, {"auths": {"ghcr.io": packed("me", "a:b")}})

    assert await credentials.find("ghcr.io", "x/y") == Login("me", "a:b")


async def test_our_own_file_comes_first_and_only_root_reads_it(home, credentials):
    write(home / ".docker/config.json", {"auths": {"ghcr.io": packed("docker", "x")}})
    credentials.keep("ghcr.io", Login("ours", "y"))

    assert (await credentials.find("ghcr.io")).user == "ours"
    assert (home / "data/auth.json").stat().st_mode & 0o777 == 0o600
    assert credentials.forget("ghcr.io") is True
    assert credentials.forget("ghcr.io") is False
    assert (await credentials.find("ghcr.io")).user == "docker"


async def test_the_login_of_the_longest_path_is_used(home, credentials):
    auths = {"ghcr.io": packed("all", "x"), "ghcr.io/a": packed("a", "x")}
    auths["ghcr.io/a/b"] = packed("b", "x")
    write(home / ".docker/config.json", {"auths": auths})

    found = [await credentials.find("ghcr.io", path) for path in ("a/b", "a/c", "d", "ab")]

    assert [one.user for one in found] == ["b", "a", "all", "all"]


async def test_dockers_old_name_of_its_hub_is_known(home, credentials):
    auths = {"https://index.docker.io/v1/": packed("me", "x")}
    write(home / ".docker/config.json", {"auths": auths})

    assert (await credentials.find("docker.io", "library/a")).user == "me"


@pytest.mark.parametrize("key", [{"credsStore": "x"}, {"credHelpers": {"ghcr.io": "x"}}])
async def test_a_helper_is_asked(home, credentials, key):
    write(home / ".docker/config.json", {"auths": {"ghcr.io": {}}, **key})
    helper(
        home, "x", 'read s; [ "$1" = get ]; echo "{\\"Username\\":\\"$s\\",\\"Secret\\":\\"p w\\"}"'
    )

    assert await credentials.find("ghcr.io") == Login("ghcr.io", "p w")


async def test_a_helpers_token_is_an_identity_token(home, credentials):
    write(home / ".docker/config.json", {"credsStore": "x"})
    helper(home, "x", 'echo \'{"Username":"<token>","Secret":"t"}\'')

    assert (await credentials.find("ghcr.io")).identity_token == "t"


async def test_a_helper_that_does_not_know_is_no_error(home, credentials):
    write(home / ".docker/config.json", {"credsStore": "x"})
    helper(home, "x", "echo credentials not found in native keychain; exit 1")

    assert await credentials.find("ghcr.io") is None


@pytest.mark.parametrize("name", ["../../bin/sh", "x; id", "$(id)", "", "a b", "/bin/sh", "-x"])
async def test_r12_a_helpers_name_is_never_a_path_or_a_command(home, credentials, name):
    write(home / ".docker/config.json", {"credHelpers": {"ghcr.io": name}})

    with pytest.raises(InvalidError, match="no helper's name"):
        await credentials.find("ghcr.io")


async def test_r12_a_helper_in_the_working_directory_is_not_run(home, credentials, monkeypatch):
    write(home / ".docker/config.json", {"credsStore": "evil"})
    (home / "cwd").mkdir()
    path = home / "cwd/docker-credential-evil"
    path.write_text("#!/bin/sh\necho was here > was-here\n")
    path.chmod(0o755)
    monkeypatch.chdir(home / "cwd")

    with pytest.raises(UnavailableError, match="not installed"):
        await credentials.find("ghcr.io")
    assert not (home / "cwd/was-here").exists()


@pytest.mark.parametrize("script", ["echo s3cret; exit 3", "echo s3cret", "echo '[\"s3cret\"]'"])
async def test_a_helper_that_fails_is_told_without_its_output(home, credentials, script):
    write(home / ".docker/config.json", {"credsStore": "x"})
    helper(home, "x", script)

    with pytest.raises(UnavailableError) as caught:
        await credentials.find("ghcr.io")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["{half", "[]", '{"auths": {"ghcr.io": {"auth": "%%%"}}}'])
async def test_a_damaged_file_is_named(home, credentials, text):
    (home / ".docker/config.json").write_text(text)

    with pytest.raises(InvalidError, match=r"config\.json"):
        await credentials.find("ghcr.io")


def test_a_login_does_not_show_its_secrets():
    shown = repr(Login("me", "s3cret", identity_token="t0ken"))

    assert "s3cret" not in shown
    assert "t0ken" not in shown


# ── settings ─────────────────────────────────────────────────────────────────────────────


def read(tmp_path, text):
    path = tmp_path / "registries.toml"
    path.write_text(text)
    return Registries.read(path)


def test_mirrors_come_first_each_with_its_own_exceptions(tmp_path):
    registries = read(
        tmp_path,
        '[registry."docker.io"]\nmirrors = ["a.lan:5000", "b.lan/hub"]\n'
        '[registry."a.lan:5000"]\nplain_http = true\n'
        '[registry."b.lan"]\nskip_verify = true\n',
    )

    first, second, last = registries.endpoints(parse_reference("redis:7"))

    assert (first.host, first.repository, first.plain_http) == ("a.lan:5000", "library/redis", True)
    assert (second.host, second.repository) == ("b.lan", "hub/library/redis")
    assert (second.plain_http, second.skip_verify) == (False, True)
    assert (last.host, last.plain_http, last.skip_verify) == ("registry-1.docker.io", False, False)


def test_r9_without_a_file_nothing_is_insecure(tmp_path):
    (endpoint,) = Registries.read(tmp_path / "none").endpoints(parse_reference("a.lan/b"))

    assert (endpoint.plain_http, endpoint.skip_verify, endpoint.local) == (False, False, False)


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.8.8.8", True),
        ("[::1]:5000", True),
        ("localhost.evil.org", False),
        ("127.0.0.1.evil.org", False),
        ("10.0.0.1:5000", False),
    ],
)
def test_r9_only_this_machine_is_this_machine(name, local):
    assert Registries().endpoint(parse_reference(f"{name}/a")).local is local


def test_certificates_are_found_by_the_registrys_name(tmp_path):
    registries = read(tmp_path, f'certificates = ["{tmp_path}/certs.d"]\n')
    folder = tmp_path / "certs.d/a.lan:5000"
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_text("no certificate")

    with pytest.raises(InvalidError, match=r"ca\.crt"):
        registries.endpoint(parse_reference("a.lan:5000/b")).tls()
    registries.endpoint(parse_reference("other.lan/b")).tls()


# ── references and platforms ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UPPER",
        "a:",
        "a b",
        "a..b",
        "../etc/passwd",
        "a.lan/../../etc",
        "/etc/passwd",
        "http://a.lan/b",
        "user@host/a",
        "a.lan:99999999/b",
        "a@sha256:" + "A" * 64,
        "a@sha256:../../x",
        "a\n",
        "a:1\n",
        "é",
        "a" * 5000,
    ],
)
def test_what_is_no_reference_is_refused(text):
    try:
        found = parse_reference(text)
    except InvalidError:
        return
    assert text == "a:"
    assert str(found) == "docker.io/library/a:latest"


# ── configurations ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "said",
    [
        {"Entrypoint": 5},
        {"Cmd": ["a\0b"]},
        {"Env": ["A=b\0c"]},
        {"Volumes": {"/a\0": {}}},
        {"User": "\0"},
        {"WorkingDir": "/\0"},
        {"StopSignal": "x"},
        {"StopSignal": "SIGRTMIN+99"},
        {"StopSignal": "0"},
        {"Healthcheck": {"Test": ["CMD", "\0"]}},
    ],
    ids=str,
)
def test_m16_a_configuration_no_process_can_have_is_refused(said):
    with pytest.raises(InvalidError) as refused:
        parse_config(json.dumps({"config": said}).encode(), "x")

    assert refused.value.code == "image_config"
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "history", [5, [5], [{"created": 1}], [{"comment": ["x"]}], [{}] * 10_001], ids=lambda _: ""
)
def test_m16_a_history_that_is_none_is_refused(history):
    with pytest.raises(InvalidError) as refused:
        parse_config(json.dumps({"history": history}).encode(), "x")

    assert refused.value.code == "image_config"


def test_m16_a_variable_that_is_none_is_left_out():
    data = json.dumps({"config": {"Env": ["NOEQUALS", "A=b"]}, "history": [{}] * 9}).encode()

    assert parse_config(data, "x").settle().environment == ("A=b",)


def offered(*platforms):
    digest = "sha256:" + "0" * 63
    return Index.model_validate(
        {
            "manifests": [
                {
                    "digest": f"{digest}{number}",
                    "size": 1,
                    "platform": dict(
                        zip(("os", "architecture", "variant"), one.split("/"), strict=False)
                    ),
                }
                for number, one in enumerate(platforms)
            ]
        }
    )


@pytest.mark.parametrize(
    ("wanted", "platforms", "chosen"),
    [
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v7", "linux/arm/v5"], 1),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], 1),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v5"], 1),
        ("linux/arm64/v8", ["linux/arm64", "windows/arm64"], 0),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64"], 1),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
        ("linux/arm", ["linux/arm/v5", "linux/arm/v7"], 1),
        ("aarch64", ["linux/amd64", "linux/arm64/v8"], 1),
        ("x86_64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/amd64", ["unknown/unknown", "linux/386", "linux/amd64", "linux/amd64"], 2),
    ],
)
def test_r11_the_best_variant_a_machine_runs_is_chosen(wanted, platforms, chosen):
    found = choose_platform(offered(*platforms), "x", parse_platform(wanted))

    assert found.digest.endswith(str(chosen))


def test_r11_a_variant_that_needs_more_is_not_chosen():
    with pytest.raises(InvalidError, match="linux/amd64/v3"):
        choose_platform(offered("linux/amd64/v3"), "x", parse_platform("linux/amd64"))


@pytest.mark.parametrize("text", ["plan9", "linux/", "a/b/c/d", "linux/../x", "linux/amd 64", ""])
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(InvalidError):
        parse_platform(text)


def test_the_system_alone_is_this_machine():
    assert parse_platform("linux") == this_platform()


@pytest.mark.parametrize(
    ("image", "platform", "settled"),
    [
        ("nginx", "linux/arm64", "docker.io/library/nginx:latest (linux/arm64)"),
        ("r:5000/a:1", "aarch64", "r:5000/a:1 (linux/arm64)"),
        ("r:5000/a@sha256:" + "0" * 64, "linux/arm/v6", None),
    ],
)
def test_a_reference_may_say_for_which_platform(image, platform, settled):
    written = for_platform(image, platform)

    found = parse_reference(written)

    assert str(found.platform) == str(parse_platform(platform))
    assert settled is None or str(found) == settled
    assert parse_reference(str(found)) == found
    assert without_platform(written) == image
    assert without_platform(image) == image


@pytest.mark.parametrize("text", ["a (b", "a (linux/amd64) x", "a (plan9)", "a ()", "a(linux/arm)"])
def test_a_reference_for_what_is_no_platform_is_refused(text):
    with pytest.raises(InvalidError):
        parse_reference(text)
