"""What the machine itself is like: processors, memory, and who listens on which port."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from runtime.procfs import name_of
from runtime.types import Listener

UPSTREAM = Path("/etc/resolv.conf")
LISTEN = "0A"
UNCONNECTED = "07"


def read_memory() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_listeners() -> tuple[Listener, ...]:
    """Return every listening TCP and every bound, unconnected UDP socket. Walks all processes."""
    found: list[tuple[str, str, int, str]] = []
    for table, protocol, state in (
        ("tcp", "tcp", LISTEN),
        ("tcp6", "tcp", LISTEN),
        ("udp", "udp", UNCONNECTED),
        ("udp6", "udp", UNCONNECTED),
    ):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == state:
                address, _, port = fields[1].partition(":")
                found.append((protocol, _address(address), int(port, 16), fields[9]))
    holders = _holders({inode for *_, inode in found})
    return tuple(
        Listener(
            protocol=protocol,
            address=address,
            port=port,
            pid=holders.get(inode, (0, ""))[0],
            command=holders.get(inode, (0, ""))[1],
        )
        for protocol, address, port, inode in found
    )


def read_protocols() -> frozenset[str]:
    """Return the protocols this kernel has ports of."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return frozenset({"tcp", "udp"})
    return frozenset({"tcp", "udp", "sctp"})


def upstream_servers() -> list[str]:
    """Return the name servers the host is told to ask, in order."""
    lines = UPSTREAM.read_text(errors="replace").splitlines() if UPSTREAM.exists() else []
    return read_servers(lines)


def read_servers(lines: Iterable[str]) -> list[str]:
    """Return the servers that lines in the manner of resolv.conf(5) name. Pure."""
    found = []
    for line in lines:
        word, *addresses = line.split()[:2] or [""]
        for address in addresses:
            with contextlib.suppress(ValueError):
                if word == "nameserver":
                    found.append(str(ip_address(address)))
    return found


def _address(text: str) -> str:
    if len(text) == 8:
        return socket.inet_ntoa(struct.pack("<I", int(text, 16)))
    words = [struct.pack("<I", int(text[i : i + 8], 16)) for i in range(0, 32, 8)]
    address = IPv6Address(b"".join(words))
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(address)


def _holders(inodes: set[str]) -> dict[str, tuple[int, str]]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, tuple[int, str]] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            descriptors = os.listdir(process / "fd")
        except OSError:
            continue
        for descriptor in descriptors:
            # Whatever was closed meanwhile is no reason to leave out those beside it.
            with contextlib.suppress(OSError):
                inode = wanted.get(os.readlink(process / "fd" / descriptor))
                if inode is not None:
                    found[inode] = (int(process.name), name_of(int(process.name)))
    return found
