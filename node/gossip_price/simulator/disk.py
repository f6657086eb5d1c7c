"""A node's volume: the journal port on a disk that can be full, lost, or cut off from power.

Keeps what the real journal keeps and refuses what it refuses (`adapters.journal`), in
dictionaries; what was written and not yet synced is lost when the power goes.
"""

from __future__ import annotations

from collections.abc import Sequence

from gossip_price.core import events as ev
from gossip_price.core.rows import Key
from gossip_price.ports import JournalError


class PowerCutError(Exception):
    """The process was killed inside a turn."""


class SimulatedJournal:
    """What was written, unless `full`; refuses contradictions as the real one does.

    `cut` (transactions from now, whether that one still reaches the disk) kills the process there.
    """

    def __init__(self, birth_ms: int) -> None:
        self.birth_ms = birth_ms
        self.highest = 0
        self.forgotten_before = 0
        self.votes: dict[str, ev.Vote] = {}
        self.proven: dict[bytes, ev.ProvenRecord] = {}
        self.stored: dict[bytes, ev.StoredRecord] = {}
        self.left: set[bytes] = set()
        self.epoch: ev.EpochRecord | None = None
        self.full = False
        self.transactions = 0
        self.cut: tuple[int, bool] | None = None
        self._unsynced: list[ev.Record] = []

    def load(self) -> ev.Recollection:
        self.sync()
        votes = sorted(self.votes.values(), key=lambda vote: (vote.report.round, vote.key))
        proven = sorted(self.proven.values(), key=lambda one: (one.entry.report.round, one.id))
        stored = tuple(self.stored[one.id] for one in proven if one.id in self.stored)
        return ev.Recollection(
            self.birth_ms, self.highest, tuple(votes), tuple(proven), stored, self.epoch
        )

    def write(self, records: Sequence[ev.Record]) -> None:
        self._spend_power(records)
        if self.full:
            raise JournalError("database or disk is full")
        self._refuse_contradictions(records)
        self.transactions += 1
        self._unsynced += records
        self.sync()

    def read_proven(self, ids: Sequence[bytes]) -> tuple[ev.ProvenRecord, ...]:
        self.sync()
        return tuple(self.proven[id_] for id_ in sorted(ids) if id_ in self.proven)

    def read_proven_range(self, after: Key, limit: int) -> tuple[ev.ProvenRecord, ...]:
        self.sync()
        found = [
            (key, one)
            for one in self.proven.values()
            if (key := (one.entry.report.round, one.id)) > after
        ]
        return tuple(one for _, one in sorted(found, key=lambda item: item[0])[:limit])

    def sync(self) -> None:
        """Move what was written from the machine's memory to the platter."""
        for record in self._unsynced:
            self._apply(record)
        self._unsynced.clear()

    def lose_power(self) -> None:
        """Drop what was not synced."""
        self._unsynced.clear()

    def _refuse_contradictions(self, records: Sequence[ev.Record]) -> None:
        for record in records:
            if isinstance(record, ev.Vote):
                known = self.votes.get(record.key)
                if known is not None and known.id != record.id:
                    raise JournalError(f"a second vote for {record.key}")
                if record.report.round < self.forgotten_before:
                    raise JournalError(f"a vote of round {record.report.round}, forgotten")

    def _apply(self, record: ev.Record) -> None:
        match record:
            case ev.Vote():
                self.votes.setdefault(record.key, record)
            case ev.ProvenRecord():
                before = self.proven.get(record.id)
                if before is None or _count_signers(before) <= _count_signers(record):
                    self.proven[record.id] = record
            case ev.StoredRecord():
                known = self.stored.get(record.id)
                if record.id in self.proven and not (known is not None and known.confirmed):
                    self.stored[record.id] = record
            case ev.LeftToOthers():
                if record.id in self.proven:
                    self.left.add(record.id)
            case ev.RoundRecord():
                self.highest = max(self.highest, record.highest)
            case ev.EpochRecord():
                self.epoch = record
            case ev.Forget():
                self._forget(record.before_round)

    def _forget(self, before: int) -> None:
        self.forgotten_before = max(self.forgotten_before, before)
        for key in [k for k, vote in self.votes.items() if vote.report.round < before]:
            del self.votes[key]
        # What waits to be stored is a price that only we may still know.
        done = self.stored.keys() | self.left
        for id_ in [i for i in done if self.proven[i].entry.report.round < before]:
            del self.proven[id_]
            self.stored.pop(id_, None)
            self.left.discard(id_)

    def _spend_power(self, records: Sequence[ev.Record]) -> None:
        if self.cut is None:
            return
        left, reaches_disk = self.cut
        self.cut = (left - 1, reaches_disk) if left else None
        if not left:
            if reaches_disk:
                self.write(records)
            raise PowerCutError

    def load_peers(self) -> dict[str, tuple[str, ...]]:
        return {}

    def write_peers(self, peers: dict[str, tuple[str, ...]]) -> None:
        """Forget them: the simulated network needs no addresses."""

    def close(self) -> None:
        """Do nothing: the next life opens the same journal."""


def _count_signers(record: ev.ProvenRecord) -> int:
    return len(record.entry.signatures)
