"""What leaves the process, byte for byte, as it has always been."""

from __future__ import annotations

import json
from typing import Any

import pytest

from golden.make_golden import FOLDER, REMEDY, describe_wire, make_all
from gossip_price import crypto
from gossip_price.core.types import Report, decode_report
from gossip_price.core.wire import decode, encode
from gossip_price.network.document import Document, NetworkFile
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import format_address, parse_address

VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "reports.json").read_text())


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.mark.parametrize("name", make_all())
def test_the_golden_files_still_say_what_the_code_says(name: str) -> None:
    assert make_all()[name] == (FOLDER / name).read_text(), REMEDY


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["report"]["pair"])
def test_another_implementations_ids_and_signatures_are_ours(vector: dict[str, Any]) -> None:
    given = vector["report"]
    report = Report(
        unhex(given["epoch"]),
        given["pair"],
        given["round"],
        int(given["price"]),
        given["decimals"],
        given["observedAt"],
        parse_address(given["proposer"]),
    )
    separator = crypto.compute_domain_separator("gossip-price", "1", unhex(vector["networkId"]))
    id_ = report.compute_id(separator)
    assert id_ == unhex(vector["id"])
    assert given["round"] == given["observedAt"] // vector["interval"] * vector["interval"]
    assert decode_report(report.encode(), given["pair"]) == report
    for key, signed in zip(vector["keys"], vector["signatures"], strict=True):
        assert "0x" + crypto.sign(unhex(key), id_).hex() == signed["signature"]
        address = crypto.recover(id_, unhex(signed["signature"]))
        assert format_address(address) == signed["signer"]


def test_an_envelope_of_old_is_still_understood() -> None:
    golden = json.loads((FOLDER / "wire.json").read_text())
    data = unhex(golden["envelope"])
    envelope = decode(data)
    assert encode(envelope) == data
    separator = unhex(golden["separator"])
    (entry,), (receipt,), (heartbeat,) = envelope.entries, envelope.receipts, envelope.heartbeats
    id_ = entry.report.compute_id(separator)
    assert id_.hex() == golden["report"]["id"]
    signers = {crypto.recover(id_, signature.signature) for signature in entry.signatures}
    keys = [unhex(key) for key in golden["signingKeys"]]
    assert signers == {crypto.get_address(keys[0]), crypto.get_address(keys[2])}
    for word, key in ((receipt, keys[1]), (heartbeat, keys[3])):
        digest = word.compute_digest(separator)
        assert crypto.recover(digest, word.signature) == crypto.get_address(key)
    assert describe_wire() == golden


def test_documents_of_old_are_still_valid_and_have_their_hashes() -> None:
    for golden in json.loads((FOLDER / "documents.json").read_text()):
        document = Document.parse(golden["canonical"])
        assert document.canonical.decode() == golden["canonical"]
        assert "0x" + document.hash.hex() == golden["hash"]


def test_a_network_file_of_old_is_still_read() -> None:
    network = NetworkFile.parse((FOLDER / "network-file.json").read_text())
    assert EpochChain(network.epochs).newest.epoch == 2
    assert network.peers.listeners
