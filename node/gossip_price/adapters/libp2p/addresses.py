"""Multiaddresses of the one kind we speak, `/ip4|ip6|dns…/host/tcp/port[/p2p/id]`, as values.

Parses, formats, checks for free ports, derives what to announce, resolves names by the
system's resolver. Knows nothing of libp2p, so that it is tested without it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from gossip_price.network.keys import KeyFormatError, parse_peer_id

ADDRESS_LENGTH_MAX: Final = 256
_PATTERN: Final = re.compile(
    r"/(?P<kind>ip4|ip6|dns|dns4|dns6)/(?P<host>[^/\s]{1,253})"
    r"/tcp/(?P<port>\d{1,5})(?:/p2p/(?P<peer>[1-9A-HJ-NP-Za-km-z]{1,64}))?"
)
_FAMILIES: Final = {
    "ip4": socket.AF_INET,
    "dns4": socket.AF_INET,
    "ip6": socket.AF_INET6,
    "dns6": socket.AF_INET6,
    "dns": socket.AF_UNSPEC,
}
#: Not dialed: connecting a datagram socket there only asks the routing table (RFC 5737, 3849).
_ELSEWHERE: Final = {"ip4": "192.0.2.1", "ip6": "2001:db8::1"}


class AddressError(ValueError):
    """A text that is no multiaddress we can listen on or dial."""


@dataclass(frozen=True)
class Address:
    """A TCP endpoint, and the peer that is expected there."""

    kind: str
    host: str
    port: int
    peer: str | None = None

    def __str__(self) -> str:
        suffix = f"/p2p/{self.peer}" if self.peer else ""
        return f"/{self.kind}/{self.host}/tcp/{self.port}{suffix}"

    @property
    def is_name(self) -> bool:
        """Whether the host has to be resolved."""
        return self.kind.startswith("dns")

    @property
    def is_unspecified(self) -> bool:
        """Whether it says `any interface`, which nobody can dial."""
        return not self.is_name and ipaddress.ip_address(self.host).is_unspecified


def parse_address(text: str) -> Address:
    """Read one multiaddress. Raises AddressError, which repeats what was given."""
    match = _PATTERN.fullmatch(text) if len(text) <= ADDRESS_LENGTH_MAX else None
    if match is None or int(match["port"]) > 65_535:
        raise AddressError(
            f"{text[:80]!r} is no address; write /ip4/198.51.100.7/tcp/4001 or"
            " /dns4/name/tcp/4001, with /p2p/<peer id> where a peer is meant"
        )
    address = Address(match["kind"], match["host"], int(match["port"]), match["peer"])
    try:
        if not address.is_name:
            version = 4 if address.kind == "ip4" else 6
            if ipaddress.ip_address(address.host).version != version:
                raise AddressError(f"{address.host!r} in {text!r} is no IPv{version} address")
        if address.peer is not None:
            parse_peer_id(address.peer)
    except KeyFormatError as error:
        raise AddressError(f"{text[:160]!r}: {error}") from error
    except ValueError as error:
        raise AddressError(f"{address.host!r} in {text[:80]!r} is no IP address") from error
    return address


def parse_bootstrap(text: str) -> tuple[str, Address]:
    """Read a bootstrap's full multiaddress: its peer id and where it is."""
    address = parse_address(text)
    if address.peer is None:
        raise AddressError(f"bootstrap {text!r} lacks /p2p/<peer id>, so nobody can prove to be it")
    return address.peer, replace(address, peer=None)


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
    given = [replace(address, peer=None) for address in announce]
    if given:
        return given
    concrete = []
    for address in listening:
        host = address.host
        if address.is_unspecified:
            loopback = "127.0.0.1" if address.kind == "ip4" else "::1"
            host = get_outgoing_host(address.kind) or loopback
        concrete.append(replace(address, host=host, peer=None))
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
