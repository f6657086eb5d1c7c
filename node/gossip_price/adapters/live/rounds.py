"""The newest rounds as this node saw them: who saw which price, who signed, what became of it.

Memory only, and bounded. Gathers; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gossip_price.core.rounds import compute_close_ms
from gossip_price.network.document import Document

#: Rounds kept, of all pairs together: of one pair at 15 s two hours, of 20 pairs six minutes. With
#: four members one takes about 2 KB, with 256 members 40 KB: 20 MB at most.
ROUNDS_MAX: Final = 512
#: Reports of one round that are shown: all of an honest round in `Rounds`; in `EveryNode` there is
#: one a member.
PROPOSALS_MAX: Final = 256


@dataclass
class Proposal:
    """One report of a round. Times in Unix milliseconds by this node's clock."""

    id: bytes
    proposer: bytes
    price: int
    decimals: int
    needed: int
    signers: dict[bytes, None] = field(default_factory=dict)
    last_signed_ms: int | None = None
    proven_ms: int | None = None
    settled_ms: int | None = None
    stored_ms: int | None = None

    def compute_settles_ms(self, document: Document) -> int | None:
        """Return when it settles if nobody else signs, as the protocol has it."""
        if self.proven_ms is None:
            return None
        signed_ms = self.proven_ms if self.last_signed_ms is None else self.last_signed_ms
        return min(signed_ms + document.settle * 1000, self.proven_ms + document.settle_cap * 1000)


@dataclass
class RoundSeen:
    """One round of one pair."""

    document: Document
    pair: str
    start: int
    proposals: dict[bytes, Proposal] = field(default_factory=dict)
    observations: dict[bytes, int] = field(default_factory=dict)
    lost_reason: str | None = None

    def get_state(self, now_ms: int) -> str:
        """Return how far it has come."""
        proposals = self.proposals.values()
        if any(one.stored_ms is not None for one in proposals):
            return "stored"
        if any(one.settled_ms is not None for one in proposals):
            return "settled"
        if any(one.proven_ms is not None for one in proposals):
            return "proven"
        # The machine tells of a lost round only where it took part from the beginning.
        if self.lost_reason is not None or now_ms >= compute_close_ms(self.document, self.start):
            return "lost"
        if proposals:
            return "proposed"
        return "observed" if self.observations else "waiting"


class RoundBook:
    """The newest rounds, by (start, pair)."""

    def __init__(self, size: int = ROUNDS_MAX) -> None:
        self._size = size
        self._rounds: dict[tuple[int, str], RoundSeen] = {}

    def find(self, pair: str, start: int) -> RoundSeen | None:
        """Return a round that is here."""
        return self._rounds.get((start, pair))

    def add(self, document: Document, pair: str, start: int) -> RoundSeen | None:
        """Return this round, made if need be; None if it is older than all that there is room for.

        The oldest makes room.
        """
        key = (start, pair)
        if key not in self._rounds:
            if len(self._rounds) >= self._size:
                oldest = min(self._rounds)
                if key < oldest:
                    return None
                del self._rounds[oldest]
            self._rounds[key] = RoundSeen(document, pair, start)
        return self._rounds[key]

    def __iter__(self) -> Iterator[RoundSeen]:
        """Give the rounds, newest first, pairs by name."""
        return iter(sorted(self._rounds.values(), key=lambda seen: (-seen.start, seen.pair)))
