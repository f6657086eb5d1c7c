"""The network document: what all members must agree on, its canonical bytes and its hash. Pure.

One document is one epoch. Its canonical form is compact JSON with the keys in the order of
the fields below, integers only (seconds, basis points, price units), members by address and
pairs by name; keccak-256 of those bytes is the epoch's name in everything that is signed.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cached_property
from typing import Any, Final, Self

import msgspec

from gossip_price.crypto import compute_domain_separator, keccak256
from gossip_price.network.keys import KeyFormatError, format_address, parse_address, parse_peer_id

#: The protocol that documents made here ask for, and those whose rules this version knows. A
#: document that asks for another is read all the same: an epoch may activate what comes later.
PROTOCOL_VERSION: Final = 1
PROTOCOLS_KNOWN: Final = frozenset({PROTOCOL_VERSION})
PROTOCOL_MAX: Final = 65_535
#: The largest integer that every JSON reader keeps exactly (RFC 7493, section 2.2).
INTEGER_MAX: Final = 2**53 - 1
MEMBERS_MAX: Final = 256
PAIRS_MAX: Final = 64
DECIMALS_MAX: Final = 18
DAY_S: Final = 86_400
PAIR_PATTERN: Final = re.compile(r"[A-Z0-9]{2,12}-[A-Z0-9]{2,12}")
ZERO_HASH: Final = "0x" + "00" * 32

_HASH_PATTERN = re.compile(r"0x[0-9a-f]{64}")


class DocumentError(ValueError):
    """A document or a network file that breaks a rule; says which field and what is allowed."""


class Mode(Enum):
    """Who may propose in a round."""

    ROUNDS = "Rounds"
    EVERY_NODE = "EveryNode"


class PairTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What the members agreed on about one pair; prices in units of 10^-decimals."""

    pair: str
    decimals: int
    min_price: int
    max_price: int


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One member: who signs (`address`, EIP-55 text) and who connects (`peer_id`)."""

    address: str
    peer_id: str


class Document(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
    dict=True,
    cache_hash=True,
):
    """One epoch of a network. All durations in seconds; `max_deviation` in basis points."""

    protocol: int
    network_id: str
    epoch: int
    previous: str
    start: int
    interval: int
    mode: Mode
    minimum_signers: int
    faulty: int
    fallback_delay: int
    skew: int
    settle: int
    settle_cap: int
    max_deviation: int
    pairs: tuple[PairTerms, ...]
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        problems = find_problems(self)
        if problems:
            raise DocumentError("; ".join(problems))

    @classmethod
    def parse(cls, raw: bytes | str | dict[str, Any]) -> Self:
        """Read a document from JSON bytes or an already decoded mapping.

        Raises DocumentError, which names the field, for anything that is not a valid document.
        """
        try:
            if isinstance(raw, dict):
                return msgspec.convert(raw, cls)
            return msgspec.json.decode(raw, type=cls)
        except (msgspec.MsgspecError, DocumentError) as error:
            raise DocumentError(f"network document: {error}") from error

    @cached_property
    def canonical(self) -> bytes:
        """The canonical bytes."""
        return msgspec.json.encode(self)

    @cached_property
    def hash(self) -> bytes:
        """keccak-256 of the canonical bytes: the epoch's name in everything signed."""
        return keccak256(self.canonical)

    @cached_property
    def separator(self) -> bytes:
        """The EIP-712 domain separator of this network."""
        return compute_domain_separator("gossip-price", "1", bytes.fromhex(self.network_id[2:]))

    @cached_property
    def addresses(self) -> tuple[bytes, ...]:
        """The members' 20-byte addresses; the position is a member's index."""
        return tuple(parse_address(member.address) for member in self.members)

    @cached_property
    def index_by_address(self) -> dict[bytes, int]:
        """Member index by 20-byte address."""
        return {address: index for index, address in enumerate(self.addresses)}

    @cached_property
    def index_by_peer(self) -> dict[str, int]:
        """Member index by libp2p peer id."""
        return {member.peer_id: index for index, member in enumerate(self.members)}

    @cached_property
    def terms_by_pair(self) -> dict[str, PairTerms]:
        """The terms of each pair, by its name."""
        return {terms.pair: terms for terms in self.pairs}

    def get_round(self, unix_s: int) -> int:
        """Return the round, named by its start, that the second `unix_s` lies in."""
        return unix_s - unix_s % self.interval

    def to_mapping(self) -> dict[str, Any]:
        """Return the document as plain JSON values, keys in canonical order."""
        mapping: dict[str, Any] = msgspec.to_builtins(self)
        return mapping


def compute_faulty_default(members: int) -> int:
    """Return f, the members that may lie: ⌊(N-1)/3⌋."""
    return (members - 1) // 3


def compute_minimum_signers(mode: Mode, members: int, faulty: int) -> int:
    """Return the smallest safe threshold: 2q > N + f in `Rounds`, and never under 3."""
    return max(3, (members + faulty) // 2 + 1) if mode is Mode.ROUNDS else 3


def compute_fallback_delay(interval: int) -> int:
    """Return the default delay between ranks: a fifth of the interval, 1 to 10 seconds."""
    return min(10, max(1, interval // 5))


def find_problems(document: Document) -> list[str]:
    """Return every rule that `document` breaks, each naming its field; empty if it is valid."""
    problems: list[str] = []

    def require(holds: bool, field: str, given: object, allowed: str) -> None:
        if not holds:
            problems.append(f"{field}: {given!r} given, {allowed}")

    for field, text in (("networkId", document.network_id), ("previous", document.previous)):
        require(
            _HASH_PATTERN.fullmatch(text) is not None, field, text, "allowed: 0x and 64 hex digits"
        )
    for field, value, low, high in (
        ("protocol", document.protocol, 1, PROTOCOL_MAX),
        ("epoch", document.epoch, 1, INTEGER_MAX),
        ("start", document.start, 0, INTEGER_MAX),
        ("interval", document.interval, 1, DAY_S),
        ("faulty", document.faulty, 0, MEMBERS_MAX),
        ("fallbackDelay", document.fallback_delay, 1, DAY_S),
        ("skew", document.skew, 1, 3600),
        ("settle", document.settle, 1, DAY_S),
        ("settleCap", document.settle_cap, document.settle, 3 * DAY_S),
        ("maxDeviation", document.max_deviation, 1, 10_000),
        ("minimumSigners", document.minimum_signers, 1, max(1, len(document.members))),
    ):
        require(low <= value <= high, field, value, f"allowed: {low} to {high}")
    if document.interval > 0:
        require(
            document.start % document.interval == 0,
            "start",
            document.start,
            f"allowed: a multiple of the interval ({document.interval} s)",
        )
    require(
        (document.epoch == 1) == (document.previous == ZERO_HASH),
        "previous",
        document.previous,
        "allowed: zeros for epoch 1, the hash of the epoch before for every other",
    )
    bound = len(document.members) + document.faulty
    if document.mode is Mode.ROUNDS:
        require(
            2 * document.minimum_signers > bound,
            "minimumSigners",
            document.minimum_signers,
            f"allowed in Rounds: more than half of members + faulty ({bound}), so at least "
            f"{bound // 2 + 1}, else two prices of one round could both be proven",
        )
    _check_pairs(document, require)
    _check_members(document, require)
    return problems


def _check_pairs(document: Document, require: Any) -> None:
    names = [terms.pair for terms in document.pairs]
    require(1 <= len(names) <= PAIRS_MAX, "pairs", len(names), f"allowed: 1 to {PAIRS_MAX} pairs")
    require(names == sorted(set(names)), "pairs", names, "allowed: each once, in order of name")
    for terms in document.pairs:
        field = f"pairs[{terms.pair}]"
        spelled = PAIR_PATTERN.fullmatch(terms.pair) is not None
        require(spelled, f"{field}.pair", terms.pair, "allowed: BASE-QUOTE in capitals")
        in_range = 0 <= terms.decimals <= DECIMALS_MAX
        require(in_range, f"{field}.decimals", terms.decimals, f"allowed: 0 to {DECIMALS_MAX}")
        require(
            1 <= terms.min_price <= terms.max_price <= INTEGER_MAX,
            f"{field}.minPrice, maxPrice",
            (terms.min_price, terms.max_price),
            f"allowed: 1 ≤ minPrice ≤ maxPrice ≤ {INTEGER_MAX}",
        )


def _check_members(document: Document, require: Any) -> None:
    count = len(document.members)
    require(1 <= count <= MEMBERS_MAX, "members", count, f"allowed: 1 to {MEMBERS_MAX} members")
    addresses = []
    for position, member in enumerate(document.members):
        try:
            addresses.append(parse_address(member.address))
            spelled = format_address(addresses[-1]) == member.address
            parse_peer_id(member.peer_id)
        except KeyFormatError as error:
            require(False, f"members[{position}]", member.address, str(error))
        else:
            require(spelled, f"members[{position}]", member.address, "allowed: EIP-55 spelling")
    require(addresses == sorted(set(addresses)), "members", count, "allowed: each once, by address")
    peers = {member.peer_id for member in document.members}
    require(len(peers) == count, "members", count, "allowed: each peer id once")


class Peers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Who is there besides the epochs' members.

    `bootstrap` holds full multiaddresses (`/…/tcp/…/p2p/<peer id>`), `admitted` the peer ids of
    members-to-be, `listeners` the peer ids that may listen and never count.
    """

    bootstrap: tuple[str, ...] = ()
    admitted: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()


class NetworkFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What `GP_NETWORK_FILE` holds: every epoch so far, oldest first, and the peers."""

    epochs: tuple[Document, ...]
    peers: Peers = Peers()

    @classmethod
    def parse(cls, raw: bytes | str) -> Self:
        """Read a network file (JSON). Raises DocumentError, which names the field."""
        try:
            return msgspec.json.decode(raw, type=cls)
        except (msgspec.MsgspecError, DocumentError) as error:
            raise DocumentError(f"network file: {error}") from error

    def encode(self) -> bytes:
        """Return the file's bytes, indented for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"
