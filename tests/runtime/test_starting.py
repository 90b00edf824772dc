"""What runtimes say of a program they cannot run, as they say it."""

import pytest

from runtime.oci.starting import unrunnable

RUNC = 'runc create failed: unable to start container process: exec: "{}": {}'


@pytest.mark.parametrize(
    ("complaint", "code", "told"),
    [
        (
            RUNC.format("no-such", "executable file not found in $PATH"),
            127,
            "its program `no-such` was not found",
        ),
        (
            RUNC.format("/none", "stat /none: no such file or directory"),
            127,
            "its program `/none` was not found",
        ),
        (
            RUNC.format("/text", "permission denied"),
            126,
            "its program `/text` cannot be run: permission denied",
        ),
        (
            "executable file `no-such` not found in $PATH: No such file or directory",
            127,
            "its program `no-such` was not found",
        ),
        (
            "executable file `/none` not found: No such file or directory",
            127,
            "its program `/none` was not found",
        ),
        (
            "the path `/text` exists but it is not executable: Operation not permitted",
            126,
            "its program `/text` cannot be run: permission denied",
        ),
        ("open executable: Permission denied", 126, "its program cannot be run: permission denied"),
        ("open executable: No such file or directory", 127, "its program was not found"),
    ],
)
def test_a_program_that_cannot_be_run_is_known_from_the_words_of_every_runtime(
    complaint, code, told
):
    assert unrunnable(complaint) == (code, told)


def test_other_complaints_are_about_no_program():
    assert unrunnable("mount `proc` to `proc`: Operation not permitted") is None
