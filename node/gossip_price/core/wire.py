"""The envelope that nodes gossip: MessagePack arrays, read strictly, bounded, typed.

Any bytes either decode to an Envelope or raise WireError. Signatures inside are not checked
here; `checks` and the machine do that. `docs/protocol.md` gives the bytes.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gossip_price.core.limits import ENTRIES_MAX, MESSAGE_BYTES_MAX, RECEIPT_IDS_MAX
from gossip_price.core.types import Bytes20, Bytes32, Bytes65, Entry, UInt
from gossip_price.crypto import StructType

WIRE_VERSION: Final = 1
VERSION_CHARS_MAX: Final = 64

HEARTBEAT_TYPE: Final = StructType(
    "Heartbeat(address member,uint64 boot,uint64 sequence,bytes32 epoch,uint64 clockMs,"
    "bytes32 store,string version)"
)
RECEIPT_TYPE: Final = StructType(
    "Receipt(address writer,bytes32 store,uint64 writtenMs,bytes32[] ids)"
)


class WireError(ValueError):
    """These bytes are no envelope of ours; `reason` is a metric's label."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member is alive: which process (`boot`), which beat, what it knows and where it writes.

    `store` is 32 zero bytes while the member has no database.
    """

    member: Bytes20
    boot: UInt
    sequence: UInt
    epoch: Bytes32
    clock_ms: UInt
    store: Bytes32
    version: Annotated[str, Meta(max_length=VERSION_CHARS_MAX)]
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
