"""Any bytes are an envelope or a WireError, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crafted import make_heartbeat, make_receipt, pack
from gossip_price.core.types import Entry, Report, Signature
from gossip_price.core.wire import (
    WIRE_VERSION,
    Envelope,
    Heartbeat,
    Receipt,
    WireError,
    decode,
    encode,
    is_well_formed,
)
from gossip_price.network.document import INTEGER_MAX
from networks import make_network

STEADY = settings(derandomize=True, deadline=None, max_examples=200)
NETWORK = make_network(4)
VALID = pack(
    NETWORK.entry(NETWORK.report(), (0, 1)),
    receipts=[make_receipt(NETWORK, 1, [b"i" * 32])],
    heartbeats=[make_heartbeat(NETWORK, 2)],
)

uints = st.integers(0, INTEGER_MAX)
hashes = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20)
signatures = st.binary(min_size=65, max_size=65)
reports = st.builds(
    Report,
    hashes,
    st.text(min_size=5, max_size=25),
    uints,
    uints,
    st.integers(0, 18),
    uints,
    addresses,
)
signed = st.builds(Signature, st.integers(0, 255), signatures)
entries = st.builds(Entry, reports, st.lists(signed, min_size=1, max_size=4).map(tuple))
receipts = st.builds(
    Receipt,
    addresses,
    hashes,
    uints,
    st.lists(hashes, min_size=1, max_size=4).map(tuple),
    signatures,
)
heartbeats = st.builds(
    Heartbeat, addresses, uints, uints, hashes, uints, hashes, st.text(max_size=64), signatures
)
envelopes = st.builds(
    Envelope,
    st.just(WIRE_VERSION),
    st.lists(entries, max_size=3).map(tuple),
    st.lists(receipts, max_size=3).map(tuple),
    st.lists(heartbeats, max_size=3).map(tuple),
)
#: Anything that MessagePack can say.
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary()
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner),
    max_leaves=12,
)  # fmt: skip


def check(data: bytes) -> None:
    if not is_well_formed(data):
        with pytest.raises(WireError) as caught:
            decode(data)
        assert caught.value.reason in ("size", "version", "malformed")
        return
    envelope = decode(data)
    assert envelope.version == WIRE_VERSION
    assert decode(encode(envelope)) == envelope


@STEADY
@given(st.binary(max_size=400))
@example(b"")
@example(b"\x91" * 200_000)
@example(b"\x91\x81\x80\x01")
@example(b"\x91\xd6\xff\xff\xff\xff\xff")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x94\x01\x90\x90\xdd\xff\xff\xff\xff")
def test_any_bytes(data: bytes) -> None:
    check(data)


@STEADY
@given(values)
def test_any_message_pack(value: Any) -> None:
    check(msgspec.msgpack.encode(value))
    check(msgspec.msgpack.encode([WIRE_VERSION, value]))


@STEADY
@given(envelopes)
def test_every_envelope_makes_the_round_trip(envelope: Envelope) -> None:
    data = encode(envelope)
    assert decode(data) == envelope
    assert encode(decode(data)) == data


@STEADY
@given(st.integers(0, len(VALID) - 1), st.integers(0, 255), st.booleans())
def test_a_changed_or_cut_envelope_is_one_or_an_error(place: int, byte: int, cut: bool) -> None:
    changed = VALID[:place] if cut else VALID[:place] + bytes([byte]) + VALID[place + 1 :]
    check(changed)
    check(changed + b"\0")


def test_every_cut_of_an_envelope_is_malformed() -> None:
    for length in range(len(VALID)):
        assert not is_well_formed(VALID[:length])
    assert not is_well_formed(VALID + b"\0")
