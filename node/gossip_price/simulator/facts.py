"""What can be seen of a world from outside, as plain values, and who watches it.

Checkers are watchers. They see what went over the wire, to the disk and into the table, and share
no code with the core: nothing here knows its types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, NamedTuple

import msgspec

#: Later than any clock says.
_NEVER_MS: Final = 1 << 62


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """A point in the history: true time, and what the node's own clocks said; milliseconds."""

    true_ms: int
    wall_ms: int
    mono_ms: int


class Claim(NamedTuple):
    """A report's fields, as somebody claims them."""

    epoch: bytes
    pair: str
    round: int
    price: int
    decimals: int
    observed_at: int
    proposer: bytes


Signed = tuple[tuple[int, bytes], ...]
"""(member, signature) of each signer, by index in its epoch's roster."""


class Row(NamedTuple):
    """A row as it was inserted: (address, signature) of each claimed signer."""

    id: bytes
    claim: Claim
    signatures: tuple[tuple[bytes, bytes], ...]


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a node told people: the note's kind and what it is about."""

    kind: str
    pair: str
    round: int
    id: bytes
    signers: int
    reason: str
    author: str


class Digits(NamedTuple):
    """What a pair's prices may be: decimals, and the range in their units."""

    decimals: int
    low: int
    high: int


class Law(NamedTuple):
    """One epoch's terms as a checker needs them. Durations in seconds; `digits` by pair."""

    epoch: bytes
    separator: bytes
    start: int
    interval: int
    every_node: bool
    quorum: int
    faulty: int
    fallback_delay: int
    skew: int
    settle: int
    settle_cap: int
    max_deviation: int
    pairs: tuple[str, ...]
    digits: Mapping[str, Digits]
    addresses: tuple[bytes, ...]
    peers: tuple[str, ...]
    protocol: int


class Alarms:
    """From when on watchers want to see a node's turns, by its own clocks; milliseconds, by node.

    Most turns concern nobody. Once a turn is shown, each watcher says anew what it waits for.
    """

    def __init__(self) -> None:
        self.wall_ms: dict[int, int] = {}
        self.mono_ms: dict[int, int] = {}

    def add_node(self, node: int) -> None:
        """Show the node's first turn."""
        self.wall_ms[node] = self.mono_ms[node] = 0

    def clear(self, node: int) -> None:
        """A turn is shown: nobody waits for anything yet."""
        self.wall_ms[node] = self.mono_ms[node] = _NEVER_MS

    def set_wall(self, node: int, wall_ms: int) -> None:
        """Show the first turn at or after this time of the node's wall clock."""
        self.wall_ms[node] = min(self.wall_ms.get(node, 0), wall_ms)

    def set_mono(self, node: int, mono_ms: int) -> None:
        """Show the first turn at or after this time of the node's monotonic clock."""
        self.mono_ms[node] = min(self.mono_ms.get(node, 0), mono_ms)


class Watcher:
    """Sees what it wants to, changes nothing. Override what matters; `node` is a node's index."""

    #: The kinds of note that `told` is called for; None: all.
    hears_of: ClassVar[frozenset[str] | None] = None
    #: Whether `heard` and `published` are called for messages without entries, as most are.
    hears_words: ClassVar[bool] = True
    #: By these it says which turns it wants to see, if they are the world's; else it sees all.
    alarms: Alarms | None = None

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        """A node began a life."""

    def ended(self, at: Moment, node: int) -> None:
        """A node was killed."""

    def turned(self, at: Moment, node: int) -> None:
        """A node takes a turn."""

    def heard(self, at: Moment, node: int, author: str, data: bytes) -> None:
        """A message reached a living node, which takes it in this turn."""

    def observed(self, at: Moment, node: int, pair: str, round_: int, price: int) -> None:
        """A node's sources gave it a price for a round."""

    def voted(self, at: Moment, node: int, id_: bytes, claim: Claim) -> None:
        """A node gave its vote to the journal (which may refuse it, or lose it)."""

    def kept(self, at: Moment, node: int, id_: bytes, claim: Claim, signatures: Signed) -> None:
        """A node gave this to the journal as proven (which may refuse it, or lose it)."""

    def signed(self, at: Moment, node: int, digest: bytes) -> None:
        """A node's key signed."""

    def published(self, at: Moment, node: int, data: bytes) -> None:
        """A node, or a liar at its place, sent a message; lies may go to a few only."""

    def penalized(self, at: Moment, node: int, author: str, reason: str) -> None:
        """A node cut off an author."""

    def told(self, at: Moment, node: int, told: Told) -> None:
        """A node told people something."""

    def asked_to_write(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        """A node sent rows to the database."""

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        """These rows are in the table now and were not before."""

    def connected(self, at: Moment, node: int) -> None:
        """A node was told that the database answers."""

    def audited(self, at: Moment, node: int, count: int, *, is_writing: bool) -> None:
        """A node audits with a statement that reads so many rows; `is_writing`: beside a write."""

    def corrected(
        self, at: Moment, node: int, moved: tuple[bytes, ...], put: tuple[bytes, ...]
    ) -> None:
        """A node moved these ids' rows to quarantine and put those true ones there, at once."""

    def falsified(self, at: Moment, id_: bytes, *, is_foreign: bool) -> None:
        """Somebody put a false row under this id; a foreign one names an epoch nobody knows."""

    def removed(self, at: Moment, ids: tuple[bytes, ...]) -> None:
        """Somebody deleted these rows."""

    def restored(self, at: Moment, true: tuple[bytes, ...], false: tuple[bytes, ...]) -> None:
        """An old backup took the table's place, with these rows."""

    def poisoned(self, at: Moment, ids: tuple[bytes, ...]) -> None:
        """The database refuses these rows, for as long as it pleases."""

    def stood(self, at: Moment, rows: tuple[Row, ...], late: tuple[Row, ...]) -> None:
        """At the end these rows stand in the table; `late`: signatures beside them, by id."""

    def disturbed(self, start_ms: int, end_ms: int, kind: str, nodes: tuple[int, ...]) -> None:
        """Something goes wrong from `start_ms` to `end_ms`, at these nodes; said beforehand."""

    def enacted(self, at: Moment, law: Law) -> None:
        """A new epoch was announced; who has heard of it is another question."""

    def calmed(self, at: Moment) -> None:
        """Nothing goes wrong from now on: the database answers, all are there."""

    def inspected(self, at: Moment, node: int, machine: object, journal: object) -> None:
        """Look into a node, as a debugger would."""
