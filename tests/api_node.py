"""A node's API in this process: the real app over a real journal, a table that a test holds, and
time by hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import httpx
from msgspec import structs
from starlette.types import ASGIApp

from gossip_price.adapters.archive import Archive, RecentPrices
from gossip_price.adapters.http import (
    make_app,
    make_docs_routes,
    make_event_routes,
    make_price_routes,
    make_round_routes,
)
from gossip_price.adapters.journal import SqliteJournal
from gossip_price.adapters.live import EventRing, LiveBoard
from gossip_price.adapters.postgres.history import HistoryRow
from gossip_price.core.events import Note, NoteKind, ProvenRecord, StoredRecord
from gossip_price.core.proof import ClaimedRow
from gossip_price.core.rows import Key
from gossip_price.core.types import Entry, Signature, StoredRow
from gossip_price.network.document import Document
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import format_address
from gossip_price.ports import StoreUnavailableError
from networks import SampleNetwork


class Table:
    """An honest fake of the database's table: rows as somebody left them; it may be away."""

    def __init__(self) -> None:
        self.rows: dict[bytes, HistoryRow] = {}
        self.epochs: list[Document] = []
        self.is_up = True
        self.reads = 0

    def add(self, *rows: StoredRow, **changes: object) -> None:
        """Put rows there, each with these columns changed."""
        for row in rows:
            made = make_history_row(row)
            self.rows[row.id] = structs.replace(made, claim=structs.replace(made.claim, **changes))

    async def read_page(
        self, pair: str | None, before: Key, from_round: int, limit: int
    ) -> Sequence[HistoryRow]:
        self._look()
        found = [
            row
            for row in self.rows.values()
            if pair in (None, row.claim.pair)
            and from_round <= (row.claim.round or 0)
            and (row.claim.round or 0, row.id) < before
        ]
        return sorted(found, key=lambda row: (row.claim.round or 0, row.id), reverse=True)[:limit]

    async def find(self, id_: bytes) -> HistoryRow | None:
        self._look()
        return self.rows.get(id_)

    async def read_epochs(self) -> Sequence[Document]:
        self._look()
        return self.epochs

    def _look(self) -> None:
        self.reads += 1
        if not self.is_up:
            raise StoreUnavailableError("connection refused")


class ApiNode:
    """One node. `wall_ms` is its clock; `settle` has it see prices agreed."""

    def __init__(self, network: SampleNetwork, folder: Path, *, chain: EpochChain | None = None):
        self.network = network
        self.chain = chain or EpochChain([network.document])
        self.table = Table()
        self.wall_ms = network.document.start * 1000
        self._path = folder / "journal.db"
        self.start()

    def start(self) -> None:
        """Begin the node's first life, or its next one."""
        self.journal = SqliteJournal(
            self._path,
            address=self.network.document.addresses[0],
            network_id=self.chain.network_id,
            now_ms=self.wall_ms,
        )
        self.recent = RecentPrices(
            self.journal,
            self.journal.load(),
            get_chain=lambda: self.chain,
            find_settled=self.find_settled,
            wall_ms=lambda: self.wall_ms,
        )
        self.memory: dict[bytes, ProvenRecord] = {}
        self.ring = EventRing(self.wall_ms)
        self.board = LiveBoard(
            self.network.document.addresses[0],
            self.ring,
            get_chain=lambda: self.chain,
            find_settled=self.find_settled,
            wall_ms=lambda: self.wall_ms,
        )
        self.archive = Archive(self.recent, self.table, get_chain=lambda: self.chain)

    def restart(self) -> None:
        """End this life and begin another."""
        self.journal.close()
        self.start()

    def find_settled(self, id_: bytes) -> ProvenRecord | None:
        """What the machine would still have in memory."""
        return self.memory.get(id_)

    def make_app(self, *, cors_origins: Sequence[str] = ()) -> ASGIApp:
        """Return the app as the node serves it."""
        routes = [
            *make_price_routes(self.archive),
            *make_round_routes(self.board),
            *make_event_routes(self.ring),
            *make_docs_routes(),
        ]
        return make_app(routes, cors_origins=cors_origins)

    def observe(self, *notes: Note) -> None:
        """Tell the node's boards of these notes."""
        for note in notes:
            self.recent.observe(note)
            self.board.observe(note)

    def prove(self, *rows: StoredRow) -> None:
        """Let these prices be proven, and not settled yet."""
        for row in rows:
            self.wall_ms = max(self.wall_ms, row.report.round * 1000)
            self.journal.write([to_proven(row, self.network)])
            self.observe(make_note(NoteKind.PROVEN, row))

    def settle(self, *rows: StoredRow, stored: bool = False) -> None:
        """Let these prices be proven and settled, and stored by somebody."""
        self.prove(*rows)
        for row in rows:
            self.memory[row.id] = to_proven(row, self.network)
            self.observe(make_note(NoteKind.SETTLED, row))
            if stored:
                self.table.add(row)
                self.journal.write([StoredRecord(row.id, confirmed=True)])
                self.observe(make_note(NoteKind.RECEIPT, row, member=row.writer))


def connect(app: ASGIApp, host: str = "127.0.0.1") -> httpx.AsyncClient:
    """Return a client of this app, from this address."""
    transport = httpx.ASGITransport(app, client=(host, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://node")


def make_note(kind: NoteKind, row: StoredRow, *, member: bytes = b"") -> Note:
    """Return what the machine tells of a report."""
    report = row.report
    return Note(
        kind,
        pair=report.pair,
        round=report.round,
        id=row.id,
        member=member,
        proposer=report.proposer,
        price=report.price,
        decimals=report.decimals,
        count=len(row.signatures),
        needed=3,
    )


def to_proven(row: StoredRow, network: SampleNetwork) -> ProvenRecord:
    """Return a row as the journal holds it."""
    index = network.document.index_by_address
    signatures = tuple(Signature(index[address], one) for address, one in row.signatures)
    entry = Entry(row.report, signatures)
    return ProvenRecord(row.id, entry, row.last_signed_ms, row.sources, row.spread_bp)


def make_history_row(row: StoredRow, *, late: str | None = None) -> HistoryRow:
    """Return a row as it is read from the table."""
    report = row.report
    signatures = [
        {"signer": format_address(signer), "signature": "0x" + one.hex()}
        for signer, one in row.signatures
    ]
    claim = ClaimedRow(
        id="0x" + row.id.hex(),
        price=str(Decimal(report.price).scaleb(-report.decimals)),
        first_signer=format_address(report.proposer),
        signatures=json.dumps(signatures),
        report=report.encode(),
        epoch="0x" + report.epoch.hex(),
        pair=report.pair,
        round=report.round,
        observed_at=str(report.observed_at),
        decimals=report.decimals,
    )
    return HistoryRow(
        id=row.id,
        claim=claim,
        late=late,
        stored_ms=row.last_signed_ms + 30_000,
        last_signed_ms=row.last_signed_ms,
        sources=row.sources,
        spread_bp=row.spread_bp,
        writer=format_address(row.writer),
    )
