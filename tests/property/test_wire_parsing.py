"""Any bytes are an envelope, a question, an answer, open ids, or a WireError; nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crafted import make_heartbeat, make_receipt, pack
from gossip_price.core.limits import (
    ANSWER_BYTES_MAX,
    CONNECTED_BYTES_MAX,
    HEARD_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    OBSERVED_BYTES_MAX,
    OPEN_IDS_MAX,
)
from gossip_price.core.questions import (
    Gift,
    Want,
    decode_answer,
    decode_question,
    encode_answer,
    encode_question,
)
from gossip_price.core.types import Entry, Report, Signature
from gossip_price.core.wire import (
    ROOTS_BYTES_MAX,
    WIRE_VERSION,
    Envelope,
    Heartbeat,
    Receipt,
    WireError,
    decode,
    decode_open,
    encode,
    encode_open,
    is_well_formed,
)
from gossip_price.network.document import INTEGER_MAX
from networks import make_network

STEADY = settings(derandomize=True, deadline=None, max_examples=200)
NETWORK = make_network(4)
VALID = pack(
    NETWORK.entry(NETWORK.report(), (0, 1)),
    receipts=[make_receipt(NETWORK, 1, [b"i" * 32])],
    heartbeats=[make_heartbeat(NETWORK, 2, open_=encode_open([(b"o" * 32, 0b1011)]))],
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
open_ids = st.lists(
    st.tuples(hashes, st.integers(1, 2**256 - 1)), max_size=6, unique_by=lambda item: item[0]
)
heartbeats = st.builds(
    Heartbeat,
    addresses,
    uints,
    uints,
    hashes,
    uints,
    hashes,
    st.text(max_size=64),
    st.binary(max_size=CONNECTED_BYTES_MAX),
    st.binary(max_size=HEARD_BYTES_MAX),
    st.binary(max_size=OBSERVED_BYTES_MAX),
    open_ids.map(encode_open),
    st.binary(max_size=ROOTS_BYTES_MAX),
    signatures,
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


def find_trouble(read: Callable[[bytes], object], data: bytes) -> str | None:
    try:
        read(data)
    except WireError as error:
        return error.reason
    return None


@STEADY
@given(open_ids)
def test_open_ids_make_the_round_trip_and_have_one_spelling(ids: list[tuple[bytes, int]]) -> None:
    data = encode_open(ids)
    assert list(decode_open(data).items()) == ids
    for length in range(len(data)):
        if find_trouble(decode_open, data[:length]) is None:
            assert encode_open(decode_open(data[:length]).items()) == data[:length]


@STEADY
@given(st.binary(max_size=120) | st.lists(hashes | st.sampled_from([b"\1\1", b"\0"])).map(b"".join))
@example(bytes(32))
@example(bytes(33))
@example(bytes(32) + b"\1\0")
@example(bytes(32) + b"\2\1\0")
@example(bytes(32) + b"\x21" + b"\xff" * 33)
def test_any_bytes_are_open_ids_or_malformed(data: bytes) -> None:
    if find_trouble(decode_open, data) is None:
        assert encode_open(decode_open(data).items()) == data
    else:
        assert find_trouble(decode_open, data) == "malformed"


def test_a_bit_is_a_member_counted_from_the_lowest_of_the_first_byte() -> None:
    assert encode_open([(b"i" * 32, 1 << 0 | 1 << 9)]) == b"i" * 32 + b"\2" + b"\x01\x02"


def test_the_largest_heartbeat_is_far_below_what_a_message_may_have() -> None:
    everybody = (1 << 256) - 1
    ids = [number.to_bytes(32, "big") for number in range(OPEN_IDS_MAX + 1)]
    full = encode_open((id_, everybody) for id_ in ids[:OPEN_IDS_MAX])
    assert len(decode_open(full)) == OPEN_IDS_MAX
    beat = make_heartbeat(
        NETWORK,
        2,
        connected=bytes(CONNECTED_BYTES_MAX),
        heard=bytes(HEARD_BYTES_MAX),
        observed=bytes(OBSERVED_BYTES_MAX),
        open_=full,
        roots=bytes(ROOTS_BYTES_MAX),
    )
    data = pack(heartbeats=[beat] * 16)
    assert decode(data).heartbeats[0].open == full
    assert len(data) < MESSAGE_BYTES_MAX
    with pytest.raises(WireError, match="allowed: 256"):
        decode_open(encode_open((id_, 1) for id_ in ids))


@STEADY
@given(st.lists(hashes, min_size=1, max_size=5), st.lists(entries, max_size=3))
def test_questions_and_answers_make_the_round_trip(ids: list[bytes], given: list[Entry]) -> None:
    assert decode_question(encode_question(Want(tuple(ids)))) == Want(tuple(ids))
    assert decode_answer(encode_answer(given)) == Gift(tuple(given))


@STEADY
@given(st.binary(max_size=300) | values.map(msgspec.msgpack.encode))
@example(b"")
@example(b"\x92\xa7entries\x90")
@example(b"\x92\xa7entries\xdd\xff\xff\xff\xff")
@example(b"\x91" * 4_000)
@example(bytes(ANSWER_BYTES_MAX + 1))
@pytest.mark.parametrize("read", [decode_question, decode_answer])
def test_any_bytes_are_a_question_or_an_answer_or_an_error(
    read: Callable[[bytes], object], data: bytes
) -> None:
    assert find_trouble(read, data) in (None, "size", "malformed")


def test_an_answer_that_would_be_too_large_ends_early() -> None:
    everybody = tuple(Signature(member, bytes(65)) for member in range(256))
    entry = Entry(NETWORK.report(), everybody)
    data = encode_answer([entry] * 64)
    assert len(data) <= ANSWER_BYTES_MAX
    assert 26 <= len(decode_answer(data).entries) < 64
