"""From a row of the table, which anybody may have changed, to a price: what it proves. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gossip_price.adapters.archive.found import FoundPrice
from gossip_price.adapters.postgres.history import HistoryRow
from gossip_price.core.proof import (
    EpochBook,
    UnprovenError,
    parse_hash,
    read_signatures,
    recover_signer,
    verify_row,
)
from gossip_price.core.types import decode_report
from gossip_price.network.keys import parse_address


def try_row(row: HistoryRow, book: EpochBook) -> FoundPrice | None:
    """Return what a row proves, None where it proves nothing."""
    try:
        return read_row(row, book)
    except UnprovenError:
        return None


def read_row(row: HistoryRow, book: EpochBook) -> FoundPrice:
    """Return what a row proves, with the late signatures that are good. Raises UnprovenError."""
    claim = row.claim
    try:
        document = book.find(parse_hash(claim.epoch or ""), claim.round or 0)
    except UnprovenError:
        raise
    except ValueError as error:
        raise UnprovenError("epoch_malformed", str(error)) from error
    verify_row(claim, document)
    # Both have just been read so.
    report = decode_report(claim.report or b"", claim.pair or "")
    signatures = {
        parse_address(signer): bytes.fromhex(one[2:])
        for signer, one in read_signatures(claim.signatures)
    }
    for signer, one in _read_late(row):
        try:
            address = recover_signer(row.id, signer, one)
        except UnprovenError:
            continue
        if address in document.index_by_address:
            signatures.setdefault(address, bytes.fromhex(one[2:]))
    return FoundPrice(
        id=row.id,
        report=report,
        document=document,
        signatures=tuple(sorted(signatures.items())),
        is_stored=True,
        stored_ms=row.stored_ms,
        last_signed_ms=row.last_signed_ms,
        sources=row.sources,
        spread_bp=row.spread_bp,
        writer=row.writer,
    )


def _read_late(row: HistoryRow) -> Sequence[tuple[str, str]]:
    try:
        return read_signatures(row.late) if row.late is not None else ()
    except UnprovenError:
        return ()
