"""The rounds in which something may still be observed, proposed or signed, by pair and start.

Knows when a look at them is due; who looks decides.
"""

from __future__ import annotations

from gossip_price.core.calendar import Entered
from gossip_price.core.limits import OBSERVE_JITTER_MS
from gossip_price.core.rounds import Round, compute_jitter_ms
from gossip_price.core.types import Now, Observation
from gossip_price.network.document import Document


class OpenRounds:
    """Rounds from the first that was heard of them until they are given up. `me`: our address."""

    def __init__(self, me: bytes) -> None:
        self._me = me
        self._rounds: dict[tuple[str, int], Round] = {}

    def list_all(self) -> list[Round]:
        """Return all of them, in the order in which they were begun."""
        return list(self._rounds.values())

    def find(self, pair: str, start: int) -> Round | None:
        """Return this round, if it is open."""
        return self._rounds.get((pair, start))

    def find_observation(self, pair: str, start: int) -> Observation | None:
        """Return what we have observed ourselves in this round, while it is open."""
        round_ = self._rounds.get((pair, start))
        return None if round_ is None else round_.observation

    def get(self, document: Document, pair: str, start: int) -> Round:
        """Return this round, begun under `document` if it was not open."""
        round_ = self._rounds.get((pair, start))
        if round_ is None:
            round_ = self._rounds[pair, start] = Round(document, pair, start)
        return round_

    def enter(self, entered: Entered) -> None:
        """Our clock has entered a round: let each pair be observed, and proposed by who may."""
        document, start, is_boot = entered
        is_member = self._me in document.index_by_address
        for terms in document.pairs:
            round_ = self.get(document, terms.pair, start)
            jitter = compute_jitter_ms(
                self._me, start, min(OBSERVE_JITTER_MS, document.interval * 50)
            )
            round_.observe_wall_ms = start * 1000 + jitter if is_member else None
            # In the round of our start we may have missed what was proposed: others lead.
            round_.may_propose = round_.is_expected = is_member and not is_boot

    def drop(self, round_: Round) -> None:
        """It is open no more."""
        del self._rounds[round_.pair, round_.start]

    def compute_due_ms(self, next_ms: int, now: Now) -> int:
        """Return the wall time at which a round needs a look, whatever happens before.

        `next_ms`: when the next one begins.
        """
        dues = (round_.compute_due_ms(self._me, now) for round_ in self._rounds.values())
        return min(next_ms, min(dues, default=next_ms))
