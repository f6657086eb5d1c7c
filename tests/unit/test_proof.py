"""What proves a price, and every way in which it can fail to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gossip_price import crypto
from gossip_price.core import proof
from gossip_price.core.price import PriceFormatError, format_list, format_price, parse_price
from gossip_price.core.proof import (
    ClaimedRow,
    EpochBook,
    UnprovenError,
    parse_hash,
    verify_price,
    verify_row,
)
from gossip_price.core.types import Report
from gossip_price.network.document import Mode
from gossip_price.network.keys import format_address, parse_address
from networks import SampleNetwork, make_network

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "reports.json").read_text())
NETWORK = make_network(4)
STRANGER = make_network(4, seed="stranger")

Signed = list[tuple[str, str]]


def sign_all(
    report: Report, members: tuple[int, ...] = (0, 1, 2), network: SampleNetwork = NETWORK
) -> Signed:
    return [
        (network.document.members[member].address, "0x" + network.sign(report, member).hex())
        for member in members
    ]


def get_id(report: Report) -> str:
    return "0x" + NETWORK.compute_id(report).hex()


def claim(signed: Report, by: Signed, /, **changes: Any) -> ClaimedRow:
    """A row as it would stand in the table, then changed."""
    row = ClaimedRow(
        id=get_id(signed),
        price=f"{signed.price / 10**8:.8f}",
        first_signer=format_address(signed.proposer),
        signatures=json.dumps([{"signer": a, "signature": s} for a, s in by]),
        report=signed.encode(),
        epoch="0x" + signed.epoch.hex(),
        pair=signed.pair,
        round=signed.round,
        observed_at=f"{signed.observed_at}.000000",
        decimals=signed.decimals,
    )
    return msgspec.structs.replace(row, **changes)


@pytest.mark.parametrize("vector", GOLDEN, ids=[str(n) for n in range(len(GOLDEN))])
def test_the_published_vectors_have_our_ids_and_signers(vector: dict[str, Any]) -> None:
    fields = vector["report"]
    report = Report(
        bytes.fromhex(fields["epoch"][2:]),
        fields["pair"],
        fields["round"],
        int(fields["price"]),
        fields["decimals"],
        fields["observedAt"],
        parse_address(fields["proposer"]),
    )
    separator = crypto.compute_domain_separator(
        "gossip-price", "1", bytes.fromhex(vector["networkId"][2:])
    )
    assert "0x" + report.compute_id(separator).hex() == vector["id"]
    # Read as a price without its document: the same JSON everywhere.
    price = parse_price(
        {name: vector[name] for name in ("id", "networkId", "report", "signatures")}
    )
    assert price.report == report
    for signer, signature in price.signatures:
        address = crypto.recover(parse_hash(price.id), bytes.fromhex(signature[2:]))
        assert format_address(address) == signer


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("members", [(0, 1, 2), (2, 1, 0, 3), (0, 1, 2, 3)])
def test_enough_members_signatures_in_any_order_prove_a_price(
    mode: Mode, members: tuple[int, ...]
) -> None:
    network = make_network(4, mode=mode)
    report = network.report(3, proposer=1, observed_at=network.round(3) + 14)
    id_ = "0x" + network.compute_id(report).hex()
    signers = verify_price(id_, report, sign_all(report, members, network), network.document)
    assert signers == tuple(sorted(network.document.addresses[member] for member in members))


def flip(position: int) -> Callable[[str], str]:
    def change(signature: str) -> str:
        raw = bytearray.fromhex(signature[2:])
        raw[position] ^= 1
        return "0x" + raw.hex()

    return change


def raise_s(signature: str) -> str:
    """The same signature's second spelling, with a high s."""
    raw = bytes.fromhex(signature[2:])
    s = crypto.CURVE_ORDER - int.from_bytes(raw[32:64], "big")
    return "0x" + (raw[:32] + s.to_bytes(32, "big") + bytes([raw[64] ^ 7])).hex()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (flip(3), "signature_invalid"),
        (flip(40), "signature_invalid"),
        (flip(64), "signature_invalid"),
        (raise_s, "signature_invalid"),
        (lambda text: text[:-2] + "00", "signature_invalid"),
        (lambda text: "0x" + "00" * 65, "signature_invalid"),
        (lambda text: text[:-2], "signature_malformed"),
        (lambda text: text + "00", "signature_malformed"),
        (lambda text: text.upper(), "signature_malformed"),
        (lambda text: text[2:] + "00", "signature_malformed"),
        (lambda text: "0x" + "g" * 130, "signature_malformed"),
        (lambda text: "", "signature_malformed"),
    ],
)
def test_a_false_signature_is_no_proof_even_beside_enough_good_ones(
    change: Callable[[str], str], reason: str
) -> None:
    report = NETWORK.report()
    signatures = sign_all(report, (0, 1, 2, 3))
    signatures[3] = (signatures[3][0], change(signatures[3][1]))
    with pytest.raises(UnprovenError) as caught:
        verify_price(get_id(report), report, signatures, NETWORK.document)
    assert caught.value.reason == reason


def test_the_second_spelling_of_a_signature_would_recover_to_the_same_key() -> None:
    # So that the case above is refused for its high s and for nothing else.
    report = NETWORK.report()
    ((_, signature),) = sign_all(report, (0,))
    assert raise_s(raise_s(signature)) == signature


@pytest.mark.parametrize(
    ("make_signatures", "reason"),
    [
        (lambda r: [], "proposer_missing"),
        (lambda r: sign_all(r, (1, 2, 3)), "proposer_missing"),
        (lambda r: sign_all(r, (0, 1)), "signers_few"),
        (lambda r: sign_all(r, (0, 1, 1)), "signer_twice"),
        (
            lambda r: [
                *sign_all(r, (0, 1)),
                (NETWORK.document.members[1].address.lower(), sign_all(r, (1,))[0][1]),
            ],
            "signer_twice",
        ),
        (
            lambda r: [
                *sign_all(r, (0, 1)),
                (NETWORK.document.members[2].address, sign_all(r, (3,))[0][1]),
            ],
            "signature_invalid",
        ),
        (
            lambda r: [
                *sign_all(r),
                (
                    STRANGER.document.members[0].address,
                    "0x" + crypto.sign(STRANGER.signing_secrets[0], NETWORK.compute_id(r)).hex(),
                ),
            ],
            "signer_foreign",
        ),
        (lambda r: [*sign_all(r), ("0x12", "0x" + "00" * 65)], "signer_malformed"),
        (lambda r: sign_all(NETWORK.report(1)), "signature_invalid"),
    ],
)
def test_signatures_count_once_for_members_over_this_content(
    make_signatures: Callable[[Report], Signed], reason: str
) -> None:
    report = NETWORK.report()
    with pytest.raises(UnprovenError) as caught:
        verify_price(get_id(report), report, make_signatures(report), NETWORK.document)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epoch": STRANGER.document.hash}, "epoch_mismatch"),
        ({"pair": "BTC-USD"}, "pair_unknown"),
        ({"decimals": 7}, "decimals_mismatch"),
        ({"price": 0}, "price_range"),
        ({"price": 10**15 + 1}, "price_range"),
        ({"round": NETWORK.round(0) + 1}, "round_mismatch"),
        ({"round": NETWORK.round(1)}, "round_mismatch"),
        ({"observed_at": NETWORK.round(0) - 1}, "round_mismatch"),
        ({"observed_at": NETWORK.round(1)}, "round_mismatch"),
        ({"round": NETWORK.round(-1), "observed_at": NETWORK.round(-1)}, "round_early"),
        ({"proposer": STRANGER.document.addresses[0]}, "proposer_foreign"),
    ],
)
def test_a_quorum_cannot_sign_what_its_document_forbids(
    changes: dict[str, Any], reason: str
) -> None:
    report = msgspec.structs.replace(NETWORK.report(), **changes)
    with pytest.raises(UnprovenError) as caught:
        verify_price(get_id(report), report, sign_all(report), NETWORK.document)
    assert caught.value.reason == reason


def test_what_follows_unknown_rules_is_not_called_proven() -> None:
    document = msgspec.structs.replace(NETWORK.document, protocol=2)
    with pytest.raises(UnprovenError, match="protocol_unknown: epoch 1 has protocol 2"):
        EpochBook([document]).find(document.hash)


def test_an_id_that_is_not_the_contents_is_refused() -> None:
    report = NETWORK.report()
    for wrong in (get_id(NETWORK.report(1)), get_id(report).upper(), get_id(report)[2:], ""):
        with pytest.raises(UnprovenError, match="id_mismatch"):
            verify_price(wrong, report, sign_all(report), NETWORK.document)


def test_a_row_is_proven_by_its_report_and_columns() -> None:
    report = NETWORK.report()
    assert len(verify_row(claim(report, sign_all(report)), NETWORK.document)) == 3
    # NUMERIC keeps the digits it was given; the value is what counts.
    assert verify_row(claim(report, sign_all(report), price="2500"), NETWORK.document)


def test_signatures_that_were_checked_before_are_not_checked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recovered: list[bytes] = []

    def recover(digest: bytes, signature: bytes) -> bytes:
        recovered.append(signature)
        return crypto.recover(digest, signature)

    monkeypatch.setattr(proof, "recover", recover)
    report = NETWORK.report()
    row = claim(report, sign_all(report))
    signed = [
        (NETWORK.document.addresses[member], NETWORK.sign(report, member)) for member in range(3)
    ]
    signers = verify_row(row, NETWORK.document, (signed[0], signed[2]))
    assert recovered == [signed[1][1]]
    assert signers == verify_row(row, NETWORK.document)
    assert len(recovered) == 1 + 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": get_id(NETWORK.report(1))}, "id_mismatch"),
        ({"price": "2500.00000001"}, "column_mismatch"),
        ({"price": "-2500"}, "column_mismatch"),
        ({"price": "NaN"}, "column_mismatch"),
        ({"price": "sNaN"}, "column_mismatch"),
        ({"price": "Infinity"}, "column_mismatch"),
        ({"price": None}, "column_mismatch"),
        ({"price": "much"}, "column_mismatch"),
        ({"first_signer": NETWORK.document.members[1].address}, "column_mismatch"),
        ({"first_signer": NETWORK.document.members[0].address.lower()}, "column_mismatch"),
        ({"first_signer": None}, "column_mismatch"),
        ({"epoch": "0x" + STRANGER.document.hash.hex()}, "column_mismatch"),
        ({"round": NETWORK.round(1)}, "column_mismatch"),
        ({"round": None}, "column_mismatch"),
        ({"observed_at": f"{NETWORK.round(0)}.000001"}, "column_mismatch"),
        ({"observed_at": "Infinity"}, "column_mismatch"),
        ({"decimals": 7}, "column_mismatch"),
        ({"pair": "BTC-USD"}, "report_malformed"),
        ({"pair": None}, "report_malformed"),
        ({"report": None}, "report_malformed"),
        ({"report": b""}, "report_malformed"),
        ({"report": NETWORK.report().encode() + b"\0"}, "report_malformed"),
        ({"report": b"\0" * 256}, "report_malformed"),
        ({"report": NETWORK.report().encode()[:-32] + b"\1" * 32}, "report_malformed"),
        ({"report": NETWORK.report(price=1).encode()}, "column_mismatch"),
        ({"signatures": None}, "signatures_malformed"),
        ({"signatures": "{}"}, "signatures_malformed"),
        ({"signatures": "[" * 30_000}, "signatures_malformed"),
        ({"signatures": '[{"signer": 1, "signature": 2}]'}, "signatures_malformed"),
        ({"signatures": '[{"signer": "a", "signature": "b", "more": 1}]'}, "signatures_malformed"),
        ({"signatures": "[]"}, "proposer_missing"),
    ],
)
def test_every_signed_column_says_what_was_signed(changes: dict[str, Any], reason: str) -> None:
    report = NETWORK.report()
    with pytest.raises(UnprovenError) as caught:
        verify_row(claim(report, sign_all(report), **changes), NETWORK.document)
    assert caught.value.reason == reason


FIRST = NETWORK
SECOND = FIRST.follow(start_index=10)
THIRD = SECOND.follow(start_index=10)
DOCUMENTS = [network.document for network in (FIRST, SECOND, THIRD)]
HASHES = [document.hash for document in DOCUMENTS]


def find_vouched(book: EpochBook) -> list[int]:
    vouched = []
    for number, epoch in enumerate(HASHES, 1):
        with contextlib.suppress(UnprovenError):
            vouched.append(number if book.find(epoch).hash == epoch else 0)
    return vouched


@pytest.mark.parametrize(
    ("known", "trusted", "vouched"),
    [
        (DOCUMENTS, None, [1, 2, 3]),
        (DOCUMENTS, HASHES[:1], [1]),
        (DOCUMENTS, HASHES[1:2], [1, 2]),
        (DOCUMENTS, HASHES[2:], [1, 2, 3]),
        (DOCUMENTS[::-1], HASHES[1:2], [1, 2]),
        (DOCUMENTS, [STRANGER.document.hash], []),
        (DOCUMENTS, [], []),
        ([DOCUMENTS[0], DOCUMENTS[2]], HASHES[2:], [3]),  # the chain has a hole
        ([], HASHES, []),
    ],
)
def test_a_trusted_hash_vouches_for_its_epoch_and_those_before_it(
    known: list[Any], trusted: list[bytes] | None, vouched: list[int]
) -> None:
    assert find_vouched(EpochBook(known, trusted)) == vouched


def test_a_link_that_breaks_a_rule_vouches_for_nothing_before_it() -> None:
    # A member-made document that names the first as its predecessor and skips a number.
    skipping = msgspec.structs.replace(SECOND.document, epoch=3)
    book = EpochBook([FIRST.document, skipping], [skipping.hash])
    assert book.find(skipping.hash) == skipping
    with pytest.raises(UnprovenError, match="epoch_untrusted"):
        book.find(FIRST.document.hash)


def test_a_price_survives_its_json() -> None:
    report = NETWORK.report(2, observed_at=NETWORK.round(2) + 1)
    pairs = [(NETWORK.document.addresses[m], NETWORK.sign(report, m)) for m in (2, 0, 1)]
    mapping = format_price(report, pairs, NETWORK.document, local={"source": ["x"]})
    assert list(mapping) == ["id", "networkId", "report", "signatures", "document", "local"]
    assert mapping["report"]["price"] == "250000000000"
    for raw in (mapping, json.dumps(mapping), json.dumps(mapping).encode()):
        price = parse_price(raw)
        assert price.report == report
        assert price.document == NETWORK.document
        assert verify_price(price.id, price.report, price.signatures, NETWORK.document)
    assert format_list([mapping], None) == {"prices": [mapping], "next": None}


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        (("id",), "0x12", "id"),
        (("id",), None, "id"),
        (("networkId",), "0x" + "00" * 32, "networkId"),
        (("networkId",), "0x" + "AA" * 32, "networkId"),
        (("report",), [], "report"),
        (("report", "epoch"), "x", "report.epoch"),
        (("report", "pair"), "", "report.pair"),
        (("report", "round"), -1, "report.round"),
        (("report", "price"), 250_000_000_000, "report.price"),
        (("report", "price"), "2500.5", "report.price"),
        (("report", "price"), "0", "report.price"),
        (("report", "price"), "9" * 16, None),
        (("report", "price"), "1" * 17, "report.price"),
        (("report", "decimals"), 19, "report.decimals"),
        (("report", "observedAt"), "now", "report.observedAt"),
        (("report", "proposer"), "0x" + "Ab" * 20, "report.proposer"),
        (("report", "more"), 1, "report"),
        (("signatures",), {}, "signatures"),
        (("signatures", 0, "signature"), 5, "signatures[0].signature"),
        (("document", "interval"), 7, "document"),
        (("document",), "x", "document"),
    ],
)
def test_json_that_is_no_price_is_refused_by_the_name_of_its_field(
    path: tuple[str | int, ...], value: Any, names: str | None
) -> None:
    report = NETWORK.report()
    pairs = [(NETWORK.document.addresses[m], NETWORK.sign(report, m)) for m in (0, 1, 2)]
    mapping: Any = json.loads(json.dumps(format_price(report, pairs, NETWORK.document)))
    place = mapping
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(PriceFormatError) as caught:
        parse_price(mapping)
    if names is not None:
        assert names in str(caught.value).replace("$.", "").replace("[...]", "[0]")
