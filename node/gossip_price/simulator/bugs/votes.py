"""Bugs in what is signed: votes and the journal before them, rounds, epochs, prices."""

from __future__ import annotations

import weakref
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

from gossip_price.core import events as ev
from gossip_price.core import votes, voting
from gossip_price.core.calendar import Calendar
from gossip_price.core.ending import Ending
from gossip_price.core.machine import Machine
from gossip_price.core.rounds import list_vote_keys
from gossip_price.core.types import Now
from gossip_price.core.votes import Votes
from gossip_price.core.voting import Voting
from gossip_price.engine import Turns
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import JournalError
from gossip_price.simulator.bugs.change import change_all, changed
from gossip_price.simulator.disk import SimulatedJournal


def sign_before_journal() -> AbstractContextManager[None]:
    original = Turns.take
    late: weakref.WeakKeyDictionary[Turns, list[ev.Record]] = weakref.WeakKeyDictionary()

    class Later:
        """Takes records now; they are written some turns later, many at once."""

        def __init__(self, turns: Any) -> None:
            self.records = late.setdefault(turns, [])
            self.read_proven = turns._journal.read_proven
            self.read_proven_range = turns._journal.read_proven_range

        def write(self, records: Any) -> None:
            self.records += records

    def take(self: Any, events: Any, now: Now) -> Any:
        journal, later = self._journal, Later(self)
        if len(later.records) > 8:
            with suppress(JournalError):
                journal.write(list(later.records))
                later.records.clear()
        self._journal = later
        try:
            return original(self, events, now)
        finally:
            self._journal = journal

    return changed(Turns, "take", take)


def skip_sync() -> AbstractContextManager[None]:
    original = SimulatedJournal.sync

    def sync(self: Any) -> None:
        if len(self._unsynced) > 40:
            original(self)

    def load(self: Any) -> Any:
        original(self)
        return loaded(self)

    loaded = SimulatedJournal.load

    return change_all(
        changed(SimulatedJournal, "sync", sync), changed(SimulatedJournal, "load", load)
    )


def sign_fallback_too() -> AbstractContextManager[None]:
    def list_keys(
        document: Any, chain: Any, pair: str, round_start: int, proposer: bytes
    ) -> list[str]:
        return [f"{pair}|{round_start}|{proposer.hex()}"]

    return changed(votes, "list_vote_keys", list_keys)


def forget_birth() -> AbstractContextManager[None]:
    original = Voting.__init__

    def init(self: Any, **given: Any) -> None:
        original(self, **(given | {"birth_ms": 0}))

    return changed(Voting, "__init__", init)


def forget_highest_round() -> AbstractContextManager[None]:
    original = Calendar.__init__

    def init(self: Any, **given: Any) -> None:
        original(self, **given)
        self.highest = 0

    return changed(Calendar, "__init__", init)


def forget_votes() -> AbstractContextManager[None]:
    """The machine forgets, and the journal, which would refuse the second vote, lets it pass."""
    original = Votes.__init__

    def init(self: Any, remembered: Any, *given: Any) -> None:
        original(self, (), *given)

    return change_all(
        changed(Votes, "__init__", init),
        changed(SimulatedJournal, "_refuse_contradictions", lambda self, records: None),
        changed(SimulatedJournal, "_apply", _overwrite),
    )


def _overwrite(self: Any, record: ev.Record) -> None:
    if isinstance(record, ev.Vote):
        self.votes[record.key] = record
    else:
        _apply(self, record)


_apply: Final = SimulatedJournal._apply


def skip_deviation() -> AbstractContextManager[None]:
    return changed(voting, "is_within_deviation", lambda price, own, max_deviation_bp: True)


def sign_closed_rounds() -> AbstractContextManager[None]:
    return change_all(
        changed(voting, "is_over", lambda *given: False),
        changed(Calendar, "is_closed", lambda *given: False),
    )


def vote_in_each_epoch() -> AbstractContextManager[None]:
    """Take a round of another epoch for another round."""

    def list_keys(
        document: Any, chain: Any, pair: str, round_start: int, proposer: bytes
    ) -> list[str]:
        keys = list_vote_keys(document, chain, pair, round_start, proposer)
        return [f"{key}|{document.epoch}" for key in keys]

    return changed(votes, "list_vote_keys", list_keys)


def bind_by_own_mode() -> AbstractContextManager[None]:
    """A vote of a round's other mode, under the epoch before, binds nobody."""

    def list_keys(*given: Any) -> list[str]:
        return list_vote_keys(*given)[:1]

    return changed(votes, "list_vote_keys", list_keys)


def sign_again_however_late() -> AbstractContextManager[None]:
    """What a full disk kept from being signed is signed when there is space, whenever that is."""

    def sign_again(self: Any, now: Now) -> None:
        for vote in self._votes.list_unsigned():
            self._effects.remember(vote)
            self._effects.append(ev.Sign(vote.id))

    return changed(Voting, "sign_again", sign_again)


def keep_old_rounds() -> AbstractContextManager[None]:
    """Go on with rounds that were begun under an epoch not in force for them."""
    return changed(Ending, "_rebind", lambda self, round_: None)


def go_back() -> AbstractContextManager[None]:
    return changed(EpochChain, "find_return", lambda self, epoch, hash_: None)


def know_all_protocols() -> AbstractContextManager[None]:
    original = Machine.__init__

    def init(self: Any, **given: Any) -> None:
        original(self, **(given | {"protocols": frozenset(range(9))}))

    return changed(Machine, "__init__", init)
