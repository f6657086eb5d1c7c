"""The hash tree over one day's proven ids, each with its signers as bits. Pure.

A 16-ary trie over the ids' hexadecimal digits: what has LEAF_MAX ids at most is a leaf, all else
is split by its next digit. So the tree follows from the set alone, whatever the order in which it
grew, and a node's bytes are the preimage of its hash: whoever is given a node for a hash can see
whether it was given the true one (docs/decisions/0007). Knows nothing of reports, times or peers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from gossip_price.core.wire import WireError, decode_open, encode_open

#: Ids in a leaf at most: of 4 to 64 the best for 10 to 1000 of 10 000 (docs/decisions/0007).
LEAF_MAX: Final = 16
#: Digits of a node's place at most. Honest ids are hashes: that 17 of them share 16 digits takes
#: 2^64 tries for each, so a deeper tree is a lie.
DEPTH_MAX: Final = 16
HASH_BYTES: Final = 32
#: What is hashed before the node's bytes, so that no other hash of the protocol is one of these.
_DOMAIN: Final = b"gossip-price tree 1"
_LEAF: Final = 0
_INNER: Final = 1
_DIGITS: Final = "0123456789abcdef"


class Leaf(NamedTuple):
    """A node of few ids: signers as bits by id, in order of the ids."""

    items: Mapping[bytes, int]


class Inner(NamedTuple):
    """A node of many ids: the hashes of its parts, by their places."""

    parts: dict[str, bytes]


def compute_node_hash(data: bytes) -> bytes:
    """Return the hash of a node's bytes: BLAKE2b of 32 bytes over the domain and them."""
    return blake2b(_DOMAIN + data, digest_size=HASH_BYTES).digest()


def encode_leaf(items: Iterable[tuple[bytes, int]]) -> bytes:
    """Return a leaf's bytes: 0, then `encode_open` of its ids in order."""
    return bytes((_LEAF,)) + encode_open(sorted(items))


def encode_inner(hashes: Iterable[bytes | None]) -> bytes:
    """Return an inner node's bytes: 1, which of 16 parts there are (2 bytes), their hashes.

    Bit i of the two bytes, big-endian, is the part of digit i.
    """
    there = 0
    parts = bytearray()
    for digit, hash_ in enumerate(hashes):
        if hash_ is not None:
            there |= 1 << digit
            parts += hash_
    return bytes((_INNER,)) + there.to_bytes(2, "big") + bytes(parts)


def decode_node(place: str, data: bytes) -> Leaf | Inner:
    """Read the node at `place`, the hexadecimal digits that its ids begin with.

    Raises WireError with reason `malformed` for what no honest tree has there: a cut, ids out of
    order or that do not begin with the place, none or too many in a leaf, a place too deep.
    """
    kind = data[0] if data else -1
    if kind == _LEAF:
        items = decode_open(data[1:])
        ids = list(items)
        if not 1 <= len(ids) <= LEAF_MAX or ids != sorted(ids):
            raise WireError("malformed", f"{len(ids)} ids at {place!r}, or out of order")
        if not all(id_.hex().startswith(place) for id_ in ids):
            raise WireError("malformed", f"an id that does not begin with {place!r}")
        return Leaf(items)
    there = int.from_bytes(data[1:3], "big")
    is_whole = len(data) == 3 + there.bit_count() * HASH_BYTES
    if kind != _INNER or not there or not is_whole or len(place) >= DEPTH_MAX:
        raise WireError("malformed", f"no node at {place!r}")
    digits = [digit for number, digit in enumerate(_DIGITS) if there >> number & 1]
    return Inner(
        {
            place + digit: data[start : start + HASH_BYTES]
            for digit, start in zip(digits, range(3, len(data), HASH_BYTES), strict=True)
        }
    )


class _Node:
    """A leaf has `items`, an inner node `parts`; `hash` is None while it is to be computed."""

    __slots__ = ("hash", "items", "parts")

    def __init__(self) -> None:
        self.items: dict[bytes, int] = {}
        self.parts: list[_Node | None] | None = None
        self.hash: bytes | None = None

    def encode(self) -> bytes:
        if self.parts is None:
            return encode_leaf(self.items.items())
        return encode_inner(None if part is None else part.compute_hash() for part in self.parts)

    def compute_hash(self) -> bytes:
        if self.hash is None:
            self.hash = compute_node_hash(self.encode())
        return self.hash

    def split(self, depth: int) -> None:
        items, self.items = self.items, {}
        self.parts = [None] * 16
        for id_, bits in items.items():
            digit = _get_digit(id_, depth)
            part = self.parts[digit]
            if part is None:
                part = self.parts[digit] = _Node()
            part.items[id_] = bits

    def walk(self) -> Iterator[tuple[bytes, int]]:
        yield from self.items.items()
        for part in self.parts or ():
            if part is not None:
                yield from part.walk()


def _get_digit(id_: bytes, depth: int) -> int:
    byte = id_[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


class Tree:
    """One day's ids. Bits are only ever added; hashes are computed when somebody asks.

    `signatures` is how many bits there are, of all ids.
    """

    def __init__(self) -> None:
        self._root = _Node()
        self._count = 0
        self.signatures = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        return self._root.walk()

    def add(self, id_: bytes, bits: int) -> None:
        """Unite `bits` (one at least) with those of the id; costs a leaf's size at most."""
        node, depth, path = self._root, 0, [self._root]
        while node.parts is not None:
            digit = _get_digit(id_, depth)
            part = node.parts[digit]
            if part is None:
                part = node.parts[digit] = _Node()
            node, depth = part, depth + 1
            path.append(node)
        known = node.items.get(id_, 0)
        if not bits & ~known:
            return
        node.items[id_] = known | bits
        self._count += not known
        self.signatures += (bits & ~known).bit_count()
        for dirty in path:
            dirty.hash = None
        while len(node.items) > LEAF_MAX:
            node.split(depth)
            # All of them may share the next digit too.
            node, depth = max(filter(None, node.parts or ()), key=_count_items), depth + 1

    def get_bits(self, id_: bytes) -> int:
        """Return the signers known of this id, as bits; 0 if it is not in the tree."""
        node, depth = self._root, 0
        while node.parts is not None:
            part = node.parts[_get_digit(id_, depth)]
            if part is None:
                return 0
            node, depth = part, depth + 1
        return node.items.get(id_, 0)

    @property
    def root(self) -> bytes:
        """The hash of the whole; cached until something is added."""
        return self._root.compute_hash()

    def find_node(self, place: str, hash_: bytes) -> bytes:
        """Return the bytes of the node at this place if its hash is this one, else no bytes."""
        node = self._find(place)
        if node is None or node.compute_hash() != hash_:
            return b""
        return node.encode()

    def find_hash(self, place: str) -> bytes | None:
        """Return the hash of what we have at this place, as if it were a node; None for nothing."""
        node = self._find(place)
        return None if node is None else node.compute_hash()

    def _find(self, place: str) -> _Node | None:
        node = self._root
        for digit in place:
            if node.parts is None:
                # A leaf above the place: make the leaf that would be there.
                part = _Node()
                there = ((id_, node.items[id_]) for id_ in node.items)
                part.items = {i: bits for i, bits in there if i.hex().startswith(place)}
                return part if part.items else None
            below = node.parts[int(digit, 16)]
            if below is None:
                return None
            node = below
        return node


def _count_items(node: _Node) -> int:
    return len(node.items)
