"""What binds us: by key the one report that we sign, ever, and which votes wait for a signature.

A vote is in the journal before it is signed; the engine holds to that order. Why we vote is
`voting`'s affair.
"""

from __future__ import annotations

from collections.abc import Iterable

from gossip_price.core import events as ev
from gossip_price.core.calendar import Calendar
from gossip_price.core.effects import StepEffects
from gossip_price.core.rounds import Round, list_vote_keys
from gossip_price.core.types import Report


class Votes:
    """Our votes of this life and of earlier ones."""

    def __init__(
        self, remembered: Iterable[ev.Vote], calendar: Calendar, effects: StepEffects
    ) -> None:
        self._calendar = calendar
        self._effects = effects
        self._votes = {vote.key: vote for vote in remembered}
        self._unsigned: dict[bytes, ev.Vote] = {}

    def find(self, round_: Round, proposer: bytes) -> list[ev.Vote]:
        """Return what binds us already where we are to vote for a report of `proposer`."""
        keys = self._list_keys(round_, proposer)
        return [self._votes[key] for key in keys if key in self._votes]

    def bind(self, round_: Round, id_: bytes, report: Report) -> None:
        """Bind ourselves to this report; the engine journals the vote before it signs."""
        key = self._list_keys(round_, report.proposer)[0]
        vote = self._votes[key] = ev.Vote(key, id_, report)
        self._unsigned[id_] = vote
        self._effects.remember(vote)
        self._effects.append(ev.Sign(id_))

    def _list_keys(self, round_: Round, proposer: bytes) -> list[str]:
        document, chain = round_.document, self._calendar.chain
        return list_vote_keys(document, chain, round_.pair, round_.start, proposer)

    def is_unsigned(self, id_: bytes) -> bool:
        """Tell whether the signature of a vote for this report is under way."""
        return id_ in self._unsigned

    def list_unsigned(self) -> tuple[ev.Vote, ...]:
        """Return the votes that are not signed yet."""
        return tuple(self._unsigned.values())

    def take_unsigned(self, id_: bytes) -> bool:
        """The vote for this report is signed, or its round given up; tell whether it waited."""
        return self._unsigned.pop(id_, None) is not None

    def forget_before(self, oldest: int) -> None:
        """Drop votes of rounds before this one, in which nothing can be signed any more."""
        self._votes = {
            key: vote for key, vote in self._votes.items() if vote.report.round >= oldest
        }
