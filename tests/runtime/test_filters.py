"""A compiled seccomp filter is kept once, and handed to crun for the same rules only."""

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

from runtime.oci.filters import ANNOTATION, LARGEST, Filters


def bundle(action="SCMP_ACT_ERRNO"):
    return {"linux": {"seccomp": {"defaultAction": action}}}


@pytest.fixture
def filters(tmp_path):
    program = tmp_path / "crun"
    program.touch()
    return Filters(tmp_path / "kept", program)


def test_what_was_learned_goes_to_the_same_rules_and_no_others(filters, tmp_path):
    program = tmp_path / "seccomp.bpf"
    program.write_bytes(b"8 bytes!")
    key = filters.add_to(bundle())
    filters.learn(key, program)

    same, other = bundle(), bundle("SCMP_ACT_KILL")
    assert filters.add_to(same) is None
    assert filters.add_to(other) not in (None, key)
    assert base64.b64decode(same["annotations"][ANNOTATION]) == b"8 bytes!"
    assert "annotations" not in other


def test_many_that_learn_the_same_at_once_are_no_trouble(filters, tmp_path):
    program = tmp_path / "seccomp.bpf"
    program.write_bytes(b"8 bytes!" * 1000)
    key = filters.add_to(bundle())

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda _: filters.learn(key, program), range(200)))

    assert filters.add_to(bundle()) is None


@pytest.mark.parametrize("data", [b"", b"seven b", b"x" * (LARGEST + 8)])
def test_what_cannot_be_a_program_is_not_kept(filters, tmp_path, data):
    program = tmp_path / "seccomp.bpf"
    program.write_bytes(data)
    key = filters.add_to(bundle())

    filters.learn(key, program)

    assert filters.add_to(bundle()) == key


def test_other_runtimes_are_given_rules_alone(tmp_path):
    program = tmp_path / "runc"
    program.touch()
    given = bundle()

    assert Filters(tmp_path / "kept", program).add_to(given) is None
    assert given == bundle()
