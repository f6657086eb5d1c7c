from __future__ import annotations

from typing import Any

import pytest

from gossip_price import crypto
from gossip_price.network.document import (
    INTEGER_MAX,
    Document,
    DocumentError,
    Mode,
    NetworkFile,
    compute_fallback_delay,
    compute_faulty_default,
    compute_minimum_signers,
)
from gossip_price.network.keys import KeyFormatError, format_address, parse_address, parse_peer_id
from networks import make_network

DOCUMENT = make_network(4).document
OTHERS = make_network(4, seed="others").document.to_mapping()["members"]
GOOD = DOCUMENT.to_mapping()
PAIR = GOOD["pairs"][0]
MEMBERS = GOOD["members"]


def test_a_document_survives_its_canonical_bytes() -> None:
    again = Document.parse(DOCUMENT.canonical)
    assert again == DOCUMENT
    assert again.hash == crypto.keccak256(DOCUMENT.canonical)
    assert Document.parse(GOOD) == DOCUMENT
    assert b" " not in DOCUMENT.canonical


def test_the_order_of_keys_in_a_file_does_not_change_the_hash() -> None:
    backwards = dict(reversed(GOOD.items()))
    assert Document.parse(backwards).hash == DOCUMENT.hash


RULES: dict[str, tuple[dict[str, Any], str]] = {
    "protocol": ({"protocol": 0}, "protocol: 0 given, allowed: 1 to 65535"),
    "network id": ({"networkId": "0x12"}, "networkId: '0x12' given, allowed: 0x and 64"),
    "network id in capitals": ({"networkId": "0x" + "AB" * 32}, "networkId"),
    "epoch zero": ({"epoch": 0}, "epoch: 0 given"),
    "previous of the first": ({"previous": "0x" + "11" * 32}, "previous: .*zeros for epoch 1"),
    "previous of the second": ({"epoch": 2}, "previous: .*the hash of the epoch before"),
    "start off the grid": ({"start": GOOD["start"] + 1}, r"start: .*multiple of the interval"),
    "start before the epoch": ({"start": -15}, "start: -15 given"),
    "interval zero": ({"interval": 0}, "interval: 0 given, allowed: 1 to 86400"),
    "interval over a day": ({"interval": 86_401}, "interval: 86401"),
    "faulty below zero": ({"faulty": -1}, "faulty: -1"),
    "no fallback delay": ({"fallbackDelay": 0}, "fallbackDelay: 0"),
    "no skew": ({"skew": 0}, "skew: 0"),
    "no settle time": ({"settle": 0}, "settle: 0"),
    "a cap under the settle time": ({"settleCap": 29}, "settleCap: 29 given, allowed: 30"),
    "a deviation over all": ({"maxDeviation": 10_001}, "maxDeviation: 10001"),
    "no deviation": ({"maxDeviation": 0}, "maxDeviation: 0"),
    "too few signers": ({"minimumSigners": 2}, "minimumSigners: 2 .*at least 3"),
    "more signers than members": ({"minimumSigners": 5}, "minimumSigners: 5 given, allowed: 1 to"),
    "more liars than the threshold bears": ({"faulty": 2}, "minimumSigners: 3 .*at least 4"),
    "no pairs": ({"pairs": []}, "pairs: 0 given"),
    "a pair twice": ({"pairs": [PAIR, PAIR]}, "pairs: .*each once"),
    "a pair in small letters": ({"pairs": [PAIR | {"pair": "eth-usd"}]}, r"pairs\[eth-usd\].pair"),
    "decimals over 18": ({"pairs": [PAIR | {"decimals": 19}]}, r"pairs\[ETH-USD\].decimals: 19"),
    "price from zero": ({"pairs": [PAIR | {"minPrice": 0}]}, r"pairs\[ETH-USD\].minPrice"),
    "price bounds swapped": (
        {"pairs": [PAIR | {"minPrice": 9, "maxPrice": 8}]},
        r"pairs\[ETH-USD\].minPrice, maxPrice: \(9, 8\)",
    ),
    "price beyond JSON": (
        {"pairs": [PAIR | {"maxPrice": INTEGER_MAX + 1}]},
        r"pairs\[ETH-USD\].minPrice, maxPrice",
    ),
    "no members": ({"members": []}, "members: 0 given"),
    "members out of order": ({"members": MEMBERS[::-1]}, "members: .*by address"),
    "a member twice": ({"members": [MEMBERS[0], *MEMBERS]}, "members: 5 .*each once"),
    "a peer id twice": (
        {"members": [*MEMBERS[:3], MEMBERS[3] | {"peerId": MEMBERS[0]["peerId"]}]},
        "members: .*each peer id once",
    ),
    "an address of small letters": (
        {"members": [MEMBERS[0] | {"address": MEMBERS[0]["address"].lower()}, *MEMBERS[1:]]},
        r"members\[0\]: .*EIP-55",
    ),
    "an address that is none": (
        {"members": [MEMBERS[0] | {"address": "0x12"}, *MEMBERS[1:]]},
        r"members\[0\]: .*40 hexadecimal digits",
    ),
    "a peer id that is none": (
        {"members": [MEMBERS[0] | {"peerId": "12D3KooW"}, *MEMBERS[1:]]},
        r"members\[0\]: .*peer id is that of a secp256k1 key",
    ),
    "an unknown field": ({"colour": "red"}, "unknown field `colour`"),
    "a fraction": ({"interval": 15.5}, r"\$.interval"),
    "a number as text": ({"interval": "15"}, r"\$.interval"),
    "true as a number": ({"epoch": True}, r"\$.epoch"),
    "a mode that is none": ({"mode": "Anarchy"}, r"\$.mode"),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_broken_rule_is_named_with_its_field(rule: str) -> None:
    changes, said = RULES[rule]
    with pytest.raises(DocumentError, match=said):
        Document.parse(GOOD | changes)


def test_all_broken_rules_are_named_at_once() -> None:
    with pytest.raises(DocumentError, match=r"interval.*; .*skew.*; .*minimumSigners"):
        Document.parse(GOOD | {"interval": 0, "skew": 0, "minimumSigners": 9})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(DocumentError, match="missing required field `skew`"):
        Document.parse({key: value for key, value in GOOD.items() if key != "skew"})


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"null", b"\xff\xfe", b'{"protocol":"\xff"}', b"[" * 100_000, b'{"epoch":1e999}'],
)
def test_what_is_no_document_is_a_document_error(raw: bytes) -> None:
    with pytest.raises(DocumentError):
        Document.parse(raw)
    with pytest.raises(DocumentError):
        NetworkFile.parse(raw)


def test_a_network_file_survives_its_own_bytes() -> None:
    network = NetworkFile((DOCUMENT,))
    assert NetworkFile.parse(network.encode()) == network


@pytest.mark.parametrize(
    ("members", "faulty", "signers"),
    [(1, 0, 3), (3, 0, 3), (4, 1, 3), (5, 1, 4), (6, 1, 4), (7, 2, 5), (10, 3, 7), (100, 33, 67)],
)
def test_the_derived_threshold_is_the_smallest_safe_one(
    members: int, faulty: int, signers: int
) -> None:
    assert compute_faulty_default(members) == faulty
    assert compute_minimum_signers(Mode.ROUNDS, members, faulty) == signers
    assert compute_minimum_signers(Mode.EVERY_NODE, members, faulty) == 3
    if signers > 3:
        assert 2 * signers > members + faulty >= 2 * (signers - 1)


@pytest.mark.parametrize(("interval", "delay"), [(1, 1), (15, 3), (60, 10), (600, 10)])
def test_the_fallback_delay_follows_the_interval(interval: int, delay: int) -> None:
    assert compute_fallback_delay(interval) == delay


def test_an_address_with_a_mistyped_letter_is_refused() -> None:
    address = MEMBERS[0]["address"]
    assert format_address(parse_address(address)) == address
    position = next(i for i, digit in enumerate(address) if i > 1 and digit.isalpha())
    mistyped = address[:position] + address[position].swapcase() + address[position + 1 :]
    with pytest.raises(KeyFormatError, match="checksum"):
        parse_address(mistyped)


@pytest.mark.parametrize("text", ["", "1" + OTHERS[0]["peerId"], OTHERS[0]["peerId"][:-1], "0OIl"])
def test_a_peer_id_in_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError, match="peer id"):
        parse_peer_id(text)
