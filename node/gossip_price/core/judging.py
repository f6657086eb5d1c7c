"""What to do with a row that stands in the table: nothing, correct it, or leave it to others. Pure.

Believes neither the row nor that we know everything. What is signed decides: a row whose report
names an epoch that we do not know may be provable by a newer document, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from gossip_price.core.events import ProvenRecord
from gossip_price.core.proof import (
    ClaimedRow,
    UnprovenError,
    check_report,
    parse_hash,
    read_signatures,
    recover_signer,
    verify_row,
)
from gossip_price.core.rows import FoundRow, LateSignature
from gossip_price.core.types import REPORT_TYPE, Now, Report, StoredRow, decode_report
from gossip_price.network.document import INTEGER_MAX, Document
from gossip_price.network.epochs import EpochChain

_REPORT_BYTES: Final = 256
#: The third field of a report, behind its type hash.
_ROUND_WORD: Final = slice(96, 128)


class Standing(Enum):
    """What a row is."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN_EPOCH = "unknown_epoch"


class Judgement(NamedTuple):
    """`truth` is what belongs in a false row's place, as far as we know; `late` what we can add."""

    standing: Standing
    reason: str = ""
    truth: StoredRow | None = None
    late: tuple[LateSignature, ...] = ()


def judge_known(found: FoundRow, truth: StoredRow, document: Document) -> Judgement:
    """Judge a row under an id that we have proven ourselves; `truth` is what we would write."""
    known = dict(truth.signatures)
    try:
        signers = set(verify_row(found.claim, document, truth.signatures))
    except UnprovenError as error:
        return Judgement(Standing.FALSE, error.reason, truth)
    if known.keys() - signers:
        signers |= _find_late_signers(found, known)
    late = tuple(
        LateSignature(found.id, address, signature)
        for address, signature in truth.signatures
        if address not in signers
    )
    return Judgement(Standing.TRUE, late=late)


def judge_unknown(
    found: FoundRow, chain: EpochChain, protocols: frozenset[int], me: bytes, now: Now
) -> Judgement:
    """Judge a row under an id that we have not proven. It may be true: others know more.

    `protocols` are those by whose rules we can judge; by others' a true row may look false.
    """
    document = _find_document(found.claim, chain)
    if document is None:
        return Judgement(Standing.UNKNOWN_EPOCH, "epoch_unknown")
    if document.protocol not in protocols:
        return Judgement(Standing.UNKNOWN_EPOCH, "protocol_unknown")
    if chain.is_left(document, _get_round(found.claim)):
        # Laggards prove it to each other, and would put it back until they have heard.
        return Judgement(Standing.UNKNOWN_EPOCH, "epoch_left")
    try:
        verify_row(found.claim, document)
    except UnprovenError as error:
        truth = _salvage(found.claim, document, me, now)
        return Judgement(Standing.FALSE, error.reason, truth)
    return Judgement(Standing.TRUE)


def make_row(record: ProvenRecord, document: Document, me: bytes) -> StoredRow:
    """Return what we would write of a proven entry."""
    addresses = document.addresses
    return StoredRow(
        id=record.id,
        report=record.entry.report,
        signatures=tuple(
            (addresses[signature.member], signature.signature)
            for signature in sorted(record.entry.signatures, key=lambda one: one.member)
        ),
        last_signed_ms=record.last_signed_ms,
        sources=record.sources,
        spread_bp=record.spread_bp,
        writer=me,
    )


def _get_round(claim: ClaimedRow) -> int:
    """Return the round of which the report's bytes are, or else the column beside them."""
    report = claim.report or b""
    if len(report) == _REPORT_BYTES:
        return min(int.from_bytes(report[_ROUND_WORD], "big"), INTEGER_MAX)
    return claim.round or 0


def _find_document(claim: ClaimedRow, chain: EpochChain) -> Document | None:
    """Return the epoch that could prove this row, or None if we do not know it.

    The report's own word counts, not the column beside it, which anybody can change. Bytes that
    are no report prove nothing by any document; then the column says whose row it claims to be.
    """
    report = claim.report or b""
    if len(report) == _REPORT_BYTES and report[:32] == REPORT_TYPE.type_hash:
        return chain.find(report[32:64])
    try:
        return chain.find(parse_hash(claim.epoch or ""))
    except ValueError:
        return None


def _salvage(claim: ClaimedRow, document: Document, me: bytes, now: Now) -> StoredRow | None:
    """Return the true row that a false one's signed parts still prove; None if they do not.

    Somebody changed a column beside the report, or spoilt one signature of many: what the rest
    proves must not go into quarantine with it.
    """
    for terms in document.pairs:
        try:
            report = decode_report(claim.report or b"", terms.pair)
            check_report(report, document)
        except (ValueError, UnprovenError):
            continue
        id_ = report.compute_id(document.separator)
        try:
            given = read_signatures(claim.signatures)
        except UnprovenError:
            return None
        signatures = _filter_signatures(id_, given, document)
        if len(signatures) < document.minimum_signers or report.proposer not in signatures:
            return None
        return _make_salvaged(id_, report, signatures, me, now)
    return None


def _make_salvaged(
    id_: bytes, report: Report, signatures: dict[bytes, bytes], me: bytes, now: Now
) -> StoredRow:
    ordered = tuple(sorted(signatures.items()))
    return StoredRow(id_, report, ordered, max(0, now.wall_ms), (), None, me)


def _filter_signatures(
    id_: bytes, given: Iterable[tuple[str, str]], document: Document
) -> dict[bytes, bytes]:
    """Return those that are good, by address."""
    good: dict[bytes, bytes] = {}
    for signer, signature in list(given)[: len(document.members)]:
        try:
            address = recover_signer(id_, signer, signature)
        except UnprovenError:
            continue
        if address in document.index_by_address:
            good.setdefault(address, bytes.fromhex(signature[2:]))
    return good


def _find_late_signers(found: FoundRow, known: dict[bytes, bytes]) -> set[bytes]:
    """Return whose good signatures stand in `signatures` already."""
    signers = set()
    try:
        given = read_signatures(found.late) if found.late is not None else ()
    except UnprovenError:
        given = ()
    for signer, signature in given:
        try:
            signers.add(recover_signer(found.id, signer, signature, known))
        except UnprovenError:
            continue
    return signers
