"""Reads what nodes said by `docs/protocol.md`, with no code of the core: ids, entries, signers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from gossip_price.crypto import SignatureError, StructType
from gossip_price.simulator.facts import Claim

_REPORT: Final = StructType(
    "Report(bytes32 epoch,string pair,uint64 round,uint256 price,uint8 decimals,"
    "uint64 observedAt,address proposer)"
)
_decode = msgspec.msgpack.Decoder().decode
#: How a message begins that has no entries: four parts, the version, an empty list.
_NO_ENTRIES: Final = b"\x94\x01\x90"

Recover = Callable[[bytes, bytes], bytes]
"""(digest, signature) → address; raises SignatureError."""


class Heard(NamedTuple):
    """An entry of a message: the report's id and fields, and who has really signed it.

    `bits` are the same signers again, by the places at which `Evidence` has met them.
    """

    id: bytes
    claim: Claim
    signers: frozenset[bytes]
    bits: int


def has_entries(data: bytes) -> bool:
    """Tell whether a message may have entries; one of heartbeats alone, as most are, has none."""
    return not data.startswith(_NO_ENTRIES)


class Evidence:
    """Ids and signers, computed anew from the bytes and remembered by them."""

    def __init__(self, separator: bytes, recover: Recover) -> None:
        self._separator = separator
        self._recover = recover
        self._places: dict[bytes, int] = {}
        self._met: list[bytes] = []
        self.read = lru_cache(maxsize=4096)(self._read)
        self.compute_id = lru_cache(maxsize=4096)(self._compute_id)
        self.find_signer = lru_cache(maxsize=4096)(self._find_signer)

    def _find_signer(self, id_: bytes, signature: bytes) -> bytes | None:
        """Return the address that signed `id_`, or None if these bytes are no signature."""
        try:
            return self._recover(id_, signature)
        except SignatureError:
            return None

    def _compute_id(self, claim: Claim) -> bytes:
        return _REPORT.compute_digest(self._separator, *claim)

    def _read(self, data: bytes) -> tuple[Heard, ...]:
        """Return the entries of a message; none if it is not one."""
        if not has_entries(data):
            return ()
        try:
            _, entries, *_ = _decode(data)
            return tuple(
                heard for entry in entries if (heard := self._read_entry(entry)) is not None
            )
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return ()

    def _read_entry(self, entry: tuple[list[object], list[tuple[int, bytes]]]) -> Heard | None:
        fields, signatures = entry
        claim = Claim(*fields)  # type: ignore[arg-type]  # what is no report raises below
        id_ = self.compute_id(claim)
        found = (self.find_signer(id_, signature) for _, signature in signatures)
        signers = frozenset(signer for signer in found if signer is not None)
        return Heard(id_, claim, signers, self.compute_bits(signers))

    def compute_bits(self, signers: Iterable[bytes]) -> int:
        """Return signers as bits, each at its own place."""
        bits = 0
        for signer in signers:
            place = self._places.get(signer)
            if place is None:
                place = self._places[signer] = len(self._met)
                self._met.append(signer)
            bits |= 1 << place
        return bits

    def list_signers(self, bits: int) -> list[bytes]:
        """Return the signers that these bits stand for."""
        signers = []
        while bits:
            lowest = bits & -bits
            signers.append(self._met[lowest.bit_length() - 1])
            bits ^= lowest
        return signers
