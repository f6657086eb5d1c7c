"""Pages of prices, newest first, and one price by its id: recent and older ones as one archive.

What this process has heard itself is answered without the database. Before that, journal and
table are read together, and the journal alone while the database is away: then as far back as it
is whole, and older prices are refused rather than left out. A row that proves nothing is not shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from gossip_price.adapters.archive.found import FoundPrice
from gossip_price.adapters.archive.older import read_row, try_row
from gossip_price.adapters.archive.recent import RecentPrices
from gossip_price.adapters.postgres.history import HistoryRow
from gossip_price.adapters.rfc3339 import format_s
from gossip_price.core.proof import (
    EpochBook,
    UnprovenError,
    parse_hash,
    verify_price,
)
from gossip_price.core.rows import Key
from gossip_price.network.document import Document
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import format_address
from gossip_price.ports import StoreUnavailableError

#: Prices in one page: 1.4 MB at four members, of which half is each price's document.
PAGE_MAX: Final = 500
#: Signatures in one page: a network of many members has shorter ones (8 prices at 256 members, 1
#: MB). Checking so many of the table's takes a tenth of a second, beside the loop.
PAGE_SIGNATURES_MAX: Final = 2_048


class OlderUnavailableError(Exception):
    """What was asked for is in the database, and it does not answer; says from when on it is."""


class FalseRowError(Exception):
    """Under this id the database has a row that proves nothing. `reason` is a label of verify."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Page(NamedTuple):
    """Prices, newest first; `next` is where the page after begins, None at the end.

    `unproven` rows of the table would stand here and prove nothing.
    """

    prices: tuple[FoundPrice, ...]
    next: Key | None
    unproven: int = 0


class History(Protocol):
    """Rows of the table, as claims. All of it raises StoreUnavailableError."""

    async def read_page(
        self, pair: str | None, before: Key, from_round: int, limit: int
    ) -> Sequence[HistoryRow]:
        """Return rows before (round, id), newest first."""

    async def find(self, id_: bytes) -> HistoryRow | None:
        """Return the row under this id, or None."""

    async def read_epochs(self) -> Sequence[Document]:
        """Return the documents in the table that are what their hash says."""


class Archive:
    """All prices that this node can show."""

    def __init__(
        self, recent: RecentPrices, history: History, *, get_chain: Callable[[], EpochChain]
    ) -> None:
        self._recent = recent
        self._history = history
        self._get_chain = get_chain
        #: Epochs of the table that our own chain vouches for and the network file has no more.
        self._older_epochs: tuple[Document, ...] = ()

    def list_pairs(self) -> list[str]:
        """Return the pairs of all epochs that the network file names, by name."""
        documents = self._get_chain().documents
        return sorted({terms.pair for document in documents for terms in document.pairs})

    async def read_page(self, pair: str | None, before: Key, from_round: int, limit: int) -> Page:
        """Return the newest prices before (round, id), of rounds from `from_round` on.

        At most `limit` and PAGE_MAX, and fewer where there are many signers. Raises
        OlderUnavailableError.
        """
        from_round = max(from_round, self._get_begin())
        members = max(len(document.members) for document in self._get_chain().documents)
        limit = min(limit, PAGE_MAX, max(1, PAGE_SIGNATURES_MAX // members))
        recent, complete_from = self._recent.read_page(pair, before, from_round, limit)
        live_from = max(self._recent.live_from, complete_from)
        live = [price for price in recent if price.report.round >= live_from]
        if len(live) == limit or from_round >= live_from:
            return _make_page(live, limit)
        begin = min(before, (live_from, b""))
        try:
            rows = await self._history.read_page(pair, begin, from_round, limit - len(live))
            book = await self._make_book(rows)
        except StoreUnavailableError as error:
            whole = [price for price in recent if price.report.round >= complete_from]
            if len(whole) < limit and from_round < complete_from:
                return _end_early(whole, complete_from, error)
            return _make_page(whole, limit)
        return await self._merge(recent, rows, book, limit)

    async def find(self, id_: bytes) -> FoundPrice | None:
        """Return the settled price with this id, proven anew just now; None if there is none.

        Raises OlderUnavailableError and FalseRowError.
        """
        price = self._recent.find(id_)
        if price is not None and _is_proven(price):
            return price
        if self._recent.is_unsettled(id_):
            return None
        try:
            row = await self._history.find(id_)
            if row is None:
                return None
            book = await self._make_book([row])
        except StoreUnavailableError as error:
            raise OlderUnavailableError(f"it is not among the recent ones, and {error}") from error
        try:
            return read_row(row, book)
        except UnprovenError as error:
            raise FalseRowError(error.reason, error.detail) from error

    def _get_begin(self) -> int:
        """Return the first round of the network, as far as we know: nothing is before it."""
        first = self._get_chain().documents[0]
        return first.start if first.epoch == 1 else 0

    async def _merge(
        self, recent: Iterable[FoundPrice], rows: Sequence[HistoryRow], book: EpochBook, limit: int
    ) -> Page:
        """Unite what both have: the same id once, ours where ours is known."""
        found: dict[bytes, tuple[Key, FoundPrice | None]] = {
            price.id: (price.key, price) for price in recent
        }
        unknown = [row for row in rows if row.id not in found]
        read = await asyncio.to_thread(lambda: [try_row(row, book) for row in unknown])
        for row, price in zip(unknown, read, strict=True):
            found[row.id] = ((row.claim.round or 0, row.id), price)
        ordered = sorted(found.values(), key=lambda one: one[0], reverse=True)[:limit]
        prices = tuple(price for _, price in ordered if price is not None)
        is_last = len(ordered) < limit
        return Page(prices, None if is_last else ordered[-1][0], len(ordered) - len(prices))

    async def _make_book(self, rows: Iterable[HistoryRow]) -> EpochBook:
        """Return the epochs that we believe: our own, and those that they name as before them."""
        documents = self._get_chain().documents
        trusted = {documents[-1].hash}
        book = EpochBook((*documents, *self._older_epochs), trusted)
        if all(_names_epoch_in(row, book) for row in rows):
            return book
        found = EpochBook((*documents, *await self._history.read_epochs()), trusted)
        self._older_epochs = found.list_vouched()
        return found


def _names_epoch_in(row: HistoryRow, book: EpochBook) -> bool:
    try:
        return parse_hash(row.claim.epoch or "") in book
    except ValueError:
        return True  # it proves nothing, by whatever epoch


def _make_page(prices: Sequence[FoundPrice], limit: int) -> Page:
    return Page(tuple(prices), prices[-1].key if len(prices) == limit else None)


def _end_early(
    prices: Sequence[FoundPrice], complete_from: int, error: StoreUnavailableError
) -> Page:
    """Give what there is; who asks for what comes after it is told that it cannot be had now."""
    if not prices:
        which = f"prices before {since}" if (since := format_s(complete_from)) else "prices"
        raise OlderUnavailableError(f"{which} are in the database, and {error}") from error
    return Page(tuple(prices), prices[-1].key)


def _is_proven(price: FoundPrice) -> bool:
    """Check our own once more, as anybody would; if our disk has changed it, the table may do."""
    signatures = [(format_address(signer), "0x" + one.hex()) for signer, one in price.signatures]
    try:
        verify_price("0x" + price.id.hex(), price.report, signatures, price.document)
    except UnprovenError:
        return False
    return True
