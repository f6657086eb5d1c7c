"""Who is when: rounds by the clock, who proposes and who writes in which order; one round's state.

Every function here is a pure function of documents and times, so all members agree.
"""

from __future__ import annotations

from collections.abc import Iterable

from gossip_price.core.limits import ROUND_GRACE_MS
from gossip_price.core.quorum import Tally
from gossip_price.core.types import Now, Observation
from gossip_price.crypto import keccak256
from gossip_price.network.document import Document, Mode
from gossip_price.network.epochs import EpochChain


def order_proposers(document: Document, pair: str, round_start: int) -> tuple[bytes, ...]:
    """Return the roster's addresses in the order in which they may propose.

    Ordered by keccak256(epoch ‖ keccak256(pair) ‖ round as 8 bytes ‖ address), so that nobody
    is first for ever and nobody can choose to be.
    """
    seed = document.hash + keccak256(pair.encode()) + round_start.to_bytes(8, "big")
    return tuple(sorted(document.addresses, key=lambda address: keccak256(seed + address)))


def get_rank_time_ms(document: Document, round_start: int, rank: int) -> int:
    """Return the wall time at which `rank` may propose; in `EveryNode` all may at once."""
    if document.mode is Mode.EVERY_NODE:
        rank = 0
    return (round_start + rank * document.fallback_delay) * 1000


def order_writers(store: bytes, slot: int, members: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return `members` (addresses) in the order in which they may write the slot's batch.

    Ordered by keccak256(store id ‖ slot as 8 bytes ‖ address).
    """
    seed = store + slot.to_bytes(8, "big")
    return tuple(sorted(members, key=lambda address: keccak256(seed + address)))


def is_too_early(document: Document, round_start: int, now: Now) -> bool:
    """Tell whether the round starts later than our clock's skew allows."""
    return now.wall_ms < (round_start - document.skew) * 1000


def is_over(document: Document, round_start: int, now: Now) -> bool:
    """Tell whether the round ended longer ago than the skew allows."""
    return now.wall_ms >= (round_start + document.interval + document.skew) * 1000


def get_vote_key(document: Document, pair: str, round_start: int, proposer: bytes) -> str:
    """Return the key under which a member signs at most one report, ever."""
    if document.mode is Mode.ROUNDS:
        return f"{pair}|{round_start}"
    return f"{pair}|{round_start}|{proposer.hex()}"


def list_vote_keys(
    document: Document, chain: EpochChain, pair: str, round_start: int, proposer: bytes
) -> list[str]:
    """Return the keys of which one vote at most may exist beside a vote in `document`.

    Its own key first. A round that another epoch of another mode had before (a node that heard
    of the new one late has signed there) is the same round: one price of it is signed in all.
    """
    keys = [get_vote_key(document, pair, round_start, proposer)]
    others = [other for other in chain.documents if other.mode is not document.mode]
    if document.mode is Mode.EVERY_NODE:
        return keys + [f"{pair}|{round_start}"] * bool(others)
    proposers = {address for other in others for address in other.addresses}
    return keys + [get_vote_key(others[0], pair, round_start, address) for address in
                   sorted(proposers)]  # fmt: skip


def compute_jitter_ms(address: bytes, round_start: int, jitter_ms_max: int) -> int:
    """Return this member's delay into the round: spread over members, the same every time."""
    digest = keccak256(address + round_start.to_bytes(8, "big"))
    return int.from_bytes(digest[:4], "big") % (jitter_ms_max + 1)


def compute_close_ms(document: Document, round_start: int) -> int:
    """Return the wall time at which a round is given up."""
    return (round_start + document.interval + document.skew) * 1000 + ROUND_GRACE_MS


class Round:
    """What a member knows of one round of one pair. Decides nothing."""

    def __init__(self, document: Document, pair: str, start: int) -> None:
        self.document = document
        self.pair = pair
        self.start = start
        self.order = order_proposers(document, pair, start)
        self.close_ms = compute_close_ms(document, start)
        self.tallies: dict[bytes, Tally] = {}
        self.undecided: dict[bytes, None] = {}
        self.observation: Observation | None = None
        self.observe_wall_ms: int | None = None
        self.fetching = False
        self.fetches = 0
        self.may_propose = False
        self.is_expected = False

    def get_rank_time_ms(self, proposer: bytes) -> int:
        """Return the wall time from which a proposal of this member may be signed."""
        return get_rank_time_ms(self.document, self.start, self.order.index(proposer))

    def compute_due_ms(self, me: bytes, now: Now) -> int:
        """Return the wall time at which this round needs a look by `me`, if nothing happens."""
        dues = [self.close_ms]
        if self.observe_wall_ms is not None and not self.fetches:
            dues.append(self.observe_wall_ms)
        if self.may_propose and self.observation is not None:
            dues.append(self.get_rank_time_ms(me))
        for id_ in self.undecided:
            rank_ms = self.get_rank_time_ms(self.tallies[id_].report.proposer)
            # No report is signed before its rank's time, so that none is too early after it.
            if rank_ms > now.wall_ms:
                dues.append(rank_ms)
        return min(dues)
