"""What a heartbeat says of others: its bytes, and what no member can have written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gossip_price.core.limits import HEARD_COUNT_MAX
from gossip_price.core.testimony import (
    Seen,
    decode_connected,
    decode_heard,
    decode_observed,
    encode_connected,
    encode_heard,
    encode_observed,
)
from gossip_price.core.wire import WireError
from gossip_price.network.document import PairTerms
from networks import PAIR, START, TERMS, make_network

OTHER = "BTC-EUR"
NETWORK = make_network(4, pairs=(TERMS, PairTerms(OTHER, 2, 100, 10**9)))
DOCUMENT = NETWORK.document
BTC, ETH = (DOCUMENT.pairs.index(DOCUMENT.terms_by_pair[pair]) for pair in (OTHER, PAIR))


def pack_seen(index: int, round_: int, price: int) -> bytes:
    return bytes([index]) + round_.to_bytes(8, "big") + price.to_bytes(8, "big")


def test_a_member_is_a_bit_counted_from_the_lowest_of_the_first_byte() -> None:
    assert encode_connected(0) == b""
    assert encode_connected(1 << 0 | 1 << 2) == b"\x05"
    assert encode_connected(1 << 9) == b"\x00\x02"
    assert decode_connected(b"\x00\x02", 10) == 1 << 9


def test_counts_are_four_bytes_each_and_stop_at_the_largest() -> None:
    assert encode_heard([0, 258]) == b"\0\0\0\0\0\0\1\2"
    assert decode_heard(encode_heard([1, HEARD_COUNT_MAX + 5]), 2) == (1, HEARD_COUNT_MAX)


def test_observations_stand_by_pair_whatever_their_order() -> None:
    seen = (Seen(PAIR, START + 15, 7), Seen(OTHER, START, 100))
    data = encode_observed(seen, DOCUMENT)
    assert data == pack_seen(BTC, START, 100) + pack_seen(ETH, START + 15, 7)
    assert decode_observed(data, DOCUMENT) == (seen[1], seen[0])


@pytest.mark.parametrize(
    "seen",
    [
        Seen("XXX-USD", START, 7),
        Seen(PAIR, START - 15, 7),
        Seen(PAIR, START + 1, 7),
        Seen(OTHER, START, 99),
    ],
    ids=["a pair it has not", "before its start", "no round of it", "a price it does not allow"],
)
def test_what_another_epoch_knew_is_left_out(seen: Seen) -> None:
    assert encode_observed((seen,), DOCUMENT) == b""


MALFORMED: dict[str, Callable[[], object]] = {
    "connected: an empty last byte": lambda: decode_connected(b"\x01\x00", 16),
    "connected: a member too many": lambda: decode_connected(b"\x10", 4),
    "heard: one too few": lambda: decode_heard(bytes(12), 4),
    "heard: one too many": lambda: decode_heard(bytes(20), 4),
    "heard: a cut": lambda: decode_heard(bytes(15), 4),
    "observed: a cut": lambda: decode_observed(pack_seen(0, START, 100)[:-1], DOCUMENT),
    "observed: a pair twice": lambda: decode_observed(pack_seen(0, START, 100) * 2, DOCUMENT),
    "observed: out of order": lambda: decode_observed(
        pack_seen(ETH, START, 100) + pack_seen(BTC, START, 100), DOCUMENT
    ),
    "observed: a pair too many": lambda: decode_observed(pack_seen(2, START, 100), DOCUMENT),
    "observed: no round": lambda: decode_observed(pack_seen(0, START + 1, 100), DOCUMENT),
    "observed: before the epoch": lambda: decode_observed(pack_seen(0, 0, 100), DOCUMENT),
    "observed: beyond all time": lambda: decode_observed(
        pack_seen(0, 2**63 - 2**63 % DOCUMENT.interval, 100), DOCUMENT
    ),
    "observed: not a price": lambda: decode_observed(pack_seen(BTC, START, 99), DOCUMENT),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_anything_else_is_malformed(case: str) -> None:
    with pytest.raises(WireError, match="malformed: "):
        MALFORMED[case]()
