"""Which files, which directory, which variables, which name, which profiles."""

import pytest

from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.spec.problems import SpecError
from orchestrator.spec.reading.discover import normal_name

A = "services: {a: {image: 'a:${TAG:-none}'}}\n"


@pytest.fixture
def find(write):
    """Load what is found from a directory below the files."""

    def find(written, below=".", environ=None, **more):
        root = write(written)
        (root / below).mkdir(parents=True, exist_ok=True)
        request = LoadRequest(cwd=root / below, environ=environ or {}, to_run=False, **more)
        return load_stack(request)

    return find


@pytest.mark.parametrize(
    ("names", "used"),
    [
        (["compose.yml", "compose.yaml"], "compose.yaml"),
        (["docker-compose.yaml", "docker-compose.yml"], "docker-compose.yml"),
        (["stack.yml", "docker-compose.yaml"], "docker-compose.yaml"),
        (["stack.yml"], "stack.yml"),
    ],
)
def test_a_file_is_found_by_its_name(find, names, used):
    found = find({name: f"services: {{s: {{image: '{name}'}}}}\n" for name in names})

    assert found.stack.services["s"].image == used
    assert ("is used, not" in "".join(found.warnings)) == (len(names) > 1)


def test_a_file_is_looked_for_in_the_directories_above(find, tmp_path):
    found = find({"compose.yaml": A + "x-p: 1\n"}, below="deep/er")

    assert found.stack.name == normal_name(tmp_path.name)


def test_an_override_beside_it_is_laid_over(find):
    found = find(
        {
            "compose.yaml": A,
            "docker-compose.override.yml": "services: {a: {user: docker}}\n",
            "compose.override.yaml": "services: {a: {user: short}}\n",
        }
    )

    assert found.stack.services["a"].user == "short"


def test_files_that_are_named_stand_alone(find, tmp_path):
    files = {
        "one.yml": A,
        "sub/two.yml": "services: {a: {volumes: ['./d:/d']}}\n",
        "compose.override.yml": "services: {b: {image: i}}\n",
    }

    found = find(files, files=("one.yml", "sub/two.yml"))

    assert sorted(found.stack.services) == ["a"]
    assert found.stack.services["a"].volumes[0].source == f"{tmp_path}/d"


def test_standard_input_is_a_file_like_others(find, tmp_path):
    found = find({}, files=("-",), stdin="services: {a: {build: .}}\n")

    assert found.stack.services["a"].build.context == str(tmp_path)


@pytest.mark.parametrize(
    ("environ", "files"),
    [
        ({"COMPOSE_FILE": "one.yml:two.yml"}, {}),
        ({"COMPOSE_FILE": "one.yml,two.yml", "COMPOSE_PATH_SEPARATOR": ","}, {}),
        ({}, {".env": "COMPOSE_FILE=one.yml:two.yml\n"}),
    ],
)
def test_a_variable_names_files(find, environ, files):
    files = {"one.yml": A, "two.yml": "services: {b: {image: b}}\n", **files}

    assert sorted(find(files, environ=environ).stack.services) == ["a", "b"]


@pytest.mark.parametrize(
    ("environ", "named", "tag"),
    [
        ({}, (), "dotenv"),
        ({"TAG": "shell"}, (), "shell"),
        ({"COMPOSE_DISABLE_ENV_FILE": "1"}, (), "none"),
        ({}, ("one.env",), "one"),
        ({}, ("one.env", "two.env"), "two"),
        ({"COMPOSE_ENV_FILES": "two.env,one.env"}, (), "one"),
        ({"TAG": "shell"}, ("one.env",), "shell"),
    ],
)
def test_variables_come_from_the_shell_then_from_files(find, environ, named, tag):
    files = {"compose.yaml": A, ".env": "TAG=dotenv\n"}
    files |= {f"{name}.env": f"TAG={name}\n" for name in ("one", "two")}

    found = find(files, environ=environ, env_files=named)

    assert found.stack.services["a"].image == f"a:{tag}"


def test_a_dotenv_file_is_looked_for_twice_and_the_second_only_adds(find):
    files = {
        "compose.yaml": "services: {a: {image: '${ONE}-${TWO}'}}\n",
        ".env": "ONE=above\nTWO=above\n",
        "sub/.env": "ONE=here\n",
    }

    assert find(files, below="sub").stack.services["a"].image == "here-above"


@pytest.mark.parametrize(
    ("files", "environ", "more", "name"),
    [
        ({}, {}, {"project_name": "flag"}, "flag"),
        ({}, {"COMPOSE_PROJECT_NAME": "env"}, {"project_name": "flag"}, "flag"),
        ({}, {"COMPOSE_PROJECT_NAME": "env"}, {}, "env"),
        ({".env": "COMPOSE_PROJECT_NAME=dotenv\n"}, {}, {}, "dotenv"),
        ({"compose.override.yml": "name: Over.Ride\n"}, {}, {}, "override"),
        ({"compose.override.yml": "name: ${N:-x}\n"}, {"N": "given"}, {}, "given"),
        ({}, {}, {"project_directory": "Some_Dir"}, "some_dir"),
    ],
)
def test_a_stack_has_a_name(find, files, environ, more, name):
    (named := {"compose.yaml": "name: file\n" + A}).update(files)
    if "project_directory" in more:
        named = {"Some_Dir/compose.yaml": A}

    found = find(named, environ=environ, **more)

    assert found.stack.name == name
    assert found.variables["COMPOSE_PROJECT_NAME"] == name


def test_a_stack_knows_its_own_name(find):
    text = "name: it\nservices: {a: {image: '$COMPOSE_PROJECT_NAME', environment: [PWD]}}\n"

    service = find({"compose.yaml": text}).stack.services["a"]

    assert service.image == "it"
    assert service.environment["PWD"]


@pytest.mark.parametrize(
    ("more", "services"),
    [
        ({}, ["on"]),
        ({"profiles": ("p",)}, ["on", "p", "pq"]),
        ({"profiles": ("*",)}, ["on", "p", "pq", "q"]),
        ({"environ": {"COMPOSE_PROFILES": "q, x"}}, ["on", "pq", "q"]),
        ({"environ": {"COMPOSE_PROFILES": "q"}, "profiles": ("p",)}, ["on", "p", "pq"]),
        ({"services": ("p",)}, ["p"]),
        ({"services": ("o*",)}, ["on"]),
    ],
)
def test_profiles_choose_services(find, more, services):
    text = "services:\n" + "".join(
        f"  {name}: {{image: i, profiles: {profiles}}}\n"
        for name, profiles in {"on": "[]", "p": "[p]", "q": "[q]", "pq": "[p, q]"}.items()
    )

    assert sorted(find({"compose.yaml": text}, **more).stack.services) == services


def test_a_service_that_is_named_brings_what_it_depends_on(find):
    text = (
        "services:\n  a: {image: i, depends_on: [b], networks: [n]}\n"
        "  b: {image: i, links: [c]}\n  c: {image: i}\n  d: {image: i, networks: [m]}\n"
        "networks: {n: , m: }\n"
    )

    found = find({"compose.yaml": text}, services=("a",)).stack

    assert sorted(found.services) == ["a", "b", "c"]
    assert sorted(found.networks) == ["default", "n"]


@pytest.mark.parametrize(
    ("files", "more", "expected"),
    [
        ({}, {}, "no stack file here or above"),
        ({"compose.yaml": A}, {"env_files": ("no.env",)}, "no.env: no such env file"),
        ({"compose.yaml": A}, {"files": ("no.yml",)}, "no.yml: cannot read it"),
        ({}, {"environ": {"COMPOSE_FILE": "no.yml"}}, "no.yml: no such stack file"),
        ({"compose.yaml": A}, {"project_name": "My App"}, "`My App` is no stack name"),
        ({"compose.yaml": A}, {"project_name": "-x"}, "is no stack name"),
        ({"compose.yaml": A}, {"environ": {"COMPOSE_PROJECT_NAME": "A"}}, "is no stack name"),
        ({"compose.yaml": A}, {"services": ("b",)}, "no such service: `b`"),
        ({"compose.yaml": A, ".env": "A=1\nB C=2\n"}, {}, ".env:2:1"),
        ({"compose.yaml": "# nothing\n"}, {}, "the file is empty"),
        ({"compose.yaml": "null\n"}, {}, "must be a mapping"),
        ({"compose.yaml": "[a]\n"}, {}, "must be a mapping"),
        ({"compose.yaml": "name: '${N:?set N}'\n" + A}, {}, "set N"),
    ],
)
def test_what_is_not_found_is_told(find, files, more, expected):
    with pytest.raises(SpecError) as refused:
        find(files, **more)

    assert expected in str(refused.value)
