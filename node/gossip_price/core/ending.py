"""A round's end: what was proven is kept, everything else is given up."""

from __future__ import annotations

from gossip_price.core.calendar import Calendar
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.open_rounds import OpenRounds
from gossip_price.core.quorum import Tally
from gossip_price.core.reports import Reports
from gossip_price.core.rounds import Round
from gossip_price.core.types import Now
from gossip_price.core.votes import Votes


class Ending:
    """Ends open rounds: by the clock, or because another epoch turns out to be in force."""

    def __init__(
        self,
        *,
        calendar: Calendar,
        rounds: OpenRounds,
        reports: Reports,
        votes: Votes,
        effects: StepEffects,
    ) -> None:
        self._calendar = calendar
        self._rounds = rounds
        self._reports = reports
        self._votes = votes
        self._effects = effects

    def close(self, round_: Round, now: Now) -> None:
        """Give up what was not proven in time; tell why, once."""
        if now.wall_ms < round_.close_ms:
            return
        unproven = self._give_up(round_)
        if round_.is_expected and len(unproven) == len(round_.tallies):
            best = max((len(tally.signatures) for tally in unproven), default=0)
            reason = "split" if len(unproven) > 1 else "short" if unproven else "no_proposal"
            self._effects.note(
                NoteKind.ROUND_LOST,
                pair=round_.pair,
                round=round_.start,
                count=best,
                needed=round_.document.minimum_signers,
                reason=reason,
            )

    def _give_up(self, round_: Round) -> list[Tally]:
        """Forget a round but for what is proven; return what is not."""
        self._rounds.drop(round_)
        unproven = [tally for tally in round_.tallies.values() if not tally.is_proven]
        for tally in round_.tallies.values():
            self._votes.take_unsigned(tally.id)
        for tally in unproven:
            self._reports.drop(tally)
        return unproven

    def rebind_from(self, start: int) -> None:
        """Begin anew the rounds from this one on: other epochs than we knew are in force there."""
        for round_ in self._rounds.list_all():
            if round_.start >= start:
                self._rebind(round_)

    def _rebind(self, round_: Round) -> None:
        """Give up a round that we began under an epoch not in force for it; see it as it is.

        What is proven is kept, votes bind us as before, and what we saw is still what we saw.
        """
        self._give_up(round_)
        document = self._calendar.chain.get_in_force(round_.start)
        if document is None or not self._calendar.knows_rules(document):
            return
        terms = document.terms_by_pair.get(round_.pair)
        if terms != round_.document.terms_by_pair[round_.pair]:
            return
        seen = round_.observation
        if document.get_round(seen.observed_at if seen else round_.start) == round_.start:
            anew = self._rounds.get(document, round_.pair, round_.start)
            anew.observation, anew.fetching, anew.fetches = seen, round_.fetching, round_.fetches
