"""One price that was found, wherever it was, and its JSON. Decides nothing."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gossip_price.adapters.rfc3339 import format_ms
from gossip_price.adapters.shown import format_shown
from gossip_price.core.events import ProvenRecord
from gossip_price.core.price import format_price
from gossip_price.core.rows import Key
from gossip_price.core.types import Report
from gossip_price.network.document import Document


class FoundPrice(Struct, frozen=True):
    """A settled price. Times in Unix milliseconds; None where this node does not know it.

    `signatures` are (20-byte address, 65 bytes), late ones among them. What `sources`,
    `spread_bp` and `writer` (EIP-55 text) say is signed by nobody.
    """

    id: bytes
    report: Report
    document: Document
    signatures: tuple[tuple[bytes, bytes], ...]
    is_stored: bool
    stored_ms: int | None = None
    last_signed_ms: int | None = None
    sources: tuple[str, ...] = ()
    spread_bp: int | None = None
    writer: str | None = None

    @property
    def key(self) -> Key:
        """Where it stands in the order of pages."""
        return self.report.round, self.id

    def to_mapping(self) -> dict[str, Any]:
        """Return the one JSON of a price, and beside it what people want to read at once."""
        report = self.report
        local = {
            "sources": list(self.sources),
            "spreadBp": self.spread_bp,
            "lastSignedAt": None if self.last_signed_ms is None else format_ms(self.last_signed_ms),
            "writer": self.writer,
        }
        return format_price(report, self.signatures, self.document, local=local) | {
            **format_shown(report),
            "storedAt": None if self.stored_ms is None else format_ms(self.stored_ms),
            "state": "stored" if self.is_stored else "settled",
        }


def make_found(
    record: ProvenRecord, document: Document, *, is_stored: bool, stored_ms: int | None
) -> FoundPrice:
    """Return what the journal or the machine holds of a settled price."""
    addresses = document.addresses
    return FoundPrice(
        id=record.id,
        report=record.entry.report,
        document=document,
        signatures=tuple((addresses[one.member], one.signature) for one in record.entry.signatures),
        is_stored=is_stored,
        stored_ms=stored_ms,
        last_signed_ms=record.last_signed_ms,
        sources=record.sources,
        spread_bp=record.spread_bp,
    )
