"""What a heartbeat says of others, as bytes: whom it is connected to, how much it has heard of
each, and what it observed last.

Positions are those of the epoch that the heartbeat names, its roster and its pairs. Whether it is
true nobody can tell from one member alone; `hearing` compares what several say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from gossip_price.core.limits import HEARD_COUNT_MAX
from gossip_price.core.wire import Heartbeat, WireError
from gossip_price.network.document import INTEGER_MAX, MEMBERS_MAX, Document

_OBSERVED: Final = struct.Struct(">BQQ")


class Seen(NamedTuple):
    """What a member observed of a pair in a round; `price` in units of the pair's decimals."""

    pair: str
    round: int
    price: int


class Testimony(NamedTuple):
    """Members by index: `connected` as bits, `heard` a count for each, its own being 0."""

    connected: int
    heard: tuple[int, ...]
    observed: tuple[Seen, ...]


def encode_connected(bits: int) -> bytes:
    """Write members as bits: bit i mod 8, counted from the lowest, of byte i div 8 is member i."""
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def decode_connected(data: bytes, members: int) -> int:
    """Read what `encode_connected` has written.

    Raises WireError with reason `malformed` for a last byte that is zero, and for a member that
    is not among so many.
    """
    bits = int.from_bytes(data, "little")
    if (data and not data[-1]) or bits >> members:
        raise WireError("malformed", f"connected: {len(data)} bytes for {members} members")
    return bits


def encode_heard(counts: Iterable[int]) -> bytes:
    """Write 4 bytes for each member, big-endian; more than fits is the most that fits."""
    fitting = list(counts)
    if max(fitting, default=0) > HEARD_COUNT_MAX:
        fitting = [min(count, HEARD_COUNT_MAX) for count in fitting]
    return struct.pack(f">{len(fitting)}I", *fitting)


def decode_heard(data: bytes, members: int) -> tuple[int, ...]:
    """Read what `encode_heard` has written. Raises WireError unless it is one a member."""
    if len(data) != 4 * members:
        raise WireError("malformed", f"heard: {len(data)} bytes for {members} members")
    return struct.unpack(f">{members}I", data)


def find_unchanged(before: bytes, after: bytes) -> tuple[int, ...]:
    """Return the indices of the members whose counts are the same in both `heard`."""
    members = len(after) // 4
    counts = zip(decode_heard(before, members), decode_heard(after, members), strict=True)
    return tuple([index for index, (count, later) in enumerate(counts) if count == later])


def encode_observed(seen: Sequence[Seen], document: Document) -> bytes:
    """Write, by pair, its index (1 byte), round (8) and price (8); big-endian.

    What the document would not let pass (another epoch's round, a pair or price it does not have)
    is left out.
    """
    by_pair = {one.pair: one for one in seen}
    parts = [
        _OBSERVED.pack(index, one.round, one.price)
        for index, terms in enumerate(document.pairs)
        if (one := by_pair.get(terms.pair)) is not None and _is_possible(one, document)
    ]
    return b"".join(parts)


def decode_observed(data: bytes, document: Document) -> tuple[Seen, ...]:
    """Read what `encode_observed` has written.

    Raises WireError with reason `malformed` for a cut, pairs out of order or that there are not,
    and what nobody can have observed in a round of this epoch.
    """
    if len(data) % _OBSERVED.size:
        raise WireError("malformed", f"{len(data)} bytes of observations")
    seen: list[Seen] = []
    before = -1
    for index, round_, price in _OBSERVED.iter_unpack(data):
        if not before < index < len(document.pairs):
            raise WireError("malformed", f"observed: pair {index} after {before}")
        one = Seen(document.pairs[index].pair, round_, price)
        if not _is_possible(one, document):
            raise WireError("malformed", f"observed: {one.pair} cannot be {price} in {round_}")
        before = index
        seen.append(one)
    return tuple(seen)


@lru_cache(maxsize=MEMBERS_MAX)
def decode_testimony(heartbeat: Heartbeat, document: Document) -> Testimony:
    """Read all that a heartbeat says of others; `document` is the epoch that it names.

    Cached: the doorkeeper reads it, and then whoever looks at the newest of each member.

    Raises WireError with reason `malformed`.
    """
    members = len(document.members)
    return Testimony(
        decode_connected(heartbeat.connected, members),
        decode_heard(heartbeat.heard, members),
        decode_observed(heartbeat.observed, document),
    )


def _is_possible(seen: Seen, document: Document) -> bool:
    terms = document.terms_by_pair[seen.pair]
    return (
        document.start <= seen.round <= INTEGER_MAX
        and document.get_round(seen.round) == seen.round
        and terms.min_price <= seen.price <= terms.max_price
    )
