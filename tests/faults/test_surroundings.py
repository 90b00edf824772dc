"""What is usually there is not: a home, room in /tmp, a program, somebody who knows names."""

import os
from pathlib import Path

import pytest

from tests.faults.acts import bring_up
from tests.invariants import check_invariants
from tests.lab import STRANGER, Answer, eventually

pytestmark = pytest.mark.root

ASKING = f"""
name: shop
services:
  a: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, dns: ["{STRANGER}"]}}
  b: {{image: busybox, command: sleep 1000, stop_grace_period: 0s}}
"""


def test_f51_neither_a_home_nor_room_in_tmp_is_needed(pyorch):
    pyorch.run("daemon", "stop")
    for name in ("HOME", "USER", "XDG_CACHE_HOME", "LANG"):
        pyorch.environment.pop(name, None)
    pyorch.environment["TMPDIR"] = str(pyorch.home / "nowhere")

    bring_up(pyorch)

    check_invariants(pyorch)


@pytest.mark.parametrize(
    ("program", "package"),
    [("nft", "nftables"), ("conmon", "conmon"), ("dnsmasq", "dnsmasq-base")],
)
def test_f51_a_program_that_is_missing_is_told_with_what_installs_it(pyorch, program, package):
    pyorch.run("daemon", "stop")
    folder = pyorch.home / "programs"
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(":")):
        for path in Path(place).glob("*"):
            link = folder / path.name
            link.unlink(missing_ok=True)
            link.symlink_to(path)
    (folder / program).unlink()
    usual = pyorch.environment["PATH"]
    pyorch.environment["PATH"] = str(folder)
    pyorch.serve()
    pyorch.write("name: shop\nservices: {a: {image: busybox, command: sleep 1000}}\n")

    examined = pyorch.try_("doctor")
    refused = pyorch.try_("up", "-d", "--wait")

    assert examined.code == 1
    assert f"missing  {program}: not installed" in examined.out
    assert f"apt-get install {package}" in examined.out
    assert refused.code == 1
    assert program in refused.err
    assert "pyorch doctor" in refused.err
    assert "Traceback" not in refused.err
    pyorch.run("daemon", "stop")
    pyorch.environment["PATH"] = usual
    pyorch.serve()
    check_invariants(pyorch)


def test_f47_names_of_ones_own_resolve_while_nobody_else_answers(lab):
    bring_up(lab.pyorch, ASKING)
    # Whatever is sent to that server is lost, as on a broken way.
    unheard = f"""
        table ip lost {{
          chain unheard {{
            type filter hook input priority 0
            ip daddr {STRANGER} udp dport 53 drop
          }}
        }}
    """
    lab.run("stranger", "nft", "-f", "-", stdin=unheard)

    def ask():
        try:
            return lab.query("shop/a.1", "b")
        except OSError:
            return Answer(2)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            lab.query("shop/a.1", "somewhere.example")
        assert eventually(ask, lambda answer: answer.code == 0).addresses
    check_invariants(lab.pyorch)
