"""Names: who resolves what, and that nobody resolves or reaches what is another's."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from runtime.network.netns import run_inside
from tests.lab import (
    AAAA,
    NO_SUCH_NAME,
    WITH_PYTHON,
    Answer,
    answer_with,
    eventually,
    serving,
)

pytestmark = pytest.mark.root

SLEEPER = "image: busybox, command: sleep 1000, stop_grace_period: 0s"

SHOP = f"""
name: shop
services:
  web: {{ {SLEEPER}, networks: {{front: {{aliases: [www]}}, back: {{}}}}, container_name: the-web }}
  db: {{ {SLEEPER}, networks: [back], scale: 2, deploy: {{endpoint_mode: dnsrr}} }}
  my_cache.v2: {{ {SLEEPER}, networks: [back] }}
  edge: {{ {SLEEPER}, networks: [front] }}
networks: {{front: {{}}, back: {{}}}}
"""


def bring_up_shop(lab):
    lab.pyorch.write(SHOP)
    lab.pyorch.run("up", "-d", "--wait")
    return lab


@pytest.fixture(scope="module")
def shop(shared_lab):
    """One for all tests that leave it as they find it."""
    return bring_up_shop(shared_lab)


@pytest.fixture
def own_shop(lab):
    return bring_up_shop(lab)


@pytest.fixture
def addresses(shop):
    return {name: one["Addresses"] for name, one in shop.pyorch.ps("shop").items()}


@pytest.mark.attribute("services.*.container_name")
def test_container_name_is_what_a_container_is_called_and_nobody_elses(pyorch):
    service = (
        "{image: busybox, command: sleep 1000, stop_grace_period: 0s, container_name: the-web}"
    )
    text = f"name: shop\nservices:\n  web: {service}\n"
    pyorch.write(text)

    done = pyorch.try_("up", "-d", "--wait")
    pyorch.write(text.replace("shop", "blog"), "blog.yml")
    refused = pyorch.try_("-f", "blog.yml", "up", "-d")

    assert "Container the-web Started" in done.err
    assert list(pyorch.ps("shop")) == ["the-web"]
    assert refused.code == 1
    told = "services.web.container_name: a container of stack `shop` is called `the-web`"
    assert told in refused.err
    pyorch.run("down", "-t", "0")
    pyorch.run("-f", "blog.yml", "up", "-d", "--wait")
    assert list(pyorch.ps("blog")) == ["the-web"]


@pytest.mark.attribute("services.*.container_name", "services.*.networks.*.aliases")
def test_a_replica_knows_the_names_of_its_own_networks_and_no_others(shop, addresses):
    web = {addresses["the-web"][net] for net in ("shop_front", "shop_back")}
    db = {addresses[f"shop-db-{slot}"]["shop_back"] for slot in (1, 2)}

    def known(container, name):
        return set(shop.query(container, name).addresses)

    assert known("shop/web.1", "db") == db
    assert known("shop/web.1", "shop-db-2") == {addresses["shop-db-2"]["shop_back"]}
    assert known("shop/web.1", "my_cache.v2") == {addresses["shop-my_cache.v2-1"]["shop_back"]}
    for name in ("web", "the-web"):
        assert known("shop/web.1", name) == web
        assert known("shop/edge.1", name) == {addresses["the-web"]["shop_front"]}
        assert known("shop/db.1", name) == {addresses["the-web"]["shop_back"]}
    assert known("shop/edge.1", "www") == {addresses["the-web"]["shop_front"]}
    assert shop.query("shop/db.1", "www").code == NO_SUCH_NAME
    assert shop.query("shop/edge.1", "db").code == NO_SUCH_NAME
    assert shop.query("shop/db.1", "edge").code == NO_SUCH_NAME


@pytest.mark.attribute("services.*.deploy.endpoint_mode")
def test_answers_are_short_lived_and_rotate(shop):
    answers = [shop.query("shop/web.1", "db") for _ in range(8)]

    assert all(answer.longest <= 1 for answer in answers)
    assert len({answer.addresses[0] for answer in answers}) == 2


def test_a_known_name_without_such_an_address_has_no_data(shop):
    assert shop.query("shop/web.1", "db", AAAA) == Answer(0)


def test_an_unknown_name_of_one_label_does_not_exist(shop):
    assert shop.query("shop/web.1", "nobody").code == NO_SUCH_NAME
    assert shop.query("shop/web.1", "nobody", AAAA).code == NO_SUCH_NAME


def upstream():
    """Return the nameserver this machine is told to use."""
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("nameserver"))


def test_other_names_are_asked_for_upstream(shop):
    shop.run("stranger", "ip", "address", "add", f"{upstream()}/32", "dev", "lo")
    with shop.socket("stranger", socket.SOCK_DGRAM) as channel:
        channel.bind((upstream(), 53))
        with serving(channel, answer_with("203.0.113.9")) as heard:
            found = shop.query("shop/web.1", "example.org")
            shop.query("shop/web.1", "nobody")
            shop.query("shop/web.1", "nobody", AAAA)

    assert found.addresses == ("203.0.113.9",)
    assert all(b"nobody" not in query for query in heard)


def test_members_of_internal_networks_alone_ask_nobody_outside(lab):
    lab.pyorch.write(
        f"name: shut\nservices:\n  a: {{ {SLEEPER} }}\nnetworks: {{default: {{internal: true}}}}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")
    lab.run("stranger", "ip", "address", "add", f"{upstream()}/32", "dev", "lo")
    with lab.socket("stranger", socket.SOCK_DGRAM) as channel:
        channel.bind((upstream(), 53))
        with serving(channel, lambda query: query) as heard:
            assert lab.query("shut/a.1", "secret.example.org").code == NO_SUCH_NAME

    assert heard == []


SICK = f"""
name: sick
services:
  db:
    {{ {SLEEPER}, scale: 2,
      healthcheck: {{test: ["CMD", "sh", "-c", "[ ! -e /sick ]"], interval: 1s, retries: 1}} }}
  all:
    {{ {SLEEPER}, scale: 2, x-pyorch: {{dns: all}},
      healthcheck: {{test: ["CMD", "sh", "-c", "[ ! -e /sick ]"], interval: 1s, retries: 1}} }}
  web: {{ {SLEEPER} }}
"""


@pytest.mark.attribute("services.*.x-pyorch.dns")
def test_names_lead_to_ready_replicas_or_to_all_that_run(lab):
    lab.pyorch.write(SICK)
    lab.pyorch.run("up", "-d", "--wait")
    first, second = (lab.address("sick", f"sick-db-{n}", "sick_default") for n in (1, 2))

    def known(name):
        return set(lab.query("sick/web.1", name).addresses)

    assert known("db") == {first, second}
    lab.inside("sick", "db", "touch", "/sick")
    lab.inside("sick", "all", "touch", "/sick")
    eventually(lambda: known("db"), lambda found: found == {second})
    assert known("sick-db-1") == {first}, "who asks for one replica gets it"
    assert lab.query("sick/db.1", "sick-db-1").addresses == (first,)
    everywhere = known("all")
    assert len(everywhere) == 2
    lab.pyorch.run("-p", "sick", "exec", "-T", "--index", "2", "db", "touch", "/sick")
    eventually(lambda: known("db"), lambda found: found == {first, second})


def test_two_stacks_do_not_know_or_reach_each_other(lab):
    for name in ("one", "two"):
        text = f"name: {name}\nservices:\n  {name}:{WITH_PYTHON}"
        text += '    command: "/usr/bin/python3 /answer.py 80"\n'
        text += f"  too:{WITH_PYTHON}    command: sleep 1000\n"
        lab.pyorch.write(text)
        lab.pyorch.run("up", "-d", "--wait")
    theirs = lab.address("two", "two-two-1", "two_default")
    eventually(
        lambda: lab.from_container("two", "too", "two", 80), lambda found: found.startswith("two-1")
    )
    server = lab.inside("two", "two", "cat", "/etc/resolv.conf").split()[1]

    assert lab.query("one/one.1", "two").code == NO_SUCH_NAME
    assert lab.query("one/one.1", "two-two-1").code == NO_SUCH_NAME
    with pytest.raises(TimeoutError):
        lab.query_at("one/one.1", server, "two")
    assert lab.from_container("one", "one", theirs, 80) == ""
    path = Path(f"/proc/{lab.pyorch.main_process('one/one.1')}/ns/net")
    with run_inside(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as channel:
        channel.settimeout(0.5)
        channel.sendto(b"x", (theirs, 80))
        with pytest.raises(TimeoutError):
            channel.recv(100)


def test_a_container_cannot_speak_under_a_foreign_address(lab):
    lab.pyorch.write(f"name: liar\nservices:\n  a: {{ {SLEEPER} }}\n")
    lab.pyorch.run("up", "-d", "--wait")
    path = Path(f"/proc/{lab.pyorch.main_process('liar/a.1')}/ns/net")
    lab.run("host", "ip", "address", "add", "198.18.9.9/32", "dev", "lo")

    def lie():
        subprocess.run(["ip", "address", "add", "10.1.2.3/32", "dev", "eth0"], check=True)
        channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.bind(("10.1.2.3", 0))
        return channel

    with lab.socket("host", socket.SOCK_DGRAM) as ear, run_inside(path, lie) as mouth:
        lab.run("host", "ip", "route", "add", "10.1.2.3/32", "via", "198.18.0.2")
        lab.run("host", "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")
        ear.bind(("198.18.9.9", 7777))
        ear.settimeout(0.5)
        mouth.sendto(b"lie", ("198.18.9.9", 7777))
        with pytest.raises(TimeoutError):
            ear.recv(100)


def test_an_external_network_joins_two_stacks(lab):
    lab.pyorch.write(
        f"name: one\nservices:\n  web: {{ {SLEEPER}, networks: [default, shared] }}\n"
        "networks: {default: {}, shared: {name: meet}}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")
    lab.pyorch.write(
        f"name: two\nservices:\n  app: {{ {SLEEPER}, networks: [default, shared] }}\n"
        f"  lone: {{ {SLEEPER} }}\n"
        "networks: {default: {}, shared: {name: meet, external: true}}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")

    web = lab.address("one", "one-web-1", "meet")
    assert lab.query("two/app.1", "web").addresses == (web,)
    assert lab.query("two/lone.1", "web").code == NO_SUCH_NAME
    assert lab.query("one/web.1", "app").addresses == (lab.address("two", "two-app-1", "meet"),)
    assert lab.query("one/web.1", "lone").code == NO_SUCH_NAME


def resolvers(lab):
    folder = lab.pyorch.settings.run / "dns"
    return [int(path.read_text()) for path in sorted(folder.glob("*.pid"))]


def test_f47_a_killed_resolver_comes_back_with_its_names(own_shop):
    before = resolvers(own_shop)
    known = own_shop.query("shop/web.1", "db").addresses
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def again():
        try:
            return own_shop.query("shop/web.1", "db")
        except OSError:
            return Answer(2)

    found = eventually(again, lambda answer: answer.code == 0)
    assert sorted(found.addresses) == sorted(known)
    assert set(resolvers(own_shop)).isdisjoint(before)


def test_f47_names_resolve_while_the_daemon_is_dead_and_follow_when_it_is_back(own_shop):
    server = own_shop.nameserver("shop/web.1")
    os.kill(own_shop.pyorch.daemon_pid(), signal.SIGKILL)

    assert len(own_shop.query_at("shop/web.1", server, "db").addresses) == 2

    own_shop.pyorch.run("up", "-d", "--wait", "--scale", "db=1")
    eventually(
        lambda: own_shop.query("shop/web.1", "db").addresses, lambda addresses: len(addresses) == 1
    )


def test_resolvers_run_as_nobody_where_nobody_can_reach_their_files(shop):
    assert {owner(pid) for pid in resolvers(shop)} == {"root"}, "below a private directory"


def owner(pid):
    return pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name


@pytest.fixture
def public(lab):
    """The lab's pyorch with its run directory where it is by default: everybody may enter."""
    lab.pyorch.run("daemon", "stop")
    folder = Path(f"/run/pyorch-{lab.pyorch.name}")
    lab.pyorch.environment["PYORCH_RUN"] = str(folder)
    yield lab
    left = lab.pyorch.clean()
    shutil.rmtree(folder)
    lab.pyorch.environment["PYORCH_RUN"] = str(lab.pyorch.home / "run")
    assert left == []


def test_resolvers_run_as_nobody_and_still_learn_new_names(public):
    public.pyorch.write(SHOP)
    public.pyorch.run("up", "-d", "--wait")

    assert {owner(pid) for pid in resolvers(public)} == {"nobody"}
    assert len(public.query("shop/web.1", "db").addresses) == 2
    public.pyorch.run("up", "-d", "--wait", "--scale", "db=3")
    eventually(lambda: public.query("shop/web.1", "db").addresses, lambda found: len(found) == 3)
