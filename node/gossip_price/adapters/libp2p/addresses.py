"""What a host does with its multiaddresses: take the port, announce, resolve.

Checks for free ports, derives what to announce, and reads the system resolver's answers; how an
address is written is said in `network.multiaddrs`. Knows nothing of libp2p, so that it is tested
without it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gossip_price.network.multiaddrs import FULL, Address, parse_multiaddr

_FAMILIES: Final = {
    "ip4": socket.AF_INET,
    "dns4": socket.AF_INET,
    "ip6": socket.AF_INET6,
    "dns6": socket.AF_INET6,
    "dns": socket.AF_UNSPEC,
}
#: Not dialed: connecting a datagram socket there only asks the routing table (RFC 5737, 3849).
_ELSEWHERE: Final = {"ip4": "192.0.2.1", "ip6": "2001:db8::1"}


def parse_bootstrap(text: str) -> tuple[str, Address]:
    """Read a bootstrap's full multiaddress: its peer id and where it is. Raises ValueError."""
    address = parse_multiaddr(text)
    if address.peer_id is None:  # so nobody could prove to be it
        raise ValueError(f"bootstrap: {text!r} given, allowed: {FULL}")
    return address.peer_id, replace(address, peer_id=None)


def check_free(address: Address) -> None:
    """Raise OSError, naming the address, if somebody listens there or it is not ours.

    libp2p listens with SO_REUSEPORT, under which two nodes share a port without an error
    and each gets half of the connections; a plain bind tells.
    """
    if address.port == 0:
        return
    family = socket.AF_INET if address.kind == "ip4" else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Past connections in TIME_WAIT do not count, live listeners do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error


def get_outgoing_host(kind: str) -> str | None:
    """Return the address of the interface that leads elsewhere; sends nothing."""
    with socket.socket(_FAMILIES[kind], socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ELSEWHERE[kind], 9))
        except OSError:
            return None  # no route of this family: a laptop offline, a host without IPv6
        host: str = probe.getsockname()[0]
        return host


def compute_announced(listening: Iterable[Address], announce: Iterable[Address]) -> list[Address]:
    """Return what others should dial: `announce` if given, else `listening` made concrete."""
    given = [replace(address, peer_id=None) for address in announce]
    if given:
        return given
    concrete = []
    for address in listening:
        host = address.host
        if address.is_unspecified:
            loopback = "127.0.0.1" if address.kind == "ip4" else "::1"
            host = get_outgoing_host(address.kind) or loopback
        concrete.append(replace(address, host=host, peer_id=None))
    return concrete


def list_families(address: Address) -> int:
    """Return the socket family to resolve a name in."""
    return int(_FAMILIES[address.kind])


def list_resolved(address: Address, answers: Iterable[tuple[int, str]]) -> list[Address]:
    """Return the dialable addresses behind a name, from (family, host) answers, once each."""
    found: dict[Address, None] = {}
    for family, host in answers:
        kind = {socket.AF_INET: "ip4", socket.AF_INET6: "ip6"}.get(socket.AddressFamily(family))
        if kind is not None and "%" not in host:  # a scoped IPv6 address means nothing elsewhere
            found[replace(address, kind=kind, host=host)] = None
    return list(found)
