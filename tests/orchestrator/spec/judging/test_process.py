"""What a service asks of its processes: read once, and refused where it cannot be had."""

import pytest

from orchestrator.spec.judging import process
from orchestrator.spec.values.confinement import Security, Share, option, security, share
from orchestrator.translate.devices import cdi_names
from runtime.oci import capabilities, rlimits

HEAD = "name: s\nservices:\n  a:\n    image: i\n"

REFUSED = {
    "annotations: {run.oci.handler: krun}": "would steer the runtime",
    "annotations: {org.systemd.property.X: '1'}": "would steer the runtime",
    "cap_add: [NET_ADMN]": "`NET_ADMN` is no capability. did you mean `NET_ADMIN`?",
    "cap_drop: [everything]": "`everything` is no capability",
    "ulimits: {nofiles: 1}": "there is no limit `nofiles`. did you mean `nofile`?",
    "sysctls: {kernel.shm_max: '1'}": "`kernel.shm_max` is no container's own",
    "sysctls: {vm.swappiness: '1'}": "`vm.swappiness` is no container's own",
    "sysctls: {kernel.domainname: x}": "`kernel.domainname` has a key of its own",
    "sysctls: {net.core.somaxconn: '1'}\n    network_mode: host": "would be the host's own",
    "sysctls: {kernel.sem: '1'}\n    ipc: host": "would be the host's own",
    "domainname: a b": "`a b` is no domain",
    "runtime: 'a b'": "`a b` is no runtime",
    "working_dir: app": "`app` is no absolute path",
    "ipc: all": "`all` is not one of private, shareable, host, none",
    "pid: mine": "`mine` is not one of private, host",
    "uts: container": "`container` is not one of private, host",
    "userns_mode: keep-id": "there are no user namespaces",
    "network_mode: bridged": "`bridged` is not one of bridge, host, none",
    "uts: host\n    hostname: h": "`hostname` and `uts: host` exclude each other",
    "security_opt: ['no-new-privs']": "no security option `no-new-privs`",
    "security_opt: ['no-new-privileges:maybe']": "`maybe` is neither true nor false",
    "security_opt: ['systempaths=open']": "`open` is not `unconfined`",
    "security_opt: [seccomp]": "`seccomp` says nothing",
    "security_opt: ['seccomp=./none.json']": "none.json",
    "devices: [fuse]": "`fuse` is no device",
    "devices: ['/dev/fuse:/dev/fuse:rwx']": "`rwx` is not made of r, w and m",
    "devices: ['/dev/fuse:dev']": "`dev` is no absolute path",
    "device_cgroup_rules: ['c 1 rwm']": "`c 1 rwm` is no rule about devices",
    "gpus: [{driver: intel}]": "there is no driver `intel`",
    "gpus: [{driver: cdi}]": "the driver `cdi` needs `device_ids`",
    "gpus: [{driver: cdi, device_ids: [gpu0]}]": "`gpu0` is no name of a device",
    "deploy: {resources: {reservations: {devices: [{capabilities: [tpu]}]}}}": "nobody provides",
    "tmpfs: ['/x:size=1m,sized=2']": "`sized=2` is no option of a directory in memory",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_had_is_refused_where_it_stands(complain, load, text):
    said = complain(f"{HEAD}    {text}\n", to_run=True)

    assert REFUSED[text].split(". did")[0] in said
    assert REFUSED[text].partition(". ")[2] in said
    assert "services.a." in said
    assert load(f"{HEAD}    {text}\n").stack.services, "`config` prints it"


@pytest.mark.parametrize(
    "text",
    [
        "annotations: {com.example.a: b}",
        "cap_add: [ALL, CAP_CHOWN, net_admin]",
        "devices: ['/dev/ttyUSB*', /dev/snd, 'vendor.com/class=one', '/dev/a:/dev/b:r']",
        "device_cgroup_rules: ['c 1:3 mr', 'a 7:* rwm', 'b *:* m']",
        "security_opt: ['label:disable', 'apparmor=x', 'seccomp:unconfined']",
        "sysctls: {net.ipv4.ip_forward: '1', kernel.shm_rmid_forced: '1', fs.mqueue.x: '2'}",
        "tmpfs: ['/x:rw,noexec,size=64m,mode=1777,uid=1,nr_inodes=5k']",
        "ulimits: {nofile: 5, core: -1}",
        "gpus: all",
        "userns_mode: host",
        "ipc: none",
        "pid: host",
    ],
)
def test_what_can_be_had_is_not_refused(load, text):
    assert load(f"{HEAD}    {text}\n", to_run=True).stack.services


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("no-new-privileges", "no-new-privileges", "true"),
        ("no-new-privileges:false", "no-new-privileges", "false"),
        ("seccomp=a:b", "seccomp", "a:b"),
        ("label:type:web=x", "label", "type:web=x"),
        ("seccomp:/a=b", "seccomp", "/a=b"),
    ],
)
def test_an_option_is_split_at_its_first_mark(text, name, value):
    assert option(text) == (name, value)


def test_the_last_option_of_a_kind_holds():
    found = security(["seccomp=unconfined", "seccomp:./p.json", "apparmor:mine", "apparmor=yours"])

    assert found == Security(seccomp="./p.json", apparmor="yours")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", Share("")),
        ("host", Share("host")),
        ("service:web", Share("service", "web")),
        ("container:a:b", Share("container", "a:b")),
    ],
)
def test_whose_namespace_it_is_stands_behind_the_first_colon(value, expected):
    assert share(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpus: all", ("nvidia.com/gpu=all",)),
        ("gpus: [{count: 2}]", ("nvidia.com/gpu=0", "nvidia.com/gpu=1")),
        ("gpus: [{driver: amd, device_ids: ['3']}]", ("amd.com/gpu=3",)),
        ("gpus: [{driver: cdi, device_ids: ['a.b/c=d']}]", ("a.b/c=d",)),
        ("devices: ['a.b/c=d', /dev/null]", ("a.b/c=d",)),
    ],
)
def test_devices_are_asked_for_by_the_names_their_makers_gave_them(load, text, expected):
    service = load(f"{HEAD}    {text}\n").stack.services["a"]

    assert cdi_names(service) == expected


def test_what_the_file_may_name_is_what_the_runtime_knows():
    assert {f"CAP_{name}" for name in process.CAPABILITIES} - {"CAP_ALL"} == capabilities.ALL
    assert set(process.ULIMITS) == set(rlimits.NAMES)
