"""Forget UDP flows that lead where a published port does not lead any more.

The kernel translates a flow as its first packet was translated. A TCP connection ends with
its server; a UDP flow lives as long as its client keeps sending, be it to an address nobody
has, or to the host itself where nobody was ready when the flow began.
"""

import errno
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import AsyncNFCTSocket, NFCTAttrTuple

from runtime.errors import UnavailableError
from runtime.network.ruleset import ANY
from runtime.types import PublishedPort

IPS_DST_NAT = 1 << 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One tracked UDP flow: as its client sent it, and who answers."""

    source: str
    source_port: int
    target: str
    target_port: int
    answered_by: str
    translated: bool


def is_stale(flow: Flow, port: PublishedPort, ours: Iterable[IPv4Network]) -> bool:
    """Whether a flow to ``port`` of this host goes elsewhere than a new one would. Pure.

    The caller vouches that ``flow.target`` is an address of this host; translations to
    addresses outside ``ours`` are somebody else's.
    """
    if flow.target_port != port.host_port or port.host_ip not in (ANY, flow.target):
        return False
    answering = IPv4Address(flow.answered_by)
    if flow.translated:
        mine = any(answering in network for network in ours)
        return mine and answering not in {address for address, _ in port.targets}
    return bool(port.targets)


async def forget_stale(ports: Iterable[PublishedPort], ours: Iterable[IPv4Network]) -> int:
    """Drop every stale flow to one of ``ports``; return how many there were."""
    networks, count = tuple(ours), 0
    try:
        async with AsyncNFCTSocket() as channel:
            for port in ports:
                wanted = NFCTAttrTuple(proto=socket.IPPROTO_UDP, dport=port.host_port)
                found = [one async for one in await channel.dump(tuple_orig=wanted)]
                for sent, flow in map(_read, found):
                    if _is_local(flow.target) and is_stale(flow, port, networks):
                        await _forget(channel, sent)
                        count += 1
    except NetlinkError as error:
        raise UnavailableError("forget flows of", "UDP ports", os.strerror(error.code)) from error
    return count


def _read(message: Any) -> tuple[NFCTAttrTuple, Flow]:
    sent = NFCTAttrTuple.from_netlink(socket.AF_INET, message.get_attr("CTA_TUPLE_ORIG"))
    back = NFCTAttrTuple.from_netlink(socket.AF_INET, message.get_attr("CTA_TUPLE_REPLY"))
    flow = Flow(
        source=sent.saddr,
        source_port=sent.sport,
        target=sent.daddr,
        target_port=sent.dport,
        answered_by=back.saddr,
        translated=bool(message.get_attr("CTA_STATUS") & IPS_DST_NAT),
    )
    return sent, flow


async def _forget(channel: AsyncNFCTSocket, sent: NFCTAttrTuple) -> None:
    try:
        await channel.entry("del", tuple_orig=sent)
    except NetlinkError as error:
        if error.code != errno.ENOENT:
            raise


def _is_local(address: str) -> bool:
    # A socket can be bound to an address of this host and to no other.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
