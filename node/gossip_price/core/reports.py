"""The reports that we hold: whole in memory, or as bits in the trees of what was proven.

Memory holds what is under way, what waits to be stored, and the newest of what is done; the rest is
in the journal. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gossip_price.core import events as ev
from gossip_price.core.calendar import Calendar
from gossip_price.core.forest import Forest, compute_cut
from gossip_price.core.limits import RECENT_MAX
from gossip_price.core.quorum import Tally
from gossip_price.core.types import Entry, Now
from gossip_price.network.document import DAY_S, Document

#: How often it is looked whether more rounds are closed.
_CLOSE_MS: Final = 10_000


class Reports:
    """Reports by id, each with who has signed it."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._tallies: dict[bytes, Tally] = {}
        self._recent: dict[bytes, None] = {}
        #: What is neither settled nor given up; and of it, what not all members have signed.
        self._unsettled: set[bytes] = set()
        self._incomplete: set[bytes] = set()
        self._closed_slot = 0
        self.forest = Forest()

    def __len__(self) -> int:
        return len(self._tallies)

    def __contains__(self, id_: bytes) -> bool:
        return id_ in self._tallies

    def __iter__(self) -> Iterator[Tally]:
        return iter(self._tallies.values())

    def get(self, id_: bytes) -> Tally | None:
        """Return a report that is in memory."""
        return self._tallies.get(id_)

    def get_entry(self, id_: bytes) -> Entry | None:
        """Return a report that is in memory as it is sent; None if nobody has signed it yet."""
        tally = self._tallies.get(id_)
        return tally.to_entry() if tally is not None and tally.signatures else None

    def find_settled(self, id_: bytes) -> ev.ProvenRecord | None:
        """Return a settled price that is in memory: all that wait to be stored, and the newest."""
        tally = self._tallies.get(id_)
        return tally.to_record() if tally is not None and tally.is_settled else None

    def is_unsettled(self, id_: bytes) -> bool:
        """Tell whether it is in memory and may not be written yet."""
        tally = self._tallies.get(id_)
        return tally is not None and not tally.is_settled

    def is_all_signed(self) -> bool:
        """No report awaits further signers: each is settled, given up, or signed by everybody."""
        return not self._incomplete

    def list_unsettled(self) -> list[Tally]:
        """Return the reports that are neither settled nor given up."""
        return [self._tallies[id_] for id_ in self._unsettled if id_ in self._tallies]

    def are_complete(self) -> bool:
        """Tell whether something is not settled, and all members have signed all of it."""
        return bool(self._unsettled) and not self._incomplete

    def find_missing(self, id_: bytes, bits: int) -> int:
        """Return which of these signers we lack; all, of a report that we do not know."""
        tally = self._tallies.get(id_)
        if tally is None:
            return bits & ~self.forest.get_bits(id_)
        return tally.find_missing(bits) if bits & ~tally.signer_bits else 0

    def pick_missing(self, named: Mapping[bytes, int]) -> dict[bytes, int]:
        """Return of these ids, each with signers as bits, those of which we lack a signer."""
        missing = {}
        for id_, bits in named.items():
            tally = self._tallies.get(id_)
            # Asked of every heartbeat, and hardly ever is there more.
            if (tally is None or bits & ~tally.signer_bits) and self.find_missing(id_, bits):
                missing[id_] = bits
        return missing

    def is_in_journal_alone(self, id_: bytes) -> bool:
        """Tell whether it was proven and is no more in memory."""
        return id_ not in self._tallies and bool(self.forest.get_bits(id_))

    # --- what comes and goes ------------------------------------------------------------------

    def add(self, tally: Tally) -> None:
        """Hold this report."""
        self._tallies[tally.id] = tally

    def await_signers(self, tally: Tally) -> None:
        """Others may still sign this report."""
        self._unsettled.add(tally.id)
        if not tally.is_complete:
            self._incomplete.add(tally.id)

    def complete(self, tally: Tally) -> bool:
        """Everybody has signed the report; tell whether that was awaited."""
        is_awaited = tally.id in self._incomplete
        self._incomplete.discard(tally.id)
        return is_awaited

    def settle(self, tally: Tally) -> None:
        """The report may be written as it is now."""
        tally.is_settled = True
        self._unsettled.discard(tally.id)
        self._incomplete.discard(tally.id)

    def drop(self, tally: Tally) -> None:
        """Forget a report that nobody has proven."""
        del self._tallies[tally.id]
        self._unsettled.discard(tally.id)
        self._incomplete.discard(tally.id)

    def finish(self, id_: bytes) -> None:
        """Keep a stored price in memory for late signatures until newer ones push it out."""
        self._recent[id_] = None
        while len(self._recent) > RECENT_MAX:
            oldest = next(iter(self._recent))
            del self._recent[oldest]
            self._tallies.pop(oldest, None)

    def is_finished(self, id_: bytes) -> bool:
        """Tell whether it was stored before, and is in memory for late signatures alone."""
        return id_ in self._recent

    def take_back(self, record: ev.ProvenRecord, now: Now) -> Tally | None:
        """Hold in memory again, as stored, what only the journal held."""
        document = self._calendar.chain.find(record.entry.report.epoch)
        if document is None:
            return None
        tally = make_tally(record, document, now)
        self.add(tally)
        self.settle(tally)
        self.finish(tally.id)
        return tally

    def close_rounds(self, now: Now) -> None:
        """Let the trees take up the rounds that are closed by our clock."""
        slot = now.wall_ms // _CLOSE_MS
        if slot == self._closed_slot:
            return
        self._closed_slot = slot
        wall_s = now.wall_ms // 1000
        document = self._calendar.chain.get_in_force(wall_s)
        if document is not None:
            self.forest.close(compute_cut(document, wall_s), wall_s // DAY_S)


def make_tally(record: ev.ProvenRecord, document: Document, now: Now) -> Tally:
    """Return what the journal remembered, as if all its signatures had come now."""
    tally = Tally(record.id, record.entry.report, document)
    for signature in record.entry.signatures:
        tally.merge(signature.member, signature.signature, now)
    tally.last_signed_wall_ms = record.last_signed_ms
    tally.observed = (record.sources, record.spread_bp)
    return tally
