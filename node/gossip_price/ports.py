"""The outside world as the engine sees it: one Protocol a port, and the errors they raise.

Adapters implement these; tests bring honest fakes; the core knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

from gossip_price.core.events import Note, ProvenRecord, Recollection, Record
from gossip_price.core.rows import Correction, FoundRow, Key, LateSignature, RowRange
from gossip_price.core.types import Now, Observation, StoredRow
from gossip_price.network.document import Document, PairTerms


class NoObservationError(Exception):
    """Too few good answers. `reason` is a short metric label, `detail` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class StoreUnavailableError(Exception):
    """The database did not answer; the write may or may not have happened."""


class StoreRefusedError(Exception):
    """The database answered and refused the rows (a constraint, a value out of range)."""


class JournalError(Exception):
    """The journal could not be opened, or could not make records durable."""


class ForeignJournalError(JournalError):
    """The journal is somebody else's, or of another version: trying again mends nothing."""


class RequestError(Exception):
    """A peer that was asked gave no answer. `reason` is a metric label, `detail` for people.

    `unconnected`: there is no connection to it; `busy`: it has not answered our last question;
    `timeout`: not within the deadline; `refused`: it speaks no such protocol or wants to answer
    nothing; `broken`: the connection or the stream ended; `too_large`: it announced an answer
    that no honest peer gives.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Connection(NamedTuple):
    """A live connection to a peer, whose id the handshake proved.

    `since_ms` is the wall time at which it began; `ping_ms` how long its newest ping was on its way
    there and back, None before the first.
    """

    peer: str
    is_inbound: bool
    since_ms: int
    ping_ms: float | None = None


Deliver = Callable[[str, bytes], None]
"""Called with (author's peer id, message bytes), on the asyncio loop's thread."""

Respond = Callable[[str, bytes], Coroutine[Any, Any, bytes]]
"""Called with (asking peer's id, question) on the asyncio loop; no bytes at all refuse it."""


class Transport(Protocol):
    """The p2p network. Membership is decided by the peer id that the handshake proved."""

    async def start(self, deliver: Deliver, respond: Respond | None = None) -> None:
        """Listen, join and begin to deliver. Raises OSError when no address can be bound.

        Without `respond` nobody may ask this node anything.
        """

    def get_addresses(self) -> list[str]:
        """Return the multiaddresses we listen on, peer id included."""

    def get_peers(self) -> frozenset[str]:
        """Return the peer ids of live connections."""

    def get_connections(self) -> tuple[Connection, ...]:
        """Return the connections behind `get_peers`, one a peer, the oldest if it has several."""

    async def publish(self, data: bytes) -> None:
        """Send to all members; returns once it is handed to the streams' queues."""

    async def request(self, peer: str, data: bytes, deadline_s: float) -> bytes:
        """Ask one peer directly and return its answer, at most limits.ANSWER_BYTES_MAX.

        One question at a time a peer. Raises RequestError, at the deadline at the latest.
        """

    def admit(self, peers: frozenset[str]) -> None:
        """Replace the peer ids that may connect (Private); others' connections are cut."""

    def penalize(self, peer: str, reason: str) -> None:
        """Cut a peer off for a while."""

    async def aclose(self) -> None:
        """Flush what was published, say goodbye, close; at most 2 seconds."""


class PriceSource(Protocol):
    """Where prices come from."""

    async def observe(self, terms: PairTerms, deadline_s: float) -> Observation:
        """Return the median over the sources within `deadline_s`. Raises NoObservationError."""


class Store(Protocol):
    """The database of prices: the write path, and beside it the audit. Reconnects by itself."""

    async def start(self, up: Callable[[bytes], None], down: Callable[[str], None]) -> None:
        """Connect in the background; call `up(store id)` and `down(reason)` at each change."""

    async def insert(self, rows: Sequence[StoredRow]) -> tuple[bytes, ...]:
        """Insert rows in one statement and return the ids that were not there before.

        Raises StoreUnavailableError (try later) or StoreRefusedError (this batch never).
        """

    async def read_rows(
        self, wanted: RowRange | Sequence[bytes], deadline_s: float
    ) -> tuple[FoundRow, ...]:
        """Read rows of a range, by key, or under these ids; for the audit alone.

        Raises StoreUnavailableError, at the deadline at the latest.
        """

    async def correct(
        self, corrections: Sequence[Correction]
    ) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Move false rows to quarantine and insert the true ones, all in one transaction.

        Return the ids that were moved, and those that were inserted. A row that has changed since
        it was read is not moved. Raises StoreUnavailableError or StoreRefusedError.
        """

    async def add_signatures(self, late: Sequence[LateSignature]) -> int:
        """Insert late signatures in one statement; return how many were not there before.

        Raises StoreUnavailableError or StoreRefusedError.
        """

    def set_epochs(self, documents: Sequence[Document]) -> None:
        """Name the epochs that must stand in the database before the next row."""

    async def aclose(self) -> None:
        """Close the connections; at most 1 second."""


class Journal(Protocol):
    """This node's memory across restarts. Synchronous: what returns is on disk."""

    def load(self) -> Recollection:
        """Return what is remembered."""

    def write(self, records: Sequence[Record]) -> None:
        """Make all records durable in one synced transaction, or raise JournalError.

        A second vote under the same key for another id raises JournalError and changes nothing.
        """

    def read_proven(self, ids: Sequence[bytes]) -> tuple[ProvenRecord, ...]:
        """Return what is remembered as proven of these ids, by id. Raises JournalError."""

    def read_proven_range(self, after: Key, limit: int) -> tuple[ProvenRecord, ...]:
        """Return the first `limit` proven entries after a key, by round and id.

        Raises JournalError.
        """

    def load_peers(self) -> dict[str, tuple[str, ...]]:
        """Return the peer book: addresses by peer id, newest first."""

    def write_peers(self, peers: dict[str, tuple[str, ...]]) -> None:
        """Replace the peer book; not synced. Raises JournalError."""

    def close(self) -> None:
        """Release the file and its lock."""


class Signer(Protocol):
    """The signing key, wherever it lives."""

    @property
    def address(self) -> bytes:
        """The 20-byte address of the key."""

    def sign(self, digest: bytes) -> bytes:
        """Sign 32 bytes: 65 bytes r ‖ s ‖ v, low s, RFC 6979."""


class Clock(Protocol):
    """Both clocks of the machine we run on."""

    def now(self) -> Now:
        """Return wall and monotonic time together."""


Observer = Callable[[Note], None]
"""Told of every note, on the asyncio loop's thread; must not block or raise."""
