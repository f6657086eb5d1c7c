"""Settled prices that this node has seen agreed itself, from its memory and its journal.

Told by notes what is not settled yet and what is stored. Knows no database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from gossip_price.adapters.archive.found import FoundPrice, make_found
from gossip_price.core.events import Note, NoteKind, ProvenRecord, Recollection
from gossip_price.core.limits import JOURNAL_AGE_S
from gossip_price.core.rows import Key
from gossip_price.network.document import INTEGER_MAX
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import JournalError

#: Prices settled in this life whose keys are kept, for a journal that takes no records (a full
#: disk): over an hour of 20 pairs at 15 s is 4 800, and the machine has no more in memory itself.
KEYS_MAX: Final = 4_096
#: Of these we remember when we were told that they are stored.
STORED_MAX: Final = 4_096
_NEVER: Final = INTEGER_MAX


class PriceJournal(Protocol):
    """What is read from a journal here."""

    def find_proven(self, id_: bytes) -> tuple[ProvenRecord, bool] | None:
        """Return the proven entry with this id, and whether it is stored. Raises JournalError."""

    def read_newest(
        self, pair: str | None, before: Key, from_round: int, limit: int
    ) -> tuple[tuple[ProvenRecord, bool], ...]:
        """Return proven entries before a key, newest first. Raises JournalError."""


class RecentPage(NamedTuple):
    """Prices, newest first. Of rounds from `complete_from` on nothing that we know is missing."""

    prices: tuple[FoundPrice, ...]
    complete_from: int


class RecentPrices:
    """The prices of this node's own journal; its `observe` is an Observer.

    `remembered` is what the journal held at the start; `find_settled` asks the machine's memory;
    `wall_ms` is the clock. `live_from` is the first round that this process heard whole.
    """

    def __init__(
        self,
        journal: PriceJournal,
        remembered: Recollection,
        *,
        get_chain: Callable[[], EpochChain],
        find_settled: Callable[[bytes], ProvenRecord | None],
        wall_ms: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._get_chain = get_chain
        self._find_settled = find_settled
        self._wall_ms = wall_ms
        self._born_s = -(-remembered.birth_ms // 1000)
        self.live_from = -(-wall_ms() // 1000)
        stored = {record.id for record in remembered.stored}
        #: Proven, and still gaining signers: settled soon after each start, too.
        self._unsettled = {record.id for record in remembered.proven} - stored
        self._keys: dict[bytes, tuple[int, str]] = {}
        self._stored_ms: dict[bytes, int] = {}

    def observe(self, note: Note) -> None:
        """Take one note."""
        match note.kind:
            case NoteKind.PROVEN:
                self._unsettled.add(note.id)
            case NoteKind.SETTLED:
                self._unsettled.discard(note.id)
                self._keys[note.id] = (note.round, note.pair)
                _cut(self._keys, KEYS_MAX)
            case NoteKind.STORED | NoteKind.RECEIPT:
                self._stored_ms.setdefault(note.id, self._wall_ms())
                _cut(self._stored_ms, STORED_MAX)

    def is_unsettled(self, id_: bytes) -> bool:
        """Tell whether this is proven and may still gain signers."""
        return id_ in self._unsettled

    def read_page(self, pair: str | None, before: Key, from_round: int, limit: int) -> RecentPage:
        """Return the `limit` newest prices before (round, id), of rounds from `from_round` on."""
        try:
            found = self._read_journal(pair, before, from_round, limit)
        except JournalError:
            found = {}
            # What memory has is whole from the round on after the oldest that it has.
            rounds = [round_ for round_, _ in self._keys.values()]
            complete_from = max(self.live_from, min(rounds) + 1) if rounds else _NEVER
        else:
            complete_from = max(self._born_s, self._wall_ms() // 1000 - JOURNAL_AGE_S)
        # A page that is full ends there; memory has more only where the journal took no records.
        last = (from_round, b"")
        if len(found) == limit:
            last = min(price.key for price in found.values())
        for id_, (round_, its_pair) in self._keys.items():
            is_meant = pair in (None, its_pair) and last <= (round_, id_) < before
            price = self._find_in_memory(id_) if is_meant and id_ not in found else None
            if price is not None:
                found[id_] = price
        ordered = sorted(found.values(), key=lambda price: price.key, reverse=True)
        return RecentPage(tuple(ordered[:limit]), complete_from)

    def find_newest(self, pair: str) -> FoundPrice | None:
        """Return the newest settled price of a pair that we know ourselves, or None."""
        prices = self.read_page(pair, (INTEGER_MAX, b""), 0, 1).prices
        return prices[0] if prices else None

    def find(self, id_: bytes) -> FoundPrice | None:
        """Return the settled price with this id, or None."""
        if id_ in self._unsettled:
            return None
        try:
            row = self._journal.find_proven(id_)
        except JournalError:
            row = None
        if row is None:
            return self._find_in_memory(id_)
        record, is_stored = row
        return self._to_found(record, is_stored=is_stored)

    def _read_journal(
        self, pair: str | None, before: Key, from_round: int, limit: int
    ) -> dict[bytes, FoundPrice]:
        """Return settled ones, by id, though what is not settled stands between them."""
        found: dict[bytes, FoundPrice] = {}
        while len(found) < limit:
            rows = self._journal.read_newest(pair, before, from_round, limit - len(found))
            for record, is_stored in rows:
                before = (record.entry.report.round, record.id)
                if record.id not in self._unsettled:
                    price = self._to_found(record, is_stored=is_stored)
                    if price is not None:
                        found[price.id] = price
            if not rows:
                break
        return found

    def _find_in_memory(self, id_: bytes) -> FoundPrice | None:
        """Ask the machine, whose memory serves while the journal takes no records."""
        record = self._find_settled(id_)
        return None if record is None else self._to_found(record, is_stored=False)

    def _to_found(self, record: ProvenRecord, *, is_stored: bool) -> FoundPrice | None:
        document = self._get_chain().find(record.entry.report.epoch)
        if document is None:
            return None
        stored_ms = self._stored_ms.get(record.id)
        return make_found(
            record, document, is_stored=is_stored or stored_ms is not None, stored_ms=stored_ms
        )


def _cut(mapping: dict[bytes, Any], size: int) -> None:
    """Drop the oldest beyond `size`."""
    while len(mapping) > size:
        del mapping[next(iter(mapping))]
