"""Healing: who has signatures that we lack, whom to ask for them, and when to leave a peer be.

Only the one who lacks something acts, on what it heard in heartbeats: nothing is pushed, so that
nobody sends to many what one of them needs (docs/decisions/0005). A heartbeat is a promise to
give what it names; a peer that breaks it is asked ever more seldom. Knows ids, bits and times;
what an answer holds, and whether it is true, is the machine's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gossip_price.core.limits import (
    ANSWERS_A_SECOND,
    ASK_AGAIN_MS,
    ASK_BACKOFF_MAX_MS,
    ASK_IDS_MAX,
    ASK_SIGNATURES_MAX,
    ASKS_MAX,
    HEARTBEAT_MS,
)

FindMissing = Callable[[bytes, int], int]
"""(id, signers that somebody has, as bits) → those of them that we lack and could take."""

#: A peer's next question after an answer that left something to ask for.
_NEXT_MS: Final = 100
#: Another peer is being asked for the same: this long until the next look.
_LOOK_AGAIN_MS: Final = 1_000
#: Peers whose questions are counted within a second.
_ASKERS_MAX: Final = 1_024


def _is_free(peer: str) -> bool:
    del peer
    return False


class _Holder:
    """A peer, and what of its newest heartbeat we lacked."""

    __slots__ = ("asked", "claims", "due_ms", "failures", "ready_ms", "under_way")

    def __init__(self) -> None:
        #: Signers that it has, as bits, by id.
        self.claims: Mapping[bytes, int] = {}
        #: What it was asked for and when: (bits that it claimed, mono_ms), by id.
        self.asked: dict[bytes, tuple[int, int]] = {}
        #: Ids of the question that it has not answered yet, with the bits that it claimed.
        self.under_way: dict[bytes, int] = {}
        #: When its claims are looked at; None while there is nothing to look at.
        self.due_ms: int | None = None
        #: Not asked before this.
        self.ready_ms = 0
        self.failures = 0


class Healing:
    """What we lack, by the peer that has it. Peers are libp2p peer ids; times monotonic."""

    def __init__(self) -> None:
        self._holders: dict[str, _Holder] = {}
        self._under_way: set[bytes] = set()
        self._asks = 0
        self._second = 0
        self._askers: dict[str, int] = {}

    # --- asking -------------------------------------------------------------------------------

    def has_claims(self, peer: str) -> bool:
        """Tell whether this peer's newest heartbeat named something that we lacked then."""
        holder = self._holders.get(peer)
        return holder is not None and bool(holder.claims or holder.asked)

    def process_claims(self, peer: str, claims: Mapping[bytes, int], due_ms: int) -> None:
        """Take what a peer's new heartbeat names and we lack; look again at `due_ms`.

        By then gossip has most likely brought it.
        """
        holder = self._holders.get(peer)
        if holder is None:
            if not claims:
                return
            holder = self._holders[peer] = _Holder()
        holder.claims = claims
        holder.asked = {id_: asked for id_, asked in holder.asked.items() if id_ in claims}
        if not claims:
            holder.due_ms = None
        elif holder.due_ms is None and not holder.under_way:
            holder.due_ms = max(due_ms, holder.ready_ms)

    def take_question(
        self, find_missing: FindMissing, mono_ms: int, busy: Callable[[str], bool] = _is_free
    ) -> tuple[str, tuple[bytes, ...]] | None:
        """Return a peer and the ids to ask it for now; None when nobody is to be asked.

        Who is `busy` with another question of ours is asked after that.
        """
        if self._asks >= ASKS_MAX:
            return None
        for peer, holder in self._holders.items():
            if holder.due_ms is None or holder.due_ms > mono_ms:
                continue
            if busy(peer):
                holder.due_ms = mono_ms + _NEXT_MS
                continue
            holder.due_ms = None
            wanted = self._choose(holder, find_missing, mono_ms)
            if not wanted:
                continue
            # Who was asked is looked at last next time: the work goes around.
            self._holders[peer] = self._holders.pop(peer)
            holder.under_way, holder.due_ms = wanted, None
            self._under_way |= wanted.keys()
            self._asks += 1
            return peer, tuple(wanted)
        return None

    def _choose(self, holder: _Holder, find_missing: FindMissing, mono_ms: int) -> dict[bytes, int]:
        """Return the ids, with their claimed bits, for one question; set when to look again."""
        wanted: dict[bytes, int] = {}
        signatures = 0
        for id_, bits in holder.claims.items():
            if not find_missing(id_, bits):
                continue
            asked_bits, asked_ms = holder.asked.get(id_, (0, 0))
            if bits & ~asked_bits == 0 and mono_ms < asked_ms + ASK_AGAIN_MS:
                continue
            if id_ in self._under_way:
                holder.due_ms = mono_ms + _LOOK_AGAIN_MS
                continue
            signatures += bits.bit_count()
            if len(wanted) >= ASK_IDS_MAX or (wanted and signatures > ASK_SIGNATURES_MAX):
                break
            wanted[id_] = bits
        return wanted

    def get_question(self, peer: str) -> frozenset[bytes]:
        """Return the ids of the question that this peer has not answered yet; empty if none."""
        holder = self._holders.get(peer)
        return frozenset(holder.under_way) if holder is not None else frozenset()

    def process_answer(self, peer: str, given: Mapping[bytes, int], mono_ms: int) -> None:
        """The peer has answered with these ids, signed by these members (as bits).

        It kept its promise if it gave something that it had claimed.
        """
        holder = self._holders.get(peer)
        if holder is None or not holder.under_way:
            return
        promised = holder.under_way
        self._end(holder)
        for id_, bits in promised.items():
            holder.asked[id_] = (bits, mono_ms)
        if any(promised[id_] & ~bits == 0 for id_, bits in given.items() if id_ in promised):
            holder.failures = 0
            holder.due_ms = mono_ms + _NEXT_MS
        else:
            holder.claims = {}
            self._back_off(holder, mono_ms)

    def process_failure(self, peer: str, mono_ms: int, *, is_its_own: bool) -> None:
        """The peer gave no answer; `is_its_own` tells whether it is to be asked more seldom."""
        holder = self._holders.get(peer)
        if holder is None or not holder.under_way:
            return
        self._end(holder)
        holder.claims = {}  # its next heartbeat, if there is one, names them again
        if is_its_own:
            self._back_off(holder, mono_ms)

    def _end(self, holder: _Holder) -> None:
        self._under_way -= holder.under_way.keys()
        holder.under_way = {}
        self._asks -= 1

    def _back_off(self, holder: _Holder, mono_ms: int) -> None:
        holder.ready_ms = mono_ms + min(ASK_BACKOFF_MAX_MS, HEARTBEAT_MS << min(holder.failures, 9))
        holder.failures += 1

    def get_deadline_ms(self) -> int | None:
        """Return when the next peer's claims are to be looked at; None while nobody's are."""
        if self._asks >= ASKS_MAX:
            return None
        due = [holder.due_ms for holder in self._holders.values() if holder.due_ms is not None]
        return min(due, default=None)

    def forget_all_but(self, peers: frozenset[str]) -> None:
        """Drop who is on no roster any more and owes us no answer."""
        for peer in self._holders.keys() - peers:
            if not self._holders[peer].under_way:
                del self._holders[peer]

    # --- being asked --------------------------------------------------------------------------

    def may_answer(self, peer: str, mono_ms: int) -> bool:
        """Count a question of this peer; tell whether it is within what one peer may ask."""
        second = mono_ms // 1000
        if second != self._second:
            self._second, self._askers = second, {}
        count = self._askers.get(peer, 0)
        if count >= ANSWERS_A_SECOND or (not count and len(self._askers) >= _ASKERS_MAX):
            return False
        self._askers[peer] = count + 1
        return True
