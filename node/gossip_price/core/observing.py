"""Observing: what our own price sources say of a round's pair, fetched when the round begins.

Decides when to fetch and whether what came is of that round; `voting` compares with it.
"""

from __future__ import annotations

from gossip_price.core import events as ev
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.limits import OBSERVE_MAX_MS
from gossip_price.core.open_rounds import OpenRounds
from gossip_price.core.presence import Presence
from gossip_price.core.rounds import Round
from gossip_price.core.testimony import Seen
from gossip_price.core.types import Now


class Observing:
    """Fetches for open rounds."""

    def __init__(self, rounds: OpenRounds, presence: Presence, effects: StepEffects) -> None:
        self._rounds = rounds
        self._presence = presence
        self._effects = effects

    def observe(self, round_: Round, now: Now) -> None:
        """Fetch once at the round's start, so that members compare prices of one moment."""
        if round_.observe_wall_ms is None or round_.fetches or now.wall_ms < round_.observe_wall_ms:
            return
        self.fetch(round_)

    def fetch(self, round_: Round) -> None:
        """Look at the sources now."""
        document = round_.document
        round_.fetching = True
        round_.fetches += 1
        deadline_ms = min(OBSERVE_MAX_MS, document.interval * 500)
        terms = document.terms_by_pair[round_.pair]
        self._effects.append(ev.Fetch(terms, round_.start, deadline_ms))

    def process_observation(self, event: ev.Observed) -> None:
        """Take what the sources said, if it is of the round for which they were asked."""
        observation = event.observation
        round_ = self._rounds.find(observation.pair, event.round)
        if round_ is None:
            return
        terms = round_.document.terms_by_pair[round_.pair]
        if event.terms.decimals != terms.decimals:
            # Asked for under the epoch before: the same digits would mean another price.
            return
        round_.fetching = False
        if round_.document.get_round(observation.observed_at) != event.round:
            # It took until the next round: a price of another moment.
            self.process_no_observation(ev.NotObserved(round_.pair, round_.start, "late"))
            return
        if not terms.min_price <= observation.price <= terms.max_price:
            # Everybody would reject our report, and hold it against us.
            self.process_no_observation(ev.NotObserved(round_.pair, round_.start, "price_range"))
            return
        round_.observation = observation
        self._presence.process_observation(Seen(round_.pair, round_.start, observation.price))
        self._effects.note(
            NoteKind.OBSERVED,
            pair=round_.pair,
            round=round_.start,
            price=observation.price,
            decimals=terms.decimals,
            count=len(observation.sources),
        )

    def process_no_observation(self, event: ev.NotObserved) -> None:
        """The sources said nothing that could be used."""
        round_ = self._rounds.find(event.pair, event.round)
        if round_ is not None:
            round_.fetching = False
        self._effects.note(
            NoteKind.NOT_OBSERVED, pair=event.pair, round=event.round, reason=event.reason
        )
