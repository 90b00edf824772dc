"""`driver_opts` become the arguments of mount(2) that Docker's local driver would use."""

import pytest

from runtime.errors import InvalidError
from runtime.mountoptions import MS_RELATIME, MS_SHARED, MountCall, parse_mount_options
from runtime.syscalls import MS_BIND, MS_NODEV, MS_NOSUID, MS_RDONLY, MS_REC


def parse(o, kind="ext4", device="/dev/sdz1"):
    options = {"type": kind, "device": device, "o": o}
    return parse_mount_options("shop_data", options, resolve=lambda host: f"<{host}>")


def test_flags_are_set_and_cleared_in_order_and_the_rest_goes_to_the_filesystem():
    call = parse("ro,nosuid,nodev,relatime,data=ordered,suid,defaults,barrier")

    assert call == MountCall(
        source="/dev/sdz1",
        fstype="ext4",
        flags=MS_RDONLY | MS_NODEV | MS_RELATIME,
        data="data=ordered,barrier",
    )


def test_a_bind_of_everything_below_and_its_propagation():
    call = parse("rbind,rshared,nosuid", "none", "/srv")

    assert call.flags == MS_BIND | MS_REC | MS_NOSUID
    assert call.propagation == MS_SHARED | MS_REC
    assert call.data == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs"])
def test_the_name_of_a_file_server_becomes_its_address(kind):
    call = parse("addr=files.example.com,rw,nfsvers=4,soft", kind, ":/export")

    assert call.data == "addr=<files.example.com>,nfsvers=4,soft"
    assert (call.source, call.fstype, call.flags) == (":/export", kind, 0)


@pytest.mark.parametrize("address", ["10.0.0.7", "fd00::7"])
def test_an_address_stays_as_it_is(address):
    assert parse(f"addr={address}", "nfs", ":/export").data == f"addr={address}"


def test_only_file_servers_have_addresses():
    assert parse("addr=files").data == "addr=files"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"type": "nfs", "o": "ro"}, "`device` is missing"),
        ({"device": "/dev/sdz1"}, "`type` is missing"),
        ({"type": "ext4", "device": "/dev/sdz1", "size": "1g"}, "`size` is no option"),
    ],
)
def test_what_means_nothing_is_refused(options, said):
    with pytest.raises(InvalidError, match=said):
        parse_mount_options("shop_data", options, resolve=str)
