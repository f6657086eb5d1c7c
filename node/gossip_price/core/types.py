"""The values of the protocol: reports, signatures, entries, what was observed, and now.

Addresses are 20 bytes, ids and epochs 32 bytes, signatures 65; times are Unix seconds unless
the name ends in `_ms`; prices are integers in units of 10^-decimals.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gossip_price.crypto import StructType, compute_struct_digest, keccak256
from gossip_price.network.document import INTEGER_MAX

Bytes20 = Annotated[bytes, Meta(min_length=20, max_length=20)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes65 = Annotated[bytes, Meta(min_length=65, max_length=65)]
UInt = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
MemberIndex = Annotated[int, Meta(ge=0, le=255)]
PairName = Annotated[str, Meta(min_length=5, max_length=25)]

REPORT_TYPE: Final = StructType(
    "Report(bytes32 epoch,string pair,uint64 round,uint256 price,uint8 decimals,"
    "uint64 observedAt,address proposer)"
)


class Now(msgspec.Struct, frozen=True):
    """The time as a value: `wall_ms` since 1970 (may step), `mono_ms` since boot (may not)."""

    wall_ms: int
    mono_ms: int


class Report(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, cache_hash=True
):
    """What is signed."""

    epoch: Bytes32
    pair: PairName
    round: UInt
    price: UInt
    decimals: Annotated[int, Meta(ge=0, le=18)]
    observed_at: UInt
    proposer: Bytes20

    def encode(self) -> bytes:
        """Return the canonical signed bytes: EIP-712's typeHash ‖ encodeData, 256 bytes."""
        return REPORT_TYPE.encode(
            self.epoch,
            self.pair,
            self.round,
            self.price,
            self.decimals,
            self.observed_at,
            self.proposer,
        )

    def compute_id(self, separator: bytes) -> bytes:
        """Return the report's id, the 32-byte EIP-712 digest, in the domain `separator`.

        Cached by value: every member sends the same report once more with its signature.
        """
        return _compute_id(self, separator)


@lru_cache(maxsize=8192)
def _compute_id(report: Report, separator: bytes) -> bytes:
    return compute_struct_digest(separator, report.encode())


def decode_report(encoded: bytes, pair: str) -> Report:
    """Read a report back from its canonical signed bytes; only the pair's hash is in them.

    Raises ValueError if the bytes are not those of a report of `pair`.
    """
    if len(encoded) != 256 or encoded[:32] != REPORT_TYPE.type_hash:
        raise ValueError("not the 256 bytes of an encoded report")
    words = [encoded[start : start + 32] for start in range(32, 256, 32)]
    numbers = [int.from_bytes(word, "big") for word in words]
    if words[1] != keccak256(pair.encode()):
        raise ValueError(f"the report is not one of pair {pair}")
    round_, price, decimals, observed_at = numbers[2:6]
    report = Report(words[0], pair, round_, price, decimals, observed_at, words[6][12:])
    if report.encode() != encoded:
        raise ValueError("the report's words are out of range")
    return report


class Signature(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One member's signature over an id; `member` is the index in the epoch's roster.

    The index only says whose signature this claims to be: the address is recovered from the
    65 bytes and compared.
    """

    member: MemberIndex
    signature: Bytes65


class Entry(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, cache_hash=True
):
    """A report with the signatures known to the sender, at most one a member."""

    report: Report
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=256)]


class Observation(msgspec.Struct, frozen=True):
    """What this node saw of a pair: the median over its sources, and what is local to it.

    `price` in units of 10^-decimals, `observed_at` in Unix seconds, `spread_bp` the distance
    from lowest to highest source in basis points, `sources` the names of those that counted.
    """

    pair: str
    price: int
    observed_at: int
    spread_bp: int
    sources: tuple[str, ...]


class StoredRow(msgspec.Struct, frozen=True):
    """One price as it is written: the proof, and beside it what only the writer says.

    `signatures` are (address, signature), by address. `last_signed_ms` is the wall time at
    which the writer saw the last new signer.
    """

    id: bytes
    report: Report
    signatures: tuple[tuple[bytes, bytes], ...]
    last_signed_ms: int
    sources: tuple[str, ...]
    spread_bp: int | None
    writer: bytes
