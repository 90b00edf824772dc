"""A machine of a test's own, as far as networks go: a namespace for the host, one for a stranger.

The host's namespace has its own links, routes, firewall rules, connection tracking and
`ip_forward`; pyorch runs inside it. The stranger is one hop away and may route as it likes.
"""

import contextlib
import secrets
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runtime.network.netns import run_inside
from tests.instance import Pyorch
from tests.patience import patient

T = TypeVar("T")

HOST = "198.18.0.1"
STRANGER = "198.18.0.2"
HOST6 = "2001:db8:198::1"
STRANGER6 = "2001:db8:198::2"
GATE = "198.19.0.1"
NEIGHBOUR = "198.19.0.2"
PATIENCE = patient(20.0)
MOMENT = patient(2.0)
"""Seconds after which nobody answers any more."""
A, PTR, AAAA = 1, 12, 28
NO_SUCH_NAME = 3

ANSWERING = """
import os, selectors, socket, sys

port = int(sys.argv[1])
name = os.uname().nodename
both = {"family": socket.AF_INET6, "dualstack_ipv6": True}
tcp = socket.create_server(("", port), backlog=64, **both)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
udp.bind(("", port))


def shown(peer):
    return peer[0].removeprefix("::ffff:")


loop = selectors.DefaultSelector()
loop.register(tcp, selectors.EVENT_READ)
loop.register(udp, selectors.EVENT_READ)
while True:
    for key, _ in loop.select():
        one = key.fileobj
        if one is tcp:
            loop.register(tcp.accept()[0], selectors.EVENT_READ)
        elif one is udp:
            data, peer = udp.recvfrom(2048)
            udp.sendto(f"{name} {shown(peer)}".encode(), peer)
        else:
            try:
                data = one.recv(2048)
                if data:
                    one.sendall(f"{name} {shown(one.getpeername())}".encode())
                    continue
            except OSError:
                pass
            loop.unregister(one)
            one.close()
"""
"""Answers on TCP and UDP with its own name and the address it sees its client under."""

WITH_PYTHON = """
    image: busybox
    volumes: [/usr:/usr:ro, /usr/lib:/lib:ro, /usr/lib64:/lib64:ro, ./answer.py:/answer.py:ro]
    stop_grace_period: 0s
"""
"""Keys of a service that can run `/usr/bin/python3 /answer.py PORT`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a resolver said: its code (0 fine, 3 no such name) and the addresses, in order."""

    code: int
    addresses: tuple[str, ...] = ()
    longest: int = 0
    """Seconds the answer may be kept."""
    names: tuple[str, ...] = ()


def ask_for(name: str, kind: int) -> bytes:
    """Return a query as it goes over the wire."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", kind, 1)


def name_in(query: bytes) -> str:
    """Return the name a query asks for."""
    return _name(query, 12)


def read_answer(data: bytes) -> Answer:
    """Read the answer to a query for addresses or names."""
    _, flags, _, count, _, _ = struct.unpack_from(">6H", data)
    place = data.index(b"\0", 12) + 5
    found, names, longest = [], [], 0
    for _ in range(count):
        # A name that is a pointer, as every name in answers to these questions is.
        _, kind, _, life, length = struct.unpack_from(">HHHIH", data, place)
        place += 12
        if kind == A:
            found.append(socket.inet_ntoa(data[place : place + 4]))
            longest = max(longest, life)
        elif kind == AAAA:
            found.append(socket.inet_ntop(socket.AF_INET6, data[place : place + 16]))
        elif kind == PTR:
            names.append(_name(data, place))
        place += length
    return Answer(flags & 0xF, tuple(found), longest, tuple(names))


def _name(data: bytes, place: int) -> str:
    parts = []
    while size := data[place]:
        if size & 0xC0:
            place = (size & 0x3F) << 8 | data[place + 1]
            continue
        parts.append(data[place + 1 : place + 1 + size].decode())
        place += 1 + size
    return ".".join(parts)


def answer_with(address: str) -> Callable[[bytes], bytes]:
    """Return a name server that knows one address for every name."""

    def answer(query: bytes) -> bytes:
        question = query[12 : query.index(b"\0", 12) + 5]
        head = query[:2] + bytes.fromhex("8180 0001 0001 0000 0000")
        record = bytes.fromhex("c00c 0001 0001 0000003c 0004") + socket.inet_aton(address)
        return head + question + record

    return answer


class Lab:
    """Both namespaces, and a pyorch inside the host's."""

    def __init__(self, pyorch: Pyorch, *, forwarding: bool = True) -> None:
        self.pyorch = pyorch
        self.names = {"host": f"{pyorch.name}h", "stranger": f"{pyorch.name}s"}
        pyorch.inside = ("nsenter", f"--net=/run/netns/{self.names['host']}")
        pyorch.write(ANSWERING, "answer.py")
        for name in self.names.values():
            _run("ip", "netns", "add", name)
        _run(
            *("ip", "-n", self.names["host"], "link", "add", "eth0", "type", "veth"),
            *("peer", "name", "eth0", "netns", self.names["stranger"]),
        )
        for where, address, sixth in (
            ("host", HOST, HOST6),
            ("stranger", STRANGER, STRANGER6),
        ):
            self.run(where, "ip", "link", "set", "lo", "up")
            self.run(where, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            self.run(where, "ip", "address", "add", f"{sixth}/64", "dev", "eth0", "nodad")
            self.run(where, "ip", "link", "set", "eth0", "up")
        self.run("host", "ip", "route", "add", "default", "via", STRANGER)
        self.run("host", "ip", "route", "add", "default", "via", STRANGER6)
        self.run("stranger", "ip", "route", "add", "10.0.0.0/8", "via", HOST)
        self.run("stranger", "ip", "route", "add", "fc00::/7", "via", HOST6)
        self.forwarding = forwarding

    def add_neighbour(self) -> None:
        """Give the host another neighbour, on another link, that routes everything through it."""
        name = self.names["neighbour"] = f"{self.pyorch.name}n"
        _run("ip", "netns", "add", name)
        _run(
            *("ip", "-n", self.names["host"], "link", "add", "eth1", "type", "veth"),
            *("peer", "name", "eth0", "netns", name),
        )
        for where, link, address in (("host", "eth1", GATE), ("neighbour", "eth0", NEIGHBOUR)):
            self.run(where, "ip", "address", "add", f"{address}/24", "dev", link)
            self.run(where, "ip", "link", "set", link, "up")
        self.run("neighbour", "ip", "route", "add", "default", "via", GATE)

    @property
    def forwarding(self) -> bool:
        """Whether the host's namespace is a router."""
        path = Path("/proc/sys/net/ipv4/ip_forward")
        return run_inside(self.path("host"), path.read_text).strip() == "1"

    @forwarding.setter
    def forwarding(self, on: bool) -> None:
        path = Path("/proc/sys/net/ipv4/ip_forward")
        run_inside(self.path("host"), lambda: path.write_text("1" if on else "0"))

    def path(self, where: str) -> Path:
        """Return the namespace's path."""
        return Path("/run/netns", self.names[where])

    def run(self, where: str, *words: str, stdin: str = "") -> str:
        """Run a command in a namespace; it must succeed."""
        return _run("ip", "netns", "exec", self.names[where], *words, stdin=stdin)

    def nft(self, text: str) -> str:
        """Change the host's firewall."""
        return self.run("host", "nft", "-f", "-", stdin=text)

    def socket(self, where: str, kind: socket.SocketKind, *, like: str = HOST) -> socket.socket:
        """Return a socket that belongs to a namespace, for addresses like another one."""
        family = socket.AF_INET6 if ":" in like else socket.AF_INET
        return run_inside(self.path(where), lambda: socket.socket(family, kind))

    def within(self, container: str, *words: str) -> str:
        """Run a command of this machine in the network namespace of e.g. ``shop/web.1``."""
        pid = self.pyorch.main_process(container)
        return _run("nsenter", f"--net=/proc/{pid}/ns/net", *words)

    def tcp(self, where: str, address: str, port: int, *, patience: float = MOMENT) -> str:
        """Ask over TCP; return the answer, or what became of the attempt."""
        with self.socket(where, socket.SOCK_STREAM, like=address) as channel:
            channel.settimeout(patience)
            return _ask(channel, address, port)

    def udp(self, where: str, address: str, port: int, *, patience: float = MOMENT) -> str:
        """Ask over UDP; return the answer, or what became of the attempt."""
        with self.socket(where, socket.SOCK_DGRAM, like=address) as channel:
            channel.settimeout(patience)
            return _ask(channel, address, port)

    def inside(self, stack: str, service: str, *words: str, stdin: str = "") -> str:
        """Run a command in a container and return what it printed, however it ended."""
        return self.pyorch.try_("-p", stack, "exec", "-T", service, *words, stdin=stdin).out

    def from_container(self, stack: str, service: str, address: str, port: int) -> str:
        """Ask over TCP from a container; empty where nothing answered."""
        return self.inside(
            stack, service, "timeout", f"{patient(1):.0f}", "nc", address, str(port), stdin="x"
        )

    def address(self, stack: str, container: str, network: str) -> str:
        """Return a container's address, IPv4 where it has one."""
        return self.addresses(stack, container, network)[0]

    def addresses(self, stack: str, container: str, network: str) -> list[str]:
        """Return a container's addresses, IPv4 first."""
        return str(self.pyorch.ps(stack)[container]["Addresses"][network]).split(", ")

    def nameserver(self, container: str) -> str:
        """Return whom e.g. ``shop/web.1`` asks for names."""
        stack, _, replica = container.partition("/")
        lines = self.inside(stack, replica.rpartition(".")[0], "cat", "/etc/resolv.conf")
        return next(line.split()[1] for line in lines.splitlines() if "nameserver" in line)

    def query(self, container: str, name: str, kind: int = A) -> Answer:
        """Ask the resolver of e.g. ``shop/web.1`` for a name, from inside its namespace."""
        return self.query_at(container, self.nameserver(container), name, kind)

    def query_at(self, container: str, server: str, name: str, kind: int = A) -> Answer:
        """Ask a certain resolver, from inside a container's namespace."""
        path = Path(f"/proc/{self.pyorch.main_process(container)}/ns/net")
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with run_inside(path, lambda: socket.socket(family, socket.SOCK_DGRAM)) as channel:
            channel.settimeout(MOMENT)
            channel.connect((server, 53))
            channel.send(ask_for(name, kind))
            return read_answer(channel.recv(4096))

    def close(self) -> None:
        """Remove both namespaces."""
        for name in self.names.values():
            _run("ip", "netns", "delete", name)


@contextlib.contextmanager
def open_lab(home: Path, busybox: Path) -> Iterator[Lab]:
    """Give a lab whose pyorch knows the image `busybox`; nothing may be left of it afterwards."""
    lab = Lab(Pyorch(name=f"t{secrets.token_hex(3)}", home=home))
    try:
        lab.pyorch.run("image", "import", str(busybox), "busybox")
        yield lab
        left = lab.pyorch.clean()
    finally:
        lab.close()
    assert left == []


def _ask(channel: socket.socket, address: str, port: int) -> str:
    try:
        channel.connect((address, port))
        channel.sendall(b"x")
        return channel.recv(2048).decode() or "closed"
    except TimeoutError:
        return "silence"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return f"error {error.errno}"


def accept(server: socket.socket) -> str:
    """Return the address of the next client of a listening socket, and let it go."""
    channel, peer = server.accept()
    channel.close()
    return str(peer[0])


def eventually(ask: Callable[[], T], so: Callable[[T], object]) -> T:
    """Return the first answer for which ``so`` holds. Fails with the last one."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while True:
        answer = ask()
        if so(answer):
            return answer
        assert time.monotonic() < deadline, f"still {answer!r} after {PATIENCE} s"
        pause.wait(0.02)


@contextlib.contextmanager
def serving(channel: socket.socket, answer: Callable[[bytes], bytes]) -> Iterator[list[bytes]]:
    """Answer datagrams on a bound socket for as long as the context lasts; collect them."""
    heard: list[bytes] = []
    over = threading.Event()
    channel.settimeout(0.1)

    def serve() -> None:
        while not over.is_set():
            try:
                data, peer = channel.recvfrom(2048)
            except TimeoutError:
                continue
            heard.append(data)
            channel.sendto(answer(data), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield heard
    finally:
        over.set()
        thread.join()
        channel.close()


def _run(*words: str, stdin: str = "") -> str:
    done = subprocess.run(words, capture_output=True, text=True, input=stdin, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
