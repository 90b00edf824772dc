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
from ipaddress import ip_address
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import AsyncNFCTSocket, NFCTAttrTuple

from runtime.errors import UnavailableError
from runtime.network.ruleset import ANY
from runtime.types import Net, PublishedPort

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


def is_stale(flow: Flow, port: PublishedPort, ours: Iterable[Net]) -> bool:
    """Whether a flow to ``port`` of this host goes elsewhere than a new one would. Pure.

    The caller vouches that ``flow.target`` is an address of this host; translations to
    addresses outside ``ours`` are somebody else's.
    """
    version = ip_address(flow.target).version
    if flow.target_port != port.host_port or port.host_ip not in (ANY[version], flow.target):
        return False
    answering = ip_address(flow.answered_by)
    if flow.translated:
        mine = any(answering in network for network in ours)
        return mine and answering not in {address for address, _ in port.targets}
    return bool(port.targets)


async def forget_stale(ports: Iterable[PublishedPort], ours: Iterable[Net]) -> int:
    """Drop every stale flow to one of ``ports``; return how many there were."""
    networks, wanted, count = tuple(ours), tuple(ports), 0
    try:
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            mine = [port for port in wanted if ip_address(port.host_ip).version == version]
            if mine:
                async with AsyncNFCTSocket(nfgen_family=family) as channel:
                    count += await _forget_each(channel, family, mine, networks)
    except NetlinkError as error:
        raise UnavailableError("forget flows of", "UDP ports", os.strerror(error.code)) from error
    return count


async def _forget_each(
    channel: AsyncNFCTSocket, family: int, ports: Iterable[PublishedPort], ours: tuple[Net, ...]
) -> int:
    count = 0
    for port in ports:
        wanted = NFCTAttrTuple(family, proto=socket.IPPROTO_UDP, dport=port.host_port)
        found = [one async for one in await channel.dump(tuple_orig=wanted)]
        for sent, flow in (_read(family, message) for message in found):
            if _is_local(family, flow.target) and is_stale(flow, port, ours):
                await _forget(channel, sent)
                count += 1
    return count


def _read(family: int, message: Any) -> tuple[NFCTAttrTuple, Flow]:
    sent = NFCTAttrTuple.from_netlink(family, message.get_attr("CTA_TUPLE_ORIG"))
    back = NFCTAttrTuple.from_netlink(family, message.get_attr("CTA_TUPLE_REPLY"))
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


def _is_local(family: int, address: str) -> bool:
    # A socket can be bound to an address of this host and to no other.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
