from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip_price.core.events import (
    Forget,
    LeftToOthers,
    ProvenRecord,
    Record,
    RoundRecord,
    StoredRecord,
    Vote,
)
from gossip_price.ports import JournalError
from journal_cases import make_id, make_proven, make_vote, open_journal

ROUNDS = st.integers(0, 6)
NUMBERS = st.integers(0, 4)
RECORDS = st.one_of(
    st.builds(make_vote, ROUNDS, NUMBERS),
    # The round of an id never changes: it is part of what the id is made of.
    st.builds(
        lambda number, signers: make_proven(number, number, signers), ROUNDS, st.integers(1, 4)
    ),
    st.builds(StoredRecord, ROUNDS.map(make_id), st.booleans()),
    st.builds(LeftToOthers, ROUNDS.map(make_id)),
    st.builds(RoundRecord, ROUNDS),
    st.builds(Forget, ROUNDS),
)


class RefusedError(Exception):
    """The model's own refusal."""


@dataclass
class Model:
    """The journal as it would be in memory that never fails."""

    votes: dict[str, Vote] = field(default_factory=dict)
    proven: dict[bytes, ProvenRecord] = field(default_factory=dict)
    stored: dict[bytes, bool] = field(default_factory=dict)
    left: set[bytes] = field(default_factory=set)
    highest: int = 0
    forgotten_before: int = 0

    def put(self, record: Record) -> None:
        match record:
            case Vote(key=key, id=id_):
                if record.report.round < self.forgotten_before:
                    raise RefusedError
                if self.votes.setdefault(key, record).id != id_:
                    raise RefusedError
            case ProvenRecord(id=id_):
                # An old proof, replayed, takes no signer away.
                known = self.proven.get(id_, record)
                if len(record.entry.signatures) >= len(known.entry.signatures):
                    self.proven[id_] = record
            case StoredRecord(id=id_, confirmed=confirmed) if id_ in self.proven:
                self.stored[id_] = self.stored.get(id_, False) or confirmed
            case LeftToOthers(id=id_) if id_ in self.proven:
                self.left.add(id_)
            case RoundRecord(highest=highest):
                self.highest = max(self.highest, highest)
            case Forget(before_round=before):
                self.forgotten_before = max(self.forgotten_before, before)
                self.votes = {k: v for k, v in self.votes.items() if v.report.round >= before}
                gone = {
                    id_
                    for id_, record in self.proven.items()
                    if record.entry.report.round < before
                    and (id_ in self.stored or id_ in self.left)
                }
                for id_ in gone:
                    del self.proven[id_]
                    self.stored.pop(id_, None)
                    self.left.discard(id_)

    def copy(self) -> Model:
        return Model(
            dict(self.votes),
            dict(self.proven),
            dict(self.stored),
            set(self.left),
            self.highest,
            self.forgotten_before,
        )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(RECORDS, max_size=6), st.booleans()), max_size=8))
def test_a_journal_holds_what_a_dictionary_would_across_reopening(
    batches: list[tuple[list[Record], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        journal = open_journal(path)
        model = Model()
        for records, reopen in batches:
            attempt = model.copy()
            try:
                for record in records:
                    attempt.put(record)
                model, refused = attempt, False
            except RefusedError:
                refused = True
            try:
                journal.write(records)
                assert not refused
            except JournalError:
                assert refused
            if reopen:
                journal.close()
                journal = open_journal(path, now_ms=1)
        memory = journal.load()
        journal.close()
    assert {vote.key: vote for vote in memory.votes} == model.votes
    assert {record.id: record for record in memory.proven} == model.proven
    assert {record.id: record.confirmed for record in memory.stored} == model.stored
    assert memory.highest_round == model.highest
