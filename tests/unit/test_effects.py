"""What a step tells of a report: what the report says of itself, and what happened to it."""

from __future__ import annotations

import msgspec

from gossip_price.core.effects import StepEffects
from gossip_price.core.events import Note, NoteKind
from gossip_price.core.quorum import Tally
from gossip_price.core.types import Now
from networks import make_network

NETWORK = make_network(4)
REPORT = NETWORK.report(2, proposer=1)
ID = NETWORK.compute_id(REPORT)


def make_tally() -> Tally:
    tally = Tally(ID, REPORT, NETWORK.document)
    for member in (1, 2):
        tally.merge(member, NETWORK.sign(REPORT, member), Now(0, 0))
    return tally


def test_a_note_of_a_tally_says_all_that_the_report_says() -> None:
    effects = StepEffects()
    effects.note_tally(NoteKind.COSIGNED, make_tally())
    effects.note_tally(
        NoteKind.STORED, make_tally(), member=b"m", count=4, ms=7, reason="why", author="peer"
    )
    cosigned = Note(
        NoteKind.COSIGNED,
        pair=REPORT.pair,
        round=REPORT.round,
        id=ID,
        proposer=REPORT.proposer,
        price=REPORT.price,
        decimals=8,
        count=2,
        needed=3,
    )
    stored = msgspec.structs.replace(
        cosigned, kind=NoteKind.STORED, member=b"m", count=4, ms=7, reason="why", author="peer"
    )
    assert effects.take() == [cosigned, stored]
    assert effects.take() == []
