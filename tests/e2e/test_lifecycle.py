"""A stack comes up, stays up, changes and goes away, as somebody at a terminal sees it."""

import os
import shutil
import signal
import urllib.request

import pytest

from tests.patience import patient

pytestmark = pytest.mark.root

SHOP = """
name: shop
services:
  db:
    image: busybox
    command: sh -c 'echo up >> /data/starts; exec sleep 1000'
    init: true
    volumes: [data:/data]
    networks: [back]
    healthcheck: {test: "true", interval: 1s}
    restart: always
    stop_grace_period: 1s
  web:
    image: busybox
    command: sh -c 'mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www'
    networks: [front, back]
    scale: 2
    depends_on: {db: {condition: service_healthy}}
    ports: ["127.0.0.1:0:80"]
    restart: always
    mem_limit: 64m
    cpus: 0.5
    stop_grace_period: 1s
networks: {front: {}, back: {}}
volumes: {data: {}}
""".replace("    init: true\n", "")


def bring_up_shop(pyorch):
    pyorch.write(SHOP.replace('ports: ["127.0.0.1:0:80"]', "expose: [80]"))
    pyorch.run("up", "-d", "--wait")
    return pyorch


@pytest.fixture(scope="module")
def shop(begun):
    """One for all tests that leave it as they find it."""
    return bring_up_shop(begun)


@pytest.fixture
def own_shop(pyorch):
    return bring_up_shop(pyorch)


def test_up_starts_everything_in_order_and_ps_tells_it(shop):
    listed = shop.ps("shop")

    assert sorted(listed) == ["shop-db-1", "shop-web-1", "shop-web-2"]
    assert {one["State"] for one in listed.values()} == {"running"}
    assert listed["shop-db-1"]["Health"] == "healthy"


def test_a_second_up_changes_nothing(shop):
    before = {name: shop.main_process(name) for name in ("shop/db.1", "shop/web.1", "shop/web.2")}

    assert shop.try_("plan").code == 0
    shop.run("up", "-d", "--wait")

    assert {name: shop.main_process(name) for name in before} == before


def test_a_changed_service_is_the_only_one_made_again(own_shop):
    before = own_shop.main_process("shop/db.1")
    own_shop.write(
        (own_shop.work / "stack.yml").read_text().replace("mem_limit: 64m", "mem_limit: 48m")
    )

    assert own_shop.try_("plan").code == 2
    own_shop.run("up", "-d", "--wait")

    assert own_shop.main_process("shop/db.1") == before
    assert own_shop.try_("plan").code == 0


def test_a_killed_process_runs_again_with_its_data(own_shop):
    for pid in own_shop.processes("shop/db.1"):
        os.kill(pid, signal.SIGKILL)

    own_shop.until(
        "shop",
        lambda state: any(
            one["restarts"] and one["phase"] == "running" for one in state["replicas"]
        ),
    )

    assert own_shop.run("-p", "shop", "exec", "-T", "db", "cat", "/data/starts") == "up\nup\n"


def test_data_survives_down_and_goes_with_down_v(own_shop):
    own_shop.run("down")
    own_shop.run("up", "-d", "--wait")
    assert own_shop.run("-p", "shop", "exec", "-T", "db", "cat", "/data/starts") == "up\nup\n"

    own_shop.run("down", "-v")

    assert list((own_shop.settings.data / "volumes").iterdir()) == []


def test_exec_carries_streams_and_the_exit_code(shop):
    done = shop.try_(
        "-p", "shop", "exec", "-T", "web", "sh", "-c", "cat; echo no >&2; exit 7", stdin="yes"
    )

    assert (done.code, done.out, done.err) == (7, "yes", "no\n")


def test_more_than_anything_between_can_hold_goes_through_a_command_and_back(shop):
    text = "a line of text\n" * 1_000_000

    assert shop.run("-p", "shop", "exec", "-T", "web", "cat", stdin=text) == text


def test_names_resolve_on_shared_networks_only(shop):
    in_web = shop.run("-p", "shop", "exec", "-T", "web", "nslookup", "db")
    addresses = shop.ps("shop")["shop-db-1"]["Addresses"]

    assert addresses["shop_back"] in in_web
    assert shop.try_("-p", "shop", "exec", "-T", "web", "nslookup", "nobody").code == 1


def test_one_network_cannot_reach_the_other(shop):
    front = shop.ps("shop")["shop-web-1"]["Addresses"]["shop_front"]
    ask = ["exec", "-T", "db", "timeout", f"{patient(1):.0f}", "nc", front, "80"]

    assert shop.try_("-p", "shop", *ask, stdin="GET /\n").out == ""


def test_the_limits_hold_where_the_kernel_keeps_them(shop):
    inside = shop.run("-p", "shop", "exec", "-T", "web", "cat", "/proc/self/cgroup")

    assert inside
    found = [
        path.read_text().strip()
        for path in (
            *shop_groups(shop, "memory.limit_in_bytes"),
            *shop_groups(shop, "memory.max"),
        )
    ]
    assert str(64 * 1024 * 1024) in found


def shop_groups(shop, file):
    from pathlib import Path

    name = shop.settings.instance().cgroup
    roots = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")]
    paths = [root / name / "shop" / "web.1" / file for root in roots]
    return [path for path in paths if path.exists()]


def test_attached_up_prints_logs_and_ctrl_c_stops_in_reverse_order(pyorch):
    pyorch.write(
        """
        name: loud
        services:
          a: {image: busybox, command: "sh -c 'echo hello; exec sleep 100'", stop_grace_period: 0s}
        """
    )
    process = pyorch.start("up")
    assert process.stdout.readline().rstrip().endswith("| hello")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=patient(30))

    assert process.returncode == 0, err
    assert "stopping..." in err
    assert pyorch.ps("loud")["loud-a-1"]["State"] == "exited"
    assert out == ""


@pytest.mark.attribute("services.*.attach")
def test_attach_false_leaves_a_service_out_of_an_attached_up_and_not_out_of_logs(pyorch):
    pyorch.write(
        """
        name: half
        services:
          shown: {image: busybox, command: [echo, loud]}
          hidden: {image: busybox, command: [echo, quiet], attach: false}
        """
    )
    done = pyorch.try_("up")

    assert done.code == 0, done.err
    assert [line.partition("| ")[2] for line in done.out.splitlines()] == ["loud"]
    assert "quiet" in pyorch.run("logs")


def test_attached_up_ends_when_everything_has_ended(pyorch):
    pyorch.write(
        "name: once\nservices:\n  a: {image: busybox, command: \"sh -c 'echo first; echo last'\"}\n"
    )

    done = pyorch.try_("up")

    assert done.code == 0, done.err
    assert [line.partition("| ")[2] for line in done.out.splitlines()] == ["first", "last"]


def test_logs_follow_and_tail(pyorch):
    pyorch.write(
        """
        name: count
        services:
          a: {image: busybox, command: "sh -c 'seq 3; read x; exec sleep 100'",
              stdin_open: true, stop_grace_period: 0s}
        """
    )
    pyorch.run("up", "-d", "--wait")
    process = pyorch.start("-p", "count", "logs", "-f", "--tail", "2")

    lines = [process.stdout.readline().rstrip().partition("| ")[2] for _ in range(2)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=patient(10))

    assert lines == ["2", "3"]
    assert "2026" not in pyorch.run("-p", "count", "logs")
    assert "T" in pyorch.run("-p", "count", "logs", "-t", "--tail", "1")


def test_a_last_line_without_an_end_is_shown_for_every_run(pyorch):
    pyorch.write(
        """
        name: short
        services:
          a:
            image: busybox
            command: "sh -c 'printf %s no-end; exit 1'"
            restart: on-failure:1
        """
    )
    done = pyorch.try_("up")
    assert done.code == 1, done.err

    lines = pyorch.run("-p", "short", "logs", "--no-log-prefix").splitlines()
    assert lines == ["no-end", "no-end"]


def test_a_line_said_in_pieces_is_followed_as_one(pyorch):
    pyorch.write(
        """
        name: pieces
        services:
          a:
            image: busybox
            command: >
              sh -c 'mkfifo /pipe/x; echo begin; cat /pipe/x; printf one; echo other >&2;
              cat /pipe/x; echo two'
            volumes: ["pipe:/pipe"]
        volumes: {pipe: {}}
        """
    )
    process = pyorch.start("up", "--no-log-prefix")
    assert process.stdout.readline() == "begin\n"
    pyorch.run("-p", "pieces", "exec", "-T", "a", "sh", "-c", ": > /pipe/x")
    # The other stream's line is there: the daemon has read beyond the beginning of the first.
    assert process.stdout.readline() == "other\n"
    pyorch.run("-p", "pieces", "exec", "-T", "a", "sh", "-c", ": > /pipe/x")
    out, err = process.communicate(timeout=patient(30))

    assert process.returncode == 0, err
    assert out == "onetwo\n"


def test_published_ports_answer_on_the_host(pyorch, free_port):
    pyorch.write(SHOP.replace("127.0.0.1:0:80", f"{free_port}:80"))
    pyorch.run("up", "-d", "--wait")
    address = f"http://127.0.0.1:{free_port}/"
    answers = {
        urllib.request.urlopen(address, timeout=patient(3)).read().decode().strip()
        for _ in range(4)
    }

    assert len(answers) == 2


def test_a_volume_another_stack_uses_outlives_down_v_of_the_one_that_made_it(pyorch):
    for name in ("one", "two"):
        pyorch.write(
            f"name: {name}\nservices:\n  a: {{image: busybox, command: sleep 1000,"
            " volumes: ['data:/data'], stop_grace_period: 0s}\n"
            "volumes: {data: {name: shared}}\n",
            f"{name}.yml",
        )
        pyorch.run("-f", f"{name}.yml", "up", "-d", "--wait")
    pyorch.run("-p", "one", "exec", "-T", "a", "touch", "/data/entry")

    down = pyorch.try_("-p", "one", "down", "-v")

    assert down.code == 0, down.err
    assert "Volume shared Kept: stack `two` uses it" in down.err
    assert pyorch.run("-p", "two", "exec", "-T", "a", "ls", "/data") == "entry\n"
    (pyorch.settings.data / "volumes" / "shared" / "_data" / "entry").unlink()
    pyorch.run("-p", "two", "down", "-v")
    assert [path.name for path in (pyorch.settings.data / "volumes").iterdir()] == ["shared"]
    shutil.rmtree(pyorch.settings.data / "volumes" / "shared")
