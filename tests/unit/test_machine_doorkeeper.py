"""What is let in, ignored, or held against its author: a table of single mutations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from crafted import get_ranked, make_heartbeat, make_receipt, pack
from gossip_price import crypto
from gossip_price.core import checks
from gossip_price.core.events import NoteKind
from gossip_price.core.types import Entry, Report, Signature
from gossip_price.core.wire import WIRE_VERSION
from networks import START, make_network
from world import PRICE, STORE, Node, World

NETWORK = make_network(4)
STRANGERS = make_network(4, seed="strangers")
FIRST = get_ranked(NETWORK, 2)[0]
OTHER = (FIRST + 1) % 4
#: The round in which the messages come: the second one after the start.
NOW = START + 30
REPORT = NETWORK.report(2, PRICE, FIRST)

replace = msgspec.structs.replace


def change(**fields: Any) -> Entry:
    """Return an entry whose report differs in these fields and is signed as it stands."""
    return NETWORK.entry(replace(REPORT, **fields), (FIRST,))


def resign(entry: Entry, *signatures: Signature) -> Entry:
    return replace(entry, signatures=signatures)


GOOD = NETWORK.entry(REPORT, (FIRST, OTHER))
FIRST_SIGNED, OTHER_SIGNED = GOOD.signatures


def flip_s(signature: bytes) -> bytes:
    """The same signature in its second spelling, with a high s."""
    s = crypto.CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


def sign_old(index: int, *members: int) -> Entry:
    return NETWORK.entry(NETWORK.report(index, PRICE, members[0]), members)


ENTRIES: dict[str, tuple[Entry, NoteKind | None, str]] = {
    "as it should be": (GOOD, None, ""),
    "another pair": (change(pair="DOGE-USD"), NoteKind.REJECTED, "unknown_pair"),
    "other decimals": (change(decimals=7), NoteKind.REJECTED, "decimals"),
    "price zero": (change(price=0), NoteKind.REJECTED, "price_range"),
    "price over the bound": (change(price=10**15 + 1), NoteKind.REJECTED, "price_range"),
    "observed in the next round": (
        change(observed_at=REPORT.round + 15),
        NoteKind.REJECTED,
        "round_mismatch",
    ),
    "observed a second before": (
        change(observed_at=REPORT.round - 1),
        NoteKind.REJECTED,
        "round_mismatch",
    ),
    "a round that is none": (change(round=REPORT.round + 1), NoteKind.REJECTED, "round_mismatch"),
    "proposer of nowhere": (
        change(proposer=STRANGERS.document.addresses[0]),
        NoteKind.REJECTED,
        "unknown_proposer",
    ),
    "not signed by its proposer": (
        resign(GOOD, OTHER_SIGNED),
        NoteKind.REJECTED,
        "unsigned_by_proposer",
    ),
    "the same signer twice": (
        resign(GOOD, FIRST_SIGNED, FIRST_SIGNED),
        NoteKind.REJECTED,
        "repeated_signer",
    ),
    "an index beyond the roster": (
        resign(GOOD, FIRST_SIGNED, Signature(4, OTHER_SIGNED.signature)),
        NoteKind.REJECTED,
        "unknown_signer",
    ),
    "a signature under another's index": (
        resign(GOOD, FIRST_SIGNED, Signature(OTHER, FIRST_SIGNED.signature)),
        NoteKind.REJECTED,
        "bad_signature",
    ),
    "a signature over something else": (
        resign(GOOD, FIRST_SIGNED, Signature(OTHER, crypto.sign(b"k" * 32, b"d" * 32))),
        NoteKind.REJECTED,
        "bad_signature",
    ),
    "a signature spelled with a high s": (
        resign(GOOD, Signature(FIRST, flip_s(FIRST_SIGNED.signature))),
        NoteKind.REJECTED,
        "bad_signature",
    ),
    "zeros for a signature": (
        resign(GOOD, Signature(FIRST, bytes(65))),
        NoteKind.REJECTED,
        "bad_signature",
    ),
    "an epoch that we do not know": (
        change(epoch=b"e" * 32),
        NoteKind.IGNORED,
        "unknown_epoch",
    ),
    "another network's epoch": (
        STRANGERS.entry(STRANGERS.report(2), (0,)),
        NoteKind.IGNORED,
        "unknown_epoch",
    ),
    "a round before the epoch": (
        NETWORK.entry(replace(REPORT, round=START - 15, observed_at=START - 15), (FIRST,)),
        NoteKind.REJECTED,
        "epoch_not_started",
    ),
    "a round to come": (sign_old(3, 0), NoteKind.IGNORED, "future_round"),
    "an old round, unproven": (sign_old(0, 0, 1), NoteKind.IGNORED, "stale_round"),
    "an old round, proven": (sign_old(0, 0, 1, 2), None, ""),
    "an old round, falsely proven": (
        resign(sign_old(0, 0, 1, 2), *sign_old(0, 0, 1).signatures, Signature(2, bytes(65))),
        NoteKind.REJECTED,
        "bad_signature",
    ),
}


def hear(data: bytes, *, author: int = OTHER, listener: int = (FIRST + 2) % 4) -> Node:
    """Let one node hear one message, in a member's name, two seconds into the round."""
    world = World(NETWORK, alive=[listener])
    world.run_until(NOW + 2)
    world.send(author, data)
    world.run_until(NOW + 3)
    return world.nodes[listener]


def get_merged(node: Node) -> list[bytes]:
    """Return whose signatures it has taken in, its own aside."""
    own = node.signer.address
    return [note.member for note in node.get_notes(NoteKind.COSIGNED) if note.member != own]


def check(node: Node, author: int, kind: NoteKind | None, reason: str) -> None:
    told = [*node.get_notes(NoteKind.REJECTED), *node.get_notes(NoteKind.IGNORED)]
    peer_id = NETWORK.document.members[author].peer_id
    expected = [] if kind is None else [(kind, reason, peer_id)]
    assert [(note.kind, note.reason, note.author) for note in told] == expected
    blamed = [(peer_id, reason)] if kind is NoteKind.REJECTED else []
    assert node.penalized == blamed


@pytest.mark.parametrize("case", ENTRIES)
def test_entries(case: str) -> None:
    entry, kind, reason = ENTRIES[case]
    node = hear(pack(entry))
    check(node, OTHER, kind, reason)
    assert (get_merged(node) == []) is (kind is not None)
    assert (node.get_notes(NoteKind.SIGNED) == []) is (case != "as it should be")


def test_what_is_old_and_proven_is_merged_and_stored_and_never_signed() -> None:
    world = World(NETWORK, alive=[3])
    world.run_until(NOW + 2)
    world.send(1, pack(sign_old(0, 0, 1, 2)))
    world.run_until(NOW + 40)
    (row,) = world.get_rows()
    assert row.report.round == START
    assert len(row.signatures) == 3
    assert not world.nodes[3].get_notes(NoteKind.SIGNED)


MESSAGES: dict[str, tuple[Callable[[], bytes], NoteKind | None, str]] = {
    "nothing at all": (lambda: b"", NoteKind.REJECTED, "malformed"),
    "noise": (lambda: b"\x93\x01\xc1" + bytes(40), NoteKind.REJECTED, "malformed"),
    "too long": (lambda: bytes(512 * 1024 + 1), NoteKind.REJECTED, "size"),
    "another version": (
        lambda: msgspec.msgpack.encode([WIRE_VERSION + 1, "what comes next"]),
        NoteKind.IGNORED,
        "version",
    ),
    "one's own heartbeat": (
        lambda: pack(heartbeats=[make_heartbeat(NETWORK, OTHER)]),
        None,
        "",
    ),
    "another's heartbeat": (
        lambda: pack(heartbeats=[make_heartbeat(NETWORK, FIRST)]),
        NoteKind.REJECTED,
        "not_the_author",
    ),
    "a heartbeat with another's key": (
        lambda: pack(heartbeats=[make_heartbeat(NETWORK, OTHER, signer=FIRST)]),
        NoteKind.REJECTED,
        "bad_signature",
    ),
    "a stranger's heartbeat": (
        lambda: pack(heartbeats=[make_heartbeat(STRANGERS, 0, epoch=NETWORK.document.hash)]),
        NoteKind.REJECTED,
        "unknown_member",
    ),
    "a heartbeat that is connected to more than there are": (
        lambda: pack(heartbeats=[make_heartbeat(NETWORK, OTHER, connected=b"\x10")]),
        NoteKind.REJECTED,
        "malformed",
    ),
    "a heartbeat that has heard fewer than there are": (
        lambda: pack(heartbeats=[make_heartbeat(NETWORK, OTHER, heard=bytes(12))]),
        NoteKind.REJECTED,
        "malformed",
    ),
    "a heartbeat that has observed what there is not": (
        lambda: pack(heartbeats=[make_heartbeat(NETWORK, OTHER, observed=b"\x07" + bytes(16))]),
        NoteKind.REJECTED,
        "malformed",
    ),
    "a heartbeat of an unknown epoch": (
        lambda: pack(heartbeats=[make_heartbeat(STRANGERS, 0)]),
        NoteKind.IGNORED,
        "unknown_epoch",
    ),
    "one's own receipt": (
        lambda: pack(receipts=[make_receipt(NETWORK, OTHER, [b"i" * 32])]),
        None,
        "",
    ),
    "another's receipt": (
        lambda: pack(receipts=[make_receipt(NETWORK, FIRST, [b"i" * 32])]),
        NoteKind.REJECTED,
        "not_the_author",
    ),
    "a receipt with another's key": (
        lambda: pack(receipts=[make_receipt(NETWORK, OTHER, [b"i" * 32], signer=FIRST)]),
        NoteKind.REJECTED,
        "bad_signature",
    ),
    "a stranger's receipt": (
        lambda: pack(receipts=[make_receipt(STRANGERS, 0, [b"i" * 32])]),
        NoteKind.IGNORED,
        "unknown_writer",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(case: str) -> None:
    make, kind, reason = MESSAGES[case]
    check(hear(make()), OTHER, kind, reason)


def test_whoever_forwards_is_not_blamed_because_nobody_asks_who_forwarded() -> None:
    # The transport names the author; a true entry in another member's message is its own business.
    node = hear(pack(GOOD), author=(FIRST + 3) % 4)
    assert node.penalized == []
    assert node.get_notes(NoteKind.SIGNED)


def test_after_a_lie_the_rest_of_the_message_is_not_read() -> None:
    lie = resign(GOOD, Signature(FIRST, bytes(65)))
    node = hear(pack(lie, GOOD, lie, receipts=[make_receipt(NETWORK, FIRST, [b"i" * 32])]))
    check(node, OTHER, NoteKind.REJECTED, "bad_signature")
    assert get_merged(node) == []


@pytest.mark.parametrize(
    "data",
    [
        pack(heartbeats=[make_heartbeat(NETWORK, FIRST)] * 2),
        pack(receipts=[make_receipt(NETWORK, FIRST, [b"i" * 32])] * 2),
    ],
    ids=["heartbeats", "receipts"],
)
def test_after_a_lie_no_other_word_is_read_either(data: bytes) -> None:
    check(hear(data), OTHER, NoteKind.REJECTED, "not_the_author")


def test_a_signature_that_we_have_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    recovered: list[bytes] = []

    def recover(digest: bytes, signature: bytes) -> bytes:
        recovered.append(signature)
        return crypto.recover(digest, signature)

    monkeypatch.setattr(checks, "recover", recover)
    third = (FIRST + 2) % 4
    longer = NETWORK.entry(REPORT, (FIRST, OTHER, third))
    node = hear(pack(GOOD, GOOD, longer, GOOD), listener=(FIRST + 3) % 4)
    assert sorted(recovered) == sorted(one.signature for one in longer.signatures)
    assert len(get_merged(node)) == 3


def test_what_is_ignored_does_not_keep_the_rest_out() -> None:
    node = hear(pack(sign_old(3, 0), GOOD))
    check(node, OTHER, NoteKind.IGNORED, "future_round")
    assert node.get_notes(NoteKind.SIGNED)


@pytest.mark.parametrize("kind", ["heartbeat", "receipt"])
def test_no_signature_is_good_for_another_kind_of_statement(kind: str) -> None:
    report_signature = NETWORK.sign(REPORT, OTHER)
    if kind == "heartbeat":
        beat = replace(make_heartbeat(NETWORK, OTHER), signature=report_signature)
        data = pack(heartbeats=[beat])
    else:
        receipt = make_receipt(NETWORK, OTHER, [NETWORK.compute_id(REPORT)], store=STORE)
        data = pack(receipts=[replace(receipt, signature=report_signature)])
    check(hear(data), OTHER, NoteKind.REJECTED, "bad_signature")


def test_a_report_is_a_value() -> None:
    assert isinstance(REPORT, Report)
    assert NETWORK.compute_id(REPORT) != NETWORK.compute_id(replace(REPORT, price=PRICE + 1))
