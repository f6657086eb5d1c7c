"""The envelope that nodes gossip: MessagePack arrays, read strictly, bounded, typed.

Any bytes either decode to an Envelope or raise WireError. Signatures inside are not checked
here; `checks` and the machine do that. `docs/protocol.md` gives the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gossip_price.core.limits import (
    CONNECTED_BYTES_MAX,
    ENTRIES_MAX,
    FOREST_DAYS,
    HEARD_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    OBSERVED_BYTES_MAX,
    OPEN_IDS_MAX,
    RECEIPT_IDS_MAX,
)
from gossip_price.core.types import Bytes20, Bytes32, Bytes65, Entry, UInt
from gossip_price.crypto import StructType

WIRE_VERSION: Final = 1
VERSION_CHARS_MAX: Final = 64
#: What a heartbeat's `store` is while its member has no database.
NO_STORE: Final = bytes(32)
#: What stands for the signature of a word that is still to be signed.
UNSIGNED: Final = bytes(65)
#: An id, the length of its bitmap, and at most 32 bytes of bitmap, for each.
OPEN_BYTES_MAX: Final = OPEN_IDS_MAX * (32 + 1 + 32)
#: The cut, and for each day its number, how many signatures, and the root.
ROOTS_BYTES_MAX: Final = 8 + FOREST_DAYS * (4 + 4 + 32)

HEARTBEAT_TYPE: Final = StructType(
    "Heartbeat(address member,uint64 boot,uint64 sequence,bytes32 epoch,uint64 clockMs,"
    "bytes32 store,string version,bytes connected,bytes heard,bytes observed,bytes open,"
    "bytes roots)"
)
RECEIPT_TYPE: Final = StructType(
    "Receipt(address writer,bytes32 store,uint64 writtenMs,bytes32[] ids)"
)


class WireError(ValueError):
    """These bytes are no envelope of ours; `reason` is a metric's label."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Heartbeat(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, cache_hash=True
):
    """A member is alive: which process (`boot`), which beat, what it knows and where it writes.

    `store` is NO_STORE while the member has no database; `connected`, `heard` and `observed` are
    what it says of others and has seen (`testimony`); `open` are the ids that it has open, with who
    has signed them (`encode_open`); `roots` are those of its trees of what is proven and closed
    (`forest.encode_roots`).
    """

    member: Bytes20
    boot: UInt
    sequence: UInt
    epoch: Bytes32
    clock_ms: UInt
    store: Bytes32
    version: Annotated[str, Meta(max_length=VERSION_CHARS_MAX)]
    connected: Annotated[bytes, Meta(max_length=CONNECTED_BYTES_MAX)]
    heard: Annotated[bytes, Meta(max_length=HEARD_BYTES_MAX)]
    observed: Annotated[bytes, Meta(max_length=OBSERVED_BYTES_MAX)]
    open: Annotated[bytes, Meta(max_length=OPEN_BYTES_MAX)]
    roots: Annotated[bytes, Meta(max_length=ROOTS_BYTES_MAX)]
    signature: Bytes65

    def compute_digest(self, separator: bytes) -> bytes:
        """Return the 32 bytes that `signature` is over."""
        return HEARTBEAT_TYPE.compute_digest(
            separator,
            self.member,
            self.boot,
            self.sequence,
            self.epoch,
            self.clock_ms,
            self.store,
            self.version,
            self.connected,
            self.heard,
            self.observed,
            self.open,
            self.roots,
        )


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A writer says that these ids stand in that store. It only delays the others' writes."""

    writer: Bytes20
    store: Bytes32
    written_ms: UInt
    ids: Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=RECEIPT_IDS_MAX)]
    signature: Bytes65

    def compute_digest(self, separator: bytes) -> bytes:
        """Return the 32 bytes that `signature` is over."""
        return RECEIPT_TYPE.compute_digest(
            separator, self.writer, self.store, self.written_ms, self.ids
        )


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One gossip message: many entries, receipts and heartbeats, because a message is dear."""

    version: Annotated[int, Meta(ge=0, le=255)]
    entries: Annotated[tuple[Entry, ...], Meta(max_length=ENTRIES_MAX)] = ()
    receipts: Annotated[tuple[Receipt, ...], Meta(max_length=16)] = ()
    heartbeats: Annotated[tuple[Heartbeat, ...], Meta(max_length=16)] = ()


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Envelope)
_version_decoder: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])


def encode(envelope: Envelope) -> bytes:
    """Return the envelope's bytes."""
    return _encoder.encode(envelope)


def decode(data: bytes) -> Envelope:
    """Read an envelope.

    Raises WireError with reason `size`, `version` (another protocol version: not the author's
    fault) or `malformed`.
    """
    if len(data) > MESSAGE_BYTES_MAX:
        raise WireError("size", f"{len(data)} bytes, allowed: {MESSAGE_BYTES_MAX}")
    try:
        envelope = _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if _read_version(data) not in (None, WIRE_VERSION):
            raise WireError("version", "another version of the protocol") from error
        raise WireError("malformed", str(error)) from error
    if envelope.version != WIRE_VERSION:
        raise WireError("version", f"{envelope.version} given, allowed: {WIRE_VERSION}")
    return envelope


def encode_open(ids: Iterable[tuple[bytes, int]]) -> bytes:
    """Write ids, each with its signers as bits (bit i is the member of index i, one at least).

    id ‖ length ‖ bitmap, one after the other; bit i of a bitmap is bit i mod 8, counted from
    the lowest, of byte i div 8, and its last byte is not zero.
    """
    parts = bytearray()
    for id_, bits in ids:
        bitmap = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
        parts += id_ + bytes((len(bitmap),)) + bitmap
    return bytes(parts)


@lru_cache(maxsize=64)
def decode_open(data: bytes) -> Mapping[bytes, int]:
    """Read what `encode_open` has written: signers as bits, by id, in order.

    Cached: the doorkeeper reads it, and then the machine.

    Raises WireError with reason `malformed` for anything else: a cut, an empty bitmap or one of
    more than 32 bytes, a last byte that is zero, an id that comes twice, more than OPEN_IDS_MAX.
    """
    open_: dict[bytes, int] = {}
    place = 0
    while place < len(data):
        bitmap_at = place + 33
        length = data[bitmap_at - 1] if bitmap_at <= len(data) else 0
        id_, bitmap = data[place : bitmap_at - 1], data[bitmap_at : bitmap_at + length]
        if not 1 <= len(bitmap) <= 32 or len(bitmap) != length or not bitmap[-1] or id_ in open_:
            raise WireError("malformed", f"no open id at byte {place}")
        open_[id_] = int.from_bytes(bitmap, "little")
        place = bitmap_at + length
    if len(open_) > OPEN_IDS_MAX:
        raise WireError("malformed", f"{len(open_)} open ids, allowed: {OPEN_IDS_MAX}")
    return MappingProxyType(open_)


def is_well_formed(data: bytes) -> bool:
    """Tell whether these bytes are worth passing on: an envelope of this version."""
    try:
        decode(data)
    except WireError:
        return False
    return True


def _read_version(data: bytes) -> int | None:
    try:
        parts = _version_decoder.decode(data)
        version = msgspec.msgpack.decode(parts[0]) if parts else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return version if isinstance(version, int) else None
