"""Writes the golden files beside it: bytes that other implementations must match.

Only on purpose, because every change here is a change of the protocol:

    PYTHONPATH=node:tests python tests/golden/make_golden.py

`reports.json` is not among them: it was made by another implementation and is never rewritten.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from crafted import make_heartbeat, make_receipt, pack
from gossip_price.core.forest import Root, Roots, encode_roots
from gossip_price.core.merkle import Tree
from gossip_price.core.questions import (
    Want,
    WantNodes,
    encode_answer,
    encode_nodes,
    encode_question,
)
from gossip_price.core.testimony import Seen, encode_connected, encode_heard, encode_observed
from gossip_price.core.wire import encode_open
from gossip_price.crypto import keccak256
from gossip_price.network.document import Mode, NetworkFile, PairTerms, Peers
from networks import START, TERMS, make_network

FOLDER: Final = Path(__file__).parent
REMEDY: Final = (
    "the bytes of the protocol changed. If that is meant (then PROTOCOL_VERSION or WIRE_VERSION "
    "changes too), run PYTHONPATH=node:tests python tests/golden/make_golden.py"
)


def describe_wire() -> dict[str, Any]:
    """Return one envelope with everything in it, and the digests of its parts."""
    network = make_network(4, seed="golden")
    document = network.document
    separator = document.separator
    report = network.report(1, 250_000_000_000, 2, observed_at=START + 16)
    entry = network.entry(report, (0, 2))
    receipt = make_receipt(network, 1, [network.compute_id(report), b"\x01" * 32])
    open_ = encode_open([(network.compute_id(report), 0b101)])
    day = START // 86_400
    roots = encode_roots(
        Roots(START + 600, {day - 1: Root(3, b"\x02" * 32), day: Root(4, bytes(32))})
    )
    heartbeat = make_heartbeat(
        network,
        3,
        boot=START * 1000,
        sequence=7,
        clock_ms=START * 1000 + 16_250,
        connected=encode_connected(0b101),
        heard=encode_heard([12, 0, 70_000, 0]),
        observed=encode_observed([Seen(report.pair, report.round, 250_100_000_000)], document),
        open_=open_,
        roots=roots,
    )
    return {
        "networkId": network.document.network_id,
        "separator": separator.hex(),
        "epoch": network.document.hash.hex(),
        "signingKeys": [secret.hex() for secret in network.signing_secrets],
        "report": {
            "encoded": report.encode().hex(),
            "id": network.compute_id(report).hex(),
            "signatures": [signature.signature.hex() for signature in entry.signatures],
        },
        "receipt": {
            "digest": receipt.compute_digest(separator).hex(),
            "signature": receipt.signature.hex(),
        },
        "heartbeat": {
            "digest": heartbeat.compute_digest(separator).hex(),
            "signature": heartbeat.signature.hex(),
            "connected": heartbeat.connected.hex(),
            "heard": heartbeat.heard.hex(),
            "observed": heartbeat.observed.hex(),
            "open": open_.hex(),
            "roots": roots.hex(),
        },
        "question": encode_question(Want((network.compute_id(report),))).hex(),
        "answer": encode_answer([entry]).hex(),
        "envelope": pack(entry, receipts=[receipt], heartbeats=[heartbeat]).hex(),
        "entryOnly": pack(entry).hex(),
    }


def describe_trees() -> list[dict[str, Any]]:
    """Return trees of few and of many ids: what is in them, their nodes and roots."""
    described = []
    for count in (1, 16, 17, 300):
        tree = Tree()
        items = {keccak256(b"%d" % number): number % 15 + 1 for number in range(count)}
        for id_, bits in items.items():
            tree.add(id_, bits)
        place = min(items).hex()[:2]
        described.append(
            {
                "items": {id_.hex(): bits for id_, bits in items.items()} if count < 20 else count,
                "signatures": tree.signatures,
                "root": tree.root.hex(),
                "rootNode": tree.find_node("", tree.root).hex(),
                "place": place,
                "hashAtPlace": (tree.find_hash(place) or b"").hex(),
            }
        )
    day = START // 86_400
    question = WantNodes(day, (("", tree.root), (place, tree.find_hash(place) or b"")))
    answer = [tree.find_node(*node) for node in question.nodes]
    described.append(
        {
            "question": encode_question(question).hex(),
            "answer": encode_nodes([*answer, b""]).hex(),
        }
    )
    return described


def describe_documents() -> list[dict[str, str]]:
    """Return the canonical bytes and hashes of documents that use every field."""
    first = make_network(4, seed="golden")
    pairs = (TERMS, PairTerms("BTC-EUR", 2, 1, 10**9))
    other = make_network(7, interval=600, mode=Mode.EVERY_NODE, pairs=pairs, seed="golden 7")
    documents = (first.document, first.follow(start_index=4, members=5).document, other.document)
    return [
        {"canonical": document.canonical.decode(), "hash": "0x" + document.hash.hex()}
        for document in documents
    ]


def describe_network_file() -> str:
    """Return a network file as people see it."""
    network = make_network(4, seed="golden")
    peer = network.document.members[0].peer_id
    peers = Peers((f"/ip4/127.0.0.1/tcp/4001/p2p/{peer}",), (), (peer,))
    following = network.follow(start_index=4, seed="golden")
    return NetworkFile((network.document, following.document), peers).encode().decode()


def make_all() -> dict[str, str]:
    """Return the text of every golden file, by its name."""
    return {
        "wire.json": json.dumps(describe_wire(), indent=1) + "\n",
        "trees.json": json.dumps(describe_trees(), indent=1) + "\n",
        "documents.json": json.dumps(describe_documents(), indent=1) + "\n",
        "network-file.json": describe_network_file(),
    }


if __name__ == "__main__":
    for name, text in make_all().items():
        (FOLDER / name).write_text(text)
