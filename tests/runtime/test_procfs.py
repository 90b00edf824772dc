"""What others choose a part of is read for what it is, and leads nobody astray."""

import os
import subprocess
import sys

import pytest

from runtime import procfs
from runtime.build.gate import Mounts

LINE = b"%d 1 8:1 / %s rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
NAMES = [
    b"/plain",
    b"/a\\040b\\134c",
    b"/\xff\xfe",
    b"/a\rb",
    "/a\x85\u2028\xa0b".encode(),
    b"/\x0b\x1c",
]


def test_every_mount_is_read_whatever_a_mount_point_is_called():
    table = b"".join(LINE % (number, name) for number, name in enumerate(NAMES))

    found = procfs.parse_mounts(table)

    plain = [NAMES[0], b"/a b\\c", *NAMES[2:]]
    assert [os.fsencode(one.point) for one in found] == plain
    assert {(one.fstype, one.options) for one in found} == {("ext4", "rw,errors=remount-ro")}


def test_the_gate_of_builds_reads_every_mount_too():
    table = b"".join(LINE % (number, name) for number, name in enumerate(NAMES))

    mounts = Mounts((table + LINE % (9, b"/")).decode(errors="surrogateescape"))

    assert mounts.origin("/somewhere").device == "8:1"


@pytest.fixture
def named():
    """A process that calls itself something with every byte that could hurt."""
    code = (
        "import sys; open('/proc/self/comm', 'wb').write(b'\\xff) Z 1\\r\\x1b[31m');"
        "print(flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    yield process.pid
    process.communicate()


def test_what_a_process_calls_itself_says_nothing_of_its_state(named):
    fields = procfs.stat_of(named)

    assert fields[0] in "SRD"
    assert int(fields[1]) == os.getpid()


def test_what_a_process_calls_itself_is_told_in_marks_no_terminal_obeys(named):
    assert procfs.name_of(named) == "\ufffd) Z 1??[31m"


def test_the_groups_of_a_process_are_paths():
    assert all(one.startswith("/") for one in procfs.groups_of(os.getpid()))
