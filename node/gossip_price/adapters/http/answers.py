"""The shapes of all answers as types, from which `/openapi.json` is made. Nothing is sent by them:
tests hold real answers to them, field by field.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field, json

from gossip_price.network.document import Document

Hash = Annotated[
    str, Meta(pattern="^0x[0-9a-f]{64}$", description="32 bytes, 0x and 64 hex digits")
]
Address = Annotated[
    str, Meta(pattern="^0x[0-9a-fA-F]{40}$", description="a signing address, EIP-55")
]
Time = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$",
        description="RFC 3339, UTC",
        extra_json_schema={"format": "date-time"},
    ),
]
Decimal = Annotated[
    str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$", description="a decimal number as text")
]
Count = Annotated[int, Meta(ge=0)]
Round = Annotated[int, Meta(ge=0, description="a round, named by its start in Unix seconds")]
Pair = Annotated[str, Meta(pattern="^[A-Z0-9]{2,12}-[A-Z0-9]{2,12}$")]


class _Answer(Struct, rename="camel", kw_only=True):
    """All answers: fields in camelCase. More may come."""


class Report(_Answer):
    """What the members sign, as EIP-712 `Report`; its digest is the price's id."""

    epoch: Hash
    pair: Pair
    round: Round
    price: Annotated[
        str, Meta(pattern="^[1-9][0-9]{0,15}$", description="integer, in units of 10^-decimals")
    ]
    decimals: Annotated[int, Meta(ge=0, le=18)]
    observed_at: Annotated[int, Meta(ge=0, description="Unix seconds")]
    proposer: Address


class Signature(_Answer):
    """One member's signature over the id."""

    signer: Address
    signature: Annotated[
        str, Meta(pattern="^0x[0-9a-f]{130}$", description="65 bytes r, s, v; v is 27 or 28")
    ]


class Local(_Answer):
    """What a node says beside the price and nobody has signed."""

    sources: list[str]
    spread_bp: int | None
    last_signed_at: Time | None
    writer: Address | None


class Price(_Answer):
    """One price with everything that proves it; `gossip-price verify` takes it as it is."""

    id: Hash
    network_id: Annotated[Hash, Meta(description="the salt of the EIP-712 domain")]
    report: Report
    signatures: Annotated[list[Signature], Meta(min_length=1, max_length=256)]
    document: Annotated[
        Document, Meta(description="the epoch of the signers; keccak-256 of it is report.epoch")
    ]
    local: Local
    pair: Pair
    price: Decimal
    time: Annotated[Time, Meta(description="when the round began")]
    observed_at: Annotated[Time, Meta(description="when the proposer fetched the price")]
    stored_at: Annotated[
        Time | None, Meta(description="when it was stored; null where this node does not know")
    ]
    state: Annotated[
        Literal["settled", "stored"],
        Meta(description="settled: proven, and its signers have come; stored: in the database too"),
    ]


class CheckedPrice(Price):
    """A price whose id and every signature were computed anew for this answer."""

    verified: Literal[True]


class PriceList(_Answer):
    """A page of prices, newest first."""

    prices: list[Price]
    next: Annotated[
        str | None, Meta(description="`cursor` of the page that follows; null at the end")
    ]
    unproven: Annotated[
        int, Meta(ge=1, description="rows of the database left out here: they prove nothing")
    ] = 0


class Proposal(_Answer):
    """One report of a round, and who has signed it. Times are by this node's clock."""

    id: Hash
    proposer: Address
    price: Decimal
    signers: Annotated[list[Address], Meta(description="in the order in which they came")]
    needed: Annotated[int, Meta(ge=1, description="distinct signers that make it proven")]
    proven_at: Time | None
    settles_at: Annotated[Time | None, Meta(description="if nobody else signs")]
    settled_at: Time | None
    stored_at: Time | None


class SeenPrice(_Answer):
    """What one member says that it saw."""

    member: Address
    price: Decimal


class RoundSeen(_Answer):
    """One round of one pair, as far as this node saw it."""

    pair: Pair
    round: Round
    time: Time
    state: Literal["waiting", "observed", "proposed", "proven", "settled", "stored", "lost"]
    reason: Annotated[str | None, Meta(description="why it was lost, where this node knows it")]
    proposals: list[Proposal]
    observations: list[SeenPrice]


class RoundList(_Answer):
    """The newest rounds, newest first; each pair's current one is there from its beginning."""

    now: Time
    rounds: list[RoundSeen]


class EpochName(_Answer):
    """Which epoch."""

    number: Annotated[int, Meta(ge=1)]
    hash: Hash


class EpochStart(EpochName):
    """Which epoch, and when it began."""

    start: Time


class NetworkPair(_Answer):
    """A pair of the epoch."""

    pair: Pair
    decimals: Annotated[int, Meta(ge=0, le=18)]


class MemberSeen(_Answer):
    """A member's newest observation of a pair."""

    pair: Pair
    round: Round
    price: Decimal


class NetworkMember(_Answer):
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


class MatrixRow(_Answer):
    """What one member says that it has heard of each, since its start."""

    member: Address
    heard: list[Count | None]
    hears: Annotated[list[bool | None], Meta(description="whether it hears that member now")]


class Matrix(_Answer):
    """Who hears whom: a row reports, a column is heard."""

    members: list[Address]
    rows: list[MatrixRow]


class Connection(_Answer):
    """A live libp2p connection of this node."""

    peer_id: str
    member: Annotated[int | None, Meta(description="the member's index")]
    direction: Literal["inbound", "outbound"]
    since: Time | None
    ping_ms: float | None


class Connections(_Answer):
    """The live libp2p connections of this node; at most 512 are listed."""

    peers: Count
    members: Count
    inbound: Count
    outbound: Count
    listed: list[Connection] = field(name="list")


class Quorum(_Answer):
    """How many members are there, and how many must sign."""

    alive: Count | None
    needed: Count
    margin: int | None


class Network(_Answer):
    """Who is there, and who hears whom."""

    now: Time
    network_id: Hash
    me: Address | None
    role: Literal["member", "listener", "bootstrap"]
    simulated: Annotated[bool, Meta(description="this node's prices are nobody's market")]
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


class Event(_Answer, omit_defaults=True):
    """The data of an event; which fields it has is told beside the event's name."""

    at: Time
    pair: Pair | None = None
    round: Round | None = None
    time: Time | None = None
    member: Address | None = None
    id: Hash | None = None
    proposer: Address | None = None
    price: Decimal | None = None
    signers: Count | None = None
    needed: Count | None = None
    settles_at: Time | None = None
    reason: str | None = None


class StatusPeers(_Answer):
    """Live connections; `ids` are at most 512."""

    connected: Count
    members: Count
    ids: list[str]


class StatusPrice(_Answer):
    """The newest settled price of a pair. Here the price is the signed integer."""

    pair: Pair
    round: Round
    price: Annotated[str, Meta(pattern="^[0-9]+$")]
    decimals: Annotated[int, Meta(ge=0, le=18)]
    signers: Count
    time: Annotated[int, Meta(ge=0, description="when it settled, Unix seconds")]
    id: Hash


class StatusDatabase(_Answer):
    """Whether the database answers; null before the first attempt."""

    reachable: bool | None


class Status(_Answer):
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


class Problem(_Answer):
    """Anything that is not what was asked for (RFC 9457)."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="for people; names the value at fault and the remedy")]
    parameter: Annotated[str, Meta(description="the parameter at fault")] = ""


def make_components(*types: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a reference to each type's schema, and the schemas that they need, by name."""
    references, components = json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    return list(references), components
