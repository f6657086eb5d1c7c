"""Where we are in time: the epochs that we know, and the round that our clock is in.

Follows two clocks: rounds go by the wall clock, which can be set; how long ago a round was left is
counted on the one that never steps. What is done in a round is others' affair.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gossip_price.core import events as ev
from gossip_price.core.agenda import Agenda
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.limits import CLOCK_STEP_MS
from gossip_price.core.types import Now
from gossip_price.network.document import Document, DocumentError
from gossip_price.network.epochs import EpochChain


class Entered(NamedTuple):
    """A round that our clock has just entered; `is_boot`: it began before this process did."""

    document: Document
    start: int
    is_boot: bool


class Calendar:
    """The chain of epochs, and the highest round that any life of this node was in.

    `me` is our address; `protocols` are those whose rules are known here; `started_ms` is the wall
    time at which this process started.

    Raises DocumentError when the chain lacks an epoch that an earlier life has known.
    """

    def __init__(
        self,
        *,
        chain: EpochChain,
        me: bytes,
        protocols: frozenset[int],
        remembered: ev.Recollection,
        started_ms: int,
        now: Now,
        effects: StepEffects,
        agenda: Agenda,
    ) -> None:
        known = remembered.epoch
        problem = None if known is None else chain.find_return(known.epoch, known.hash)
        if problem is not None:
            raise DocumentError(f"network file: {problem}")
        self.chain = chain
        self.highest = remembered.highest_round
        self._me = me
        self._protocols = protocols
        self._started_ms = started_ms
        self._effects = effects
        self._agenda = agenda
        self._in_force: Document | None = None
        self._entered: int | None = None
        self._entered_mono_ms = now.mono_ms
        #: How far the wall clock is ahead of the monotonic one.
        self.clock_offset_ms = now.wall_ms - now.mono_ms
        if known is None or known.hash != chain.newest.hash:
            self._learn(chain.documents[-1:])

    # --- epochs -------------------------------------------------------------------------------

    def get_current(self, now: Now) -> Document:
        """Return the epoch in force; before the first one starts, that one."""
        return self.chain.get_current(now.wall_ms // 1000)

    def get_current_then(self, mono_ms: int) -> Document:
        """Return the epoch in force at a monotonic time, by the wall clock as it is now."""
        return self.chain.get_current((mono_ms + self.clock_offset_ms) // 1000)

    def get_roster_then(self, mono_ms: int) -> tuple[bytes, ...]:
        """Return the addresses of the members of the epoch in force at a monotonic time."""
        return self.get_current_then(mono_ms).addresses

    def knows_rules(self, document: Document) -> bool:
        """Tell whether this epoch's protocol is one that we know; in others nothing is signed."""
        return document.protocol in self._protocols

    def may_write(self, now: Now, *documents: Document) -> bool:
        """Only members write, of the epoch in force or of these; listeners keep what they hear.

        A member that was removed since still writes what it helped to prove.
        """
        if self._me in self.chain.get_current(now.wall_ms // 1000).index_by_address:
            return True
        return any(self._me in document.index_by_address for document in documents)

    def process_network(self, chain: EpochChain) -> int | None:
        """Take up the epochs that the network file names now, if they go on where ours end.

        Return the round from which on other epochs are in force than before; None if none is.
        """
        problem = chain.find_break(self.chain)
        if problem is not None:
            self._effects.note(NoteKind.EPOCH_REFUSED, reason="not_ours", detail=problem)
            return None
        before = self.chain
        news = chain.documents[len(before.documents) :]
        if not news:
            return None
        self.chain = EpochChain((*before.documents, *news))
        self._learn(news)
        if self._entered is not None and self._entered >= news[0].start:
            self._entered = None  # we are late: it is entered again, by its own epoch
        return news[0].start

    def _learn(self, documents: Iterable[Document]) -> None:
        """Take note of new epochs, the newest last: no later life of ours may know less."""
        for document in documents:
            fields = {"round": document.start, "id": document.hash, "count": document.epoch}
            self._effects.note(NoteKind.EPOCH_KNOWN, **fields)
            if not self.knows_rules(document):
                reason = f"protocol {document.protocol}"
                self._effects.note(NoteKind.PROTOCOL_UNKNOWN, reason=reason, **fields)
        self._remember_epoch()

    def _remember_epoch(self) -> None:
        newest = self.chain.newest
        self._effects.remember(ev.EpochRecord(newest.epoch, newest.hash))

    # --- rounds -------------------------------------------------------------------------------

    def process_clock(self, now: Now) -> None:
        """Take note of a wall clock that was moved: the offset is no more what it was."""
        offset_ms = now.wall_ms - now.mono_ms
        moved = offset_ms - self.clock_offset_ms
        self.clock_offset_ms = offset_ms
        self._agenda.look_again()  # rounds go by the wall clock
        if abs(moved) >= CLOCK_STEP_MS:
            self._effects.note(NoteKind.CLOCK_STEPPED, ms=moved)
            self._agenda.look_at_rounds()

    def enter_round(self, now: Now) -> Entered | None:
        """Enter the round that our clock is in, unless a clock step brought us back.

        None while it is the one that we are in.
        """
        wall_s = now.wall_ms // 1000
        document = self.chain.get_in_force(wall_s)
        if document is None:
            return None
        start = document.get_round(wall_s)
        # Of the interval of now: the highest round may be one of a shorter interval before.
        if start + document.interval <= self.highest or start == self._entered:
            return None
        if start > self.highest:
            self.highest = start
            self._effects.remember(ev.RoundRecord(start))
        is_boot = self._entered is None and start * 1000 < self._started_ms
        self._entered = start
        self._entered_mono_ms = now.mono_ms
        if document is not self._in_force:
            self._in_force = document
            fields = {"round": start, "id": document.hash, "count": document.epoch}
            self._effects.note(NoteKind.EPOCH_ENTERED, **fields)
        return Entered(document, start, is_boot)

    def is_closed(self, document: Document, start: int, now: Now) -> bool:
        """Tell whether our clock has left the round, counted on the clock that never steps."""
        if start + document.interval > self.highest:
            return False
        if self._entered is None or start < self.highest - document.interval:
            return True
        return now.mono_ms - self._entered_mono_ms > document.skew * 1000

    def compute_next_round_ms(self, now: Now) -> int:
        """Return the wall time at which the next round begins."""
        document = self.chain.get_in_force(now.wall_ms // 1000)
        if document is None:
            return self.chain.documents[0].start * 1000
        return (document.get_round(now.wall_ms // 1000) + document.interval) * 1000

    def remember(self) -> None:
        """Let a journal that has missed records know again which round and epoch we were in."""
        self.remember_round()
        self._remember_epoch()

    def remember_round(self) -> None:
        """Let the journal know the highest round."""
        self._effects.remember(ev.RoundRecord(self.highest))

    # --- what is wrong ------------------------------------------------------------------------

    def find_clock_problem(self, now: Now) -> str | None:
        """Say what is wrong with the clock: it is behind a round that was entered before."""
        behind_s = self.highest - now.wall_ms // 1000
        if behind_s <= self.chain.get_current(self.highest).skew:
            return None
        return (
            f"the clock is {behind_s} s behind the highest round this journal has seen; "
            f"nothing is signed until it is past it"
        )

    def find_protocol_problem(self, now: Now) -> str | None:
        """Say that the epoch in force follows rules that we do not know."""
        document = self.get_current(now)
        if self.knows_rules(document):
            return None
        known = ", ".join(str(protocol) for protocol in sorted(self._protocols))
        return (
            f"epoch {document.epoch} has protocol {document.protocol}, this version knows {known};"
            " nothing is signed in it; remedy: a newer version of gossip-price"
        )
