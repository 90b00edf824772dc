"""Which platforms' programs a machine runs: its own, and those an emulator is registered for."""

import os

import pytest

from runtime.errors import UnsupportedError
from runtime.oci.emulation import check_platform

OTHER = "linux/arm64" if os.uname().machine == "x86_64" else "linux/amd64"
ENTRY = "enabled\ninterpreter /usr/bin/qemu\nflags: OCF\noffset 0\nmagic {magic}\nmask ff\n"
MAGICS = {
    "linux/arm64": "7f454c460201010000000000000000000200b700",
    "linux/amd64": "7f454c4602010100000000000000000002003e00",
    "linux/s390x": "7f454c4602020100000000000000000000020016",
}


def register(folder, text, name="qemu"):
    """Write what the kernel shows of one emulator, beside what else is there."""
    (folder / name).write_text(text)
    (folder / "status").write_text("enabled\n")
    return folder


@pytest.mark.parametrize("text", ["linux", f"linux/{os.uname().machine}"])
def test_a_machines_own_programs_run(text, tmp_path):
    check_platform(text, registered=tmp_path)


def test_others_are_refused_with_what_this_machine_is_and_what_helps(tmp_path):
    with pytest.raises(UnsupportedError, match=f"{OTHER}.*: this machine is linux/") as told:
        check_platform(OTHER, registered=tmp_path / "none")

    assert "register an emulator" in told.value.hint


@pytest.mark.parametrize("platform", [OTHER, "linux/s390x"])
def test_others_run_where_an_emulator_is_registered(platform, tmp_path):
    check_platform(platform, registered=register(tmp_path, ENTRY.format(magic=MAGICS[platform])))


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY.format(magic=MAGICS["linux/s390x"]),
        ENTRY.format(magic=MAGICS[OTHER]).replace("enabled", "disabled"),
        ENTRY.format(magic=MAGICS[OTHER]).replace("OCF", "OC"),
        ENTRY.format(magic="7f454c46"),
        "enabled\ninterpreter /usr/bin/python\nflags: \nextension .py\n",
    ],
    ids=["other machine", "disabled", "not held open", "short", "by extension"],
)
def test_an_emulator_that_is_none_for_them_is_none(entry, tmp_path):
    with pytest.raises(UnsupportedError):
        check_platform(OTHER, registered=register(tmp_path, entry))


def test_another_system_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="windows/amd64"):
        check_platform("windows/amd64", registered=tmp_path)
