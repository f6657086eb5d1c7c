"""A tree follows from its set alone, and whoever is given a node can see whether it is the one."""

from __future__ import annotations

import hashlib
import json
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from golden.make_golden import FOLDER
from gossip_price.core import merkle
from gossip_price.core.merkle import (
    DEPTH_MAX,
    LEAF_MAX,
    Inner,
    Leaf,
    Tree,
    compute_node_hash,
    decode_node,
    encode_inner,
    encode_leaf,
)
from gossip_price.core.wire import WireError
from gossip_price.crypto import keccak256

IDS = [keccak256(b"%d" % number) for number in range(1_000)]


def grow(items: dict[bytes, int]) -> Tree:
    tree = Tree()
    for id_, bits in items.items():
        tree.add(id_, bits)
    return tree


def walk(tree: Tree) -> dict[bytes, int]:
    """Read a whole tree from outside, by its nodes' bytes alone."""
    found: dict[bytes, int] = {}
    places = [("", tree.root)]
    while places:
        place, hash_ = places.pop()
        data = tree.find_node(place, hash_)
        assert compute_node_hash(data) == hash_
        node = decode_node(place, data)
        if isinstance(node, Leaf):
            found |= node.items
        else:
            places += node.parts.items()
    return found


@pytest.mark.parametrize("count", [1, LEAF_MAX, LEAF_MAX + 1, 1_000])
def test_the_root_follows_from_the_set_whatever_the_order(count: int) -> None:
    items = {id_: number % 15 + 1 for number, id_ in enumerate(IDS[:count])}
    tree = grow(items)
    backwards = Tree()
    for id_, bits in reversed(items.items()):
        # Signers come one by one, and come again.
        for member in (3, 2, 1, 0, 3):
            backwards.add(id_, bits & 1 << member)
    assert backwards.root == tree.root
    assert walk(tree) == items == dict(tree)
    assert len(tree) == count
    assert tree.signatures == sum(bits.bit_count() for bits in items.values())


def test_every_id_and_every_signer_is_in_the_root() -> None:
    items = dict.fromkeys(IDS[:200], 7)
    roots = {grow(items).root}
    for id_ in list(items)[::20]:
        roots.add(grow({i: b for i, b in items.items() if i != id_}).root)
        roots.add(grow(items | {id_: 15}).root)
    assert len(roots) == 21


def test_a_root_is_computed_anew_only_along_the_way_to_what_was_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = grow(dict.fromkeys(IDS, 7))
    assert tree.root
    hashed: list[bytes] = []

    def count(data: bytes) -> bytes:
        hashed.append(data)
        return compute_node_hash(data)

    monkeypatch.setattr(merkle, "compute_node_hash", count)
    assert tree.root
    assert hashed == []
    tree.add(keccak256(b"another"), 7)
    assert tree.root
    assert 1 <= len(hashed) <= 4
    tree.add(keccak256(b"another"), 3)
    assert tree.root
    assert len(hashed) <= 4


def test_ids_take_no_more_memory_than_is_stated() -> None:
    # Where leaves have just been split and are least full.
    ids = [keccak256(b"%d" % number) for number in range(6_000)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tree = grow(dict.fromkeys(ids, 7))
        assert tree.root
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(ids) + sys.getsizeof(ids[0]) <= 270


def test_ids_that_share_many_digits_are_told_apart() -> None:
    items = {bytes(7) + bytes((number,)) + bytes(24): 1 for number in range(LEAF_MAX + 1)}
    tree = grow(items)
    assert walk(tree) == items
    assert tree.get_bits(bytes(32)) == 1
    assert tree.get_bits(b"\xff" * 32) == 0


def test_what_is_asked_for_by_another_hash_is_not_there() -> None:
    tree = grow(dict.fromkeys(IDS, 7))
    assert tree.find_node("", b"\x00" * 32) == b""
    assert tree.find_node("0123456789", tree.root) == b""
    assert Tree().find_hash("a") is None


def test_a_place_below_a_leaf_has_the_hash_of_the_leaf_that_would_be_there() -> None:
    few = grow(dict.fromkeys(IDS[:10], 7))
    many = grow(dict.fromkeys(IDS, 7))
    for digit in "0123456789abcdef":
        there = {id_: 7 for id_ in IDS[:10] if id_.hex().startswith(digit)}
        expected = compute_node_hash(encode_leaf(there.items())) if there else None
        assert few.find_hash(digit) == expected
    assert many.find_hash("0") == compute_node_hash(many.find_node("0", many.find_hash("0") or b""))


LIES: dict[str, Callable[[], tuple[str, bytes]]] = {
    "nothing": lambda: ("", b""),
    "an unknown kind": lambda: ("", b"\x02"),
    "an empty leaf": lambda: ("", b"\x00"),
    "a cut leaf": lambda: ("", encode_leaf([(IDS[0], 1)])[:-1]),
    "a leaf of too many": lambda: ("", encode_leaf(dict.fromkeys(IDS[: LEAF_MAX + 1], 1).items())),
    "ids out of order": lambda: (
        "", b"\x00" + encode_leaf([(max(IDS), 1)])[1:] + encode_leaf([(min(IDS), 1)])[1:],
    ),
    "an id of another place": lambda: ("00000000", encode_leaf([(b"\xff" * 32, 1)])),
    "no signers": lambda: ("", b"\x00" + IDS[0] + b"\x00"),
    "no parts": lambda: ("", encode_inner([None] * 16)),
    "cut parts": lambda: ("", encode_inner([bytes(32)] * 16)[:-1]),
    "more than its parts": lambda: ("", encode_inner([bytes(32)]) + b"\x00"),
    "a tree without end": lambda: ("0" * DEPTH_MAX, encode_inner([bytes(32)])),
}  # fmt: skip


@pytest.mark.parametrize("make", LIES.values(), ids=LIES)
def test_what_no_honest_tree_has_is_no_node(make: Callable[[], tuple[str, bytes]]) -> None:
    with pytest.raises(WireError):
        decode_node(*make())


def test_the_golden_tree_can_be_built_with_nothing_but_the_documentation() -> None:
    (_, _, golden, _, _) = json.loads((FOLDER / "trees.json").read_text())
    ids = sorted(golden["items"])
    parts = []
    there = 0
    for number, digit in enumerate("0123456789abcdef"):
        leaf = b"\x00" + b"".join(
            bytes.fromhex(id_) + b"\x01" + bytes([golden["items"][id_]])
            for id_ in ids
            if id_[0] == digit
        )
        if leaf != b"\x00":
            there |= 1 << number
            parts.append(hashlib.blake2b(b"gossip-price tree 1" + leaf, digest_size=32).digest())
    root = b"\x01" + there.to_bytes(2, "big") + b"".join(parts)
    assert root.hex() == golden["rootNode"]
    digest = hashlib.blake2b(b"gossip-price tree 1" + root, digest_size=32).hexdigest()
    assert digest == golden["root"]
    assert isinstance(decode_node("", root), Inner)
