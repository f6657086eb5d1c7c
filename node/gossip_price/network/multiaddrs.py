"""Multiaddresses, as far as we use them: TCP on an IP or a DNS name, with or without peer id. Pure.

libp2p reads many more kinds; a configuration may hold only these, so that a typing error is
found when it is read and not when somebody dials. Strangers' addresses are read here too.
Source: multiformats/multiaddr.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from gossip_price.network.keys import KeyFormatError, parse_peer_id

LISTEN: Final = "a listen address such as /ip4/0.0.0.0/tcp/8000 or /ip6/::/tcp/8000"
DIAL: Final = "an address such as /ip4/192.0.2.1/tcp/8000 or /dns4/host.example/tcp/8000"
FULL: Final = DIAL + " followed by /p2p/<peer id>"
#: The longest name of a host has 253 letters, a peer id 53.
ADDRESS_LENGTH_MAX: Final = 330

_PATTERN = re.compile(
    r"/(?P<kind>ip4|ip6|dns|dns4|dns6)/(?P<host>[^/\s]+)/tcp/(?P<port>\d{1,5})"
    r"(?:/p2p/(?P<peer>[^/\s]+))?",
    re.ASCII,
)
_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", re.ASCII)
_HOSTS: Final = {"ip4": "an IPv4 address", "ip6": "an IPv6 address", "dns": "a DNS name"}


@dataclass(frozen=True)
class Address:
    """A TCP endpoint, and the peer that is expected there.

    `kind` is ip4, ip6, dns, dns4 or dns6. Written by `str` as it was read.
    """

    kind: str
    host: str
    port: int
    peer_id: str | None = None

    def __str__(self) -> str:
        suffix = f"/p2p/{self.peer_id}" if self.peer_id else ""
        return f"/{self.kind}/{self.host}/tcp/{self.port}{suffix}"

    @property
    def is_name(self) -> bool:
        """Whether the host has to be resolved."""
        return self.kind.startswith("dns")

    @property
    def is_unspecified(self) -> bool:
        """Whether it says `any interface`, which nobody can dial."""
        return not self.is_name and ipaddress.ip_address(self.host).is_unspecified


def parse_multiaddr(text: str) -> Address:
    """Read a multiaddress. Raises ValueError, whose text is what is allowed."""
    match = _PATTERN.fullmatch(text) if len(text) <= ADDRESS_LENGTH_MAX else None
    if match is None:
        raise ValueError(f"{DIAL}, with or without /p2p/<peer id>")
    kind, host, port, peer = match.group("kind", "host", "port", "peer")
    if int(port) > 65535:
        raise ValueError("a port from 0 to 65535")
    if not _is_host(kind, host):
        raise ValueError(f"after /{kind}/ {_HOSTS[kind[:3]]}")
    if peer is not None:
        try:
            parse_peer_id(peer)
        except KeyFormatError as error:
            raise ValueError(f"after /p2p/ the peer id of a secp256k1 key ({error})") from error
    return Address(kind, host, int(port), peer)


def _is_host(kind: str, host: str) -> bool:
    try:
        if kind == "ip4":
            return bool(ipaddress.IPv4Address(host))
        if kind == "ip6":
            return "%" not in host and bool(ipaddress.IPv6Address(host))
    except ValueError:
        return False
    name = host.removesuffix(".")
    return len(name) <= 253 and all(_DNS_LABEL.fullmatch(label) for label in name.split("."))


def check_listen(text: str) -> str:
    """Return `text` if one can listen on it (an IP, port 0 for any, no peer id)."""
    address = _parse_as(text, LISTEN)
    if address.is_name or address.peer_id is not None:
        raise ValueError(LISTEN)
    return text


def check_dial(text: str) -> str:
    """Return `text` if others can dial it; it carries no peer id."""
    address = _parse_as(text, DIAL)
    if address.port == 0 or address.peer_id is not None:
        raise ValueError(DIAL)
    return text


def check_full(text: str) -> str:
    """Return `text` if others can dial it and know whom they will find: with `/p2p/`."""
    address = _parse_as(text, FULL)
    if address.port == 0 or address.peer_id is None:
        raise ValueError(FULL)
    return text


def _parse_as(text: str, allowed: str) -> Address:
    try:
        return parse_multiaddr(text)
    except ValueError as error:
        detail = str(error)
        raise ValueError(allowed if detail.startswith(DIAL) else f"{allowed}; {detail}") from error
