"""What doctor finds on machines that are not this one."""

import os

import pytest

from runtime.doctor import has_filesystem


@pytest.fixture
def machine(tmp_path):
    """The root of a machine whose kernel has ext4 and no modules."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/filesystems").write_text("nodev\tproc\n\text4\n")
    return tmp_path


def add_module(machine, path):
    folder = machine / "lib/modules" / os.uname().release
    folder.mkdir(parents=True)
    (folder / "modules.dep").write_text(f"kernel/fs/{path}: kernel/lib/x.ko.xz\n")


def test_a_filesystem_the_kernel_knows_is_there(machine):
    assert has_filesystem("ext4", root=machine)


def test_a_filesystem_whose_module_nobody_needed_yet_is_there(machine):
    add_module(machine, "overlayfs/overlay.ko.xz")

    assert has_filesystem("overlay", root=machine)


def test_a_filesystem_of_another_name_is_not_taken_for_it(machine):
    add_module(machine, "x/myoverlay.ko")

    assert not has_filesystem("overlay", root=machine)


def test_a_kernel_without_modules_has_what_it_knows_and_nothing_else(machine):
    assert not has_filesystem("overlay", root=machine)
