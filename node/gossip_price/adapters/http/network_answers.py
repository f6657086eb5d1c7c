"""The shapes of answers about the network and one node, likewise for `/openapi.json` alone."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from gossip_price.adapters.http.answers import (
    Address,
    Answer,
    Count,
    Decimal,
    Hash,
    Pair,
    Round,
    Time,
)


class EpochName(Answer):
    """Which epoch."""

    number: Annotated[int, Meta(ge=1)]
    hash: Hash


class EpochStart(EpochName):
    """Which epoch, and when it began."""

    start: Time


class NetworkPair(Answer):
    """A pair of the epoch."""

    pair: Pair
    decimals: Annotated[int, Meta(ge=0, le=18)]


class MemberSeen(Answer):
    """A member's newest observation of a pair."""

    pair: Pair
    round: Round
    price: Decimal


class NetworkMember(Answer):
    """A member, by what its newest heartbeat says of it and what this node sees."""

    index: Count
    address: Address
    peer_id: str
    me: bool
    connected: Annotated[bool, Meta(description="to this node")]
    version: Annotated[str | None, Meta(description="as it says; treat it as a stranger's text")]
    boot: Time | None
    last_seen: Time | None
    silent_ms: Count | None
    state: Annotated[
        Literal["alive", "late", "silent", "never"] | None,
        Meta(description="null at a bootstrap, which hears no heartbeats"),
    ]
    clock_offset_ms: int | None
    peers: Annotated[
        list[Count] | None, Meta(description="indices of the members it is connected to")
    ]
    observations: list[MemberSeen]
    database: bool | None


class MatrixRow(Answer):
    """What one member says that it has heard of each, since its start."""

    member: Address
    heard: list[Count | None]
    hears: Annotated[list[bool | None], Meta(description="whether it hears that member now")]


class Matrix(Answer):
    """Who hears whom: a row reports, a column is heard."""

    members: list[Address]
    rows: list[MatrixRow]


class Connection(Answer):
    """A live libp2p connection of this node."""

    peer_id: str
    member: Annotated[int | None, Meta(description="the member's index")]
    direction: Literal["inbound", "outbound"]
    since: Time | None
    ping_ms: float | None


class Connections(Answer):
    """The live libp2p connections of this node; at most 512 are listed."""

    peers: Count
    members: Count
    inbound: Count
    outbound: Count
    listed: list[Connection] = field(name="list")


class Quorum(Answer):
    """How many members are there, and how many must sign."""

    alive: Count | None
    needed: Count
    margin: int | None


class Network(Answer):
    """Who is there, and who hears whom."""

    now: Time
    network_id: Hash
    me: Address | None
    role: Literal["member", "listener", "bootstrap"]
    simulated: Annotated[
        bool | None,
        Meta(description="this node's prices are nobody's market; null at a bootstrap"),
    ]
    epoch: EpochStart
    mode: Literal["Rounds", "EveryNode"]
    interval: Annotated[int, Meta(ge=1, description="seconds")]
    minimum_signers: Annotated[int, Meta(ge=1)]
    settle: Annotated[int, Meta(ge=1, description="seconds")]
    skew: Annotated[int, Meta(ge=1, description="seconds by which clocks may differ")]
    pairs: list[NetworkPair]
    members: list[NetworkMember]
    matrix: Matrix
    isolated: Annotated[list[Address], Meta(description="the others do not hear them")]
    deaf: Annotated[list[Address], Meta(description="they do not hear members that others hear")]
    connections: Connections
    quorum: Quorum
    problems: Annotated[dict[str, str], Meta(description="why `/readyz` says 503")]


class StatusPeers(Answer):
    """Live connections; `ids` are at most 512."""

    connected: Count
    members: Count
    ids: list[str]


class StatusPrice(Answer):
    """The newest settled price of a pair. Here the price is the signed integer."""

    pair: Pair
    round: Round
    price: Annotated[str, Meta(pattern="^[0-9]+$")]
    decimals: Annotated[int, Meta(ge=0, le=18)]
    signers: Count
    time: Annotated[int, Meta(ge=0, description="when it settled, Unix seconds")]
    id: Hash


class StatusDatabase(Answer):
    """Whether the database answers, null before the first attempt; and what is in the way."""

    reachable: bool | None
    problem: str | None


class Status(Answer):
    """What a node tells of itself, for the operator; see docs/status.md."""

    role: Literal["member", "listener", "bootstrap"]
    address: Address | None
    peer_id: str
    version: str
    epoch: EpochName
    proven_epoch: EpochName | None
    peers: StatusPeers
    problems: dict[str, str]
    prices: list[StatusPrice]
    settled_round: int | None
    database: StatusDatabase
