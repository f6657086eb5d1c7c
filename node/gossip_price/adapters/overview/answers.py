"""What a node answers at `/api/v1/network` and `/api/v1/status`, as far as a terminal shows it.

Read strictly where it is used, blind to what else is in it; a node of a later version may say more.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import httpx
import msgspec

#: 256 members and their matrix are about 1 MB.
ANSWER_BYTES_MAX: Final = 4 << 20
TIMEOUT_S: Final = 5.0
#: Python's number of a failure, which says nothing to people.
_ERRNO: Final = re.compile(r"\[Errno -?[0-9]+\] ")
_PATHS: Final = ("/api/v1/network", "/api/v1/status")


class UnreachableError(Exception):
    """The node gave no answer that can be used; says why and what helps."""


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Epoch(_Answer, frozen=True):
    """The epoch in force."""

    number: int
    hash: str
    start: datetime | None


class Member(_Answer, frozen=True):
    """One member; None is what the node cannot know."""

    index: int
    address: str
    peer_id: str
    me: bool
    connected: bool
    state: str | None
    version: str | None
    silent_ms: int | None
    clock_offset_ms: int | None
    peers: tuple[int, ...] | None
    database: bool | None


class Row(_Answer, frozen=True):
    """What one member says of each: how many messages it heard, and whether it hears it now."""

    member: str
    heard: tuple[int | None, ...]
    hears: tuple[bool | None, ...]


class Matrix(_Answer, frozen=True):
    """Rows in the order of `members`."""

    members: tuple[str, ...]
    rows: tuple[Row, ...]


class Peer(_Answer, frozen=True):
    """One live connection of the node."""

    peer_id: str
    direction: str
    since: datetime | None
    ping_ms: float | None


class Connections(_Answer, frozen=True):
    """The node's live connections; `list` may be shorter than `peers`."""

    peers: int
    members: int
    inbound: int
    outbound: int
    list: tuple[Peer, ...]


class Quorum(_Answer, frozen=True):
    """How many members are there, and how many must sign."""

    alive: int | None
    needed: int
    margin: int | None


class NamedPair(_Answer, frozen=True):
    """A pair of the epoch in force."""

    pair: str


class Network(_Answer, frozen=True):
    """`/api/v1/network`."""

    now: datetime
    network_id: str
    me: str | None
    role: str
    simulated: bool | None
    epoch: Epoch
    mode: str
    interval: int
    settle: int
    skew: int
    pairs: tuple[NamedPair, ...]
    members: tuple[Member, ...]
    matrix: Matrix
    isolated: tuple[str, ...]
    deaf: tuple[str, ...]
    connections: Connections
    quorum: Quorum
    problems: dict[str, str]


class Price(_Answer, frozen=True):
    """The newest settled price of a pair, times in Unix seconds."""

    pair: str
    round: int
    price: str
    decimals: int
    signers: int
    time: int


class Database(_Answer, frozen=True):
    """Whether the node reaches its database; None where it has none, or has not tried yet."""

    reachable: bool | None


class Status(_Answer, frozen=True):
    """`/api/v1/status`."""

    prices: tuple[Price, ...]
    database: Database


class Overview(msgspec.Struct, frozen=True):
    """Both answers of the node behind `url`, read and as they came."""

    url: str
    network: Network
    status: Status
    raw: dict[str, Any]


def ask(url: str) -> Overview:
    """Ask the node behind `url` (host and port; http:// may be left out, a path is kept).

    Raises UnreachableError.
    """
    base = url.rstrip("/")
    if "://" not in base:
        base = f"http://{base}"
    # No proxy: it is a node of ours, mostly on this machine or behind a port-forward.
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
        network, status = (_get(client, base + path) for path in _PATHS)
    try:
        return Overview(
            base,
            msgspec.json.decode(network, type=Network),
            msgspec.json.decode(status, type=Status),
            {"network": msgspec.json.decode(network), "status": msgspec.json.decode(status)},
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreachableError(
            f"{base} answers, but not as a node of gossip-price does: {error}"
        ) from error


def _get(client: httpx.Client, url: str) -> bytes:
    try:
        if any(letter.isspace() for letter in url):
            raise ValueError("there is a space in it")
        with client.stream("GET", url) as response:
            data = b""
            for piece in response.iter_bytes():
                data += piece
                if len(data) > ANSWER_BYTES_MAX:
                    raise UnreachableError(f"{url}: more than {ANSWER_BYTES_MAX} bytes")
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
        raise UnreachableError(
            f"{url}: {error}; --url takes a node's HTTP address, as http://127.0.0.1:8081"
        ) from error
    except httpx.HTTPError as error:
        why = _ERRNO.sub("", str(error)) or type(error).__name__
        raise UnreachableError(f"{url}: {why}; is the node running? --url names another") from error
    if response.status_code != httpx.codes.OK:
        raise UnreachableError(f"{url}: HTTP {response.status_code} {response.reason_phrase}")
    return data
