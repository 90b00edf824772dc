"""Talk to nftables: change rules through nft(8), and ask the kernel whether anybody else did.

The kernel numbers every change to any table (``NFT_MSG_GETGEN``). As long as the number is
the one our own change left, nothing has to be listed to know that it still stands.
"""

import json
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any

from runtime.errors import UnavailableError
from runtime.process import run

NETLINK_NETFILTER = 12
NFNL_SUBSYS_NFTABLES = 10
NFT_MSG_NEWGEN = NFNL_SUBSYS_NFTABLES << 8 | 15
NFT_MSG_GETGEN = NFNL_SUBSYS_NFTABLES << 8 | 16
NLM_F_REQUEST = 1
NFTA_GEN_ID = 1

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
FAMILY_HEADER = 4


def generation() -> int:
    """Return the number of the last change to any table of this network namespace."""
    request = HEADER.pack(HEADER.size + FAMILY_HEADER, NFT_MSG_GETGEN, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as channel:
        channel.send(request + bytes(FAMILY_HEADER))
        answer = channel.recv(4096)
    kind = HEADER.unpack_from(answer)[1]
    if kind != NFT_MSG_NEWGEN:
        # The only other answer is an error: a negative errno right after the header.
        number = -struct.unpack_from("=i", answer, HEADER.size)[0]
        raise UnavailableError("read", "nftables", os.strerror(number))
    place = HEADER.size + FAMILY_HEADER
    while place < len(answer):
        length, name = ATTRIBUTE.unpack_from(answer, place)
        if name == NFTA_GEN_ID:
            return int.from_bytes(answer[place + ATTRIBUTE.size : place + length], "big")
        place += (length + 3) & ~3
    raise UnavailableError("read", "nftables", "the kernel did not say its generation")


async def change(text: str, *, subject: str) -> None:
    """Run one transaction: all of ``text`` or nothing."""
    done = await run(["nft", "-f", "-"], stdin=text.encode(), check=False)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        cause = words[0] if words else done.complaint
        raise UnavailableError("change firewall table", subject, cause)


async def list_table(family: str, name: str) -> str | None:
    """Return a table as nft(8) prints it; None when there is no such table."""
    done = await run(["nft", "--stateless", "list", "table", family, name], check=False)
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


async def read_objects(*words: str) -> tuple[Mapping[str, Any], ...]:
    """Return what ``nft list WORDS`` finds, as libnftables-json(5) objects; none if nothing."""
    done = await run(["nft", "--json", "--handle", "list", *words], check=False)
    if done.returncode != 0:
        return ()
    return tuple(json.loads(done.stdout)["nftables"])
