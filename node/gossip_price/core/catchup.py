"""Catching up: whose tree of a day differs from ours, and what of it to ask for next.

Pull only: who lacks something asks, and the other side, which sees our roots, asks in its turn.
A tree is walked from its root by the hashes that its holder has committed itself to in a signed
heartbeat, so that a false node proves a lie; what is in the entries at the end of the walk is the
machine's affair. Knows ids, bits, places and times; everything that a liar can make us do is
counted against what it gave (docs/decisions/0007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from gossip_price.core.forest import Forest, Root, Roots, decode_roots
from gossip_price.core.limits import (
    ASK_IDS_MAX,
    ASK_SIGNATURES_MAX,
    CATCHUP_PATIENCE_AHEAD,
    CATCHUP_PATIENCE_MS,
    WALK_BACKOFF_MAX_MS,
    WALK_BACKOFF_MS,
    WALK_NODES_A_GAIN,
    WALK_NODES_ASK_MAX,
    WALK_NODES_FREE,
    WALK_PACE_MS,
    WALKS_MAX,
)
from gossip_price.core.merkle import Leaf, Tree, compute_node_hash, decode_node
from gossip_price.core.questions import Question, Want, WantNodes
from gossip_price.core.rounds import compute_jitter_ms
from gossip_price.core.wire import WireError
from gossip_price.network.document import DAY_S

FindMissing = Callable[[bytes, int], int]
"""(id, signers that somebody has, as bits) → those of them that we lack and could take."""

_NOTHING: Final = Tree()


class _Peer:
    """A peer whose roots have differed from ours."""

    __slots__ = ("differing", "failures", "ready_ms")

    def __init__(self) -> None:
        #: Since when (mono_ms) its root of a day has differed, at every look.
        self.differing: dict[int, int] = {}
        #: Not walked before this.
        self.ready_ms = 0
        self.failures = 0


class _Walk:
    """The way down one peer's tree of one day."""

    __slots__ = ("asked", "day", "due_ms", "gained", "places", "visited", "wanted")

    def __init__(self, day: int, root: bytes, due_ms: int) -> None:
        self.day = day
        #: Nodes still to be asked for, (place, hash); the last first, so that few wait: of each
        #: level no more than one question's parts.
        self.places: list[tuple[str, bytes]] = [("", root)]
        #: Ids found that we lack something of, with the peer's bits.
        self.wanted: dict[bytes, int] = {}
        self.asked: Question | None = None
        self.due_ms: int | None = due_ms
        self.visited = 0
        self.gained = 0

    @property
    def may_look(self) -> bool:
        """More nodes may be looked at for what was gained so far."""
        return self.visited < WALK_NODES_FREE + WALK_NODES_A_GAIN * self.gained


class End(NamedTuple):
    """A walk's end: whose tree, of which day, how many nodes were looked at, ids gained."""

    peer: str
    day: int
    visited: int
    gained: int


class Catchup:
    """Walks over others' trees. `me` is our address; peers are libp2p peer ids; times monotonic."""

    def __init__(self, me: bytes) -> None:
        self._me = me
        self._peers: dict[str, _Peer] = {}
        self._walks: dict[str, _Walk] = {}

    # --- whose roots differ -------------------------------------------------------------------

    def process_roots(self, peer: str, data: bytes, forest: Forest, mono_ms: int) -> bool:
        """Take the roots of a peer's new heartbeat; tell whether a walk begins.

        It does if one has differed for long. In peace they are ours byte for byte, and that is
        all there is to do.
        """
        holder = self._peers.get(peer)
        if data == forest.encode_roots():
            if holder is not None:
                holder.differing.clear()
            return False
        theirs = decode_roots(data)
        if holder is None:
            holder = self._peers[peer] = _Peer()
        differing = holder.differing
        for day in differing.keys() - theirs.days.keys():
            del differing[day]
        for day, root in theirs.days.items():
            if not _is_comparable(day, theirs, forest):
                continue
            tree = forest.get_tree(day)
            if tree is not None and tree.root == root.hash:
                differing.pop(day, None)
            else:
                differing.setdefault(day, mono_ms)
        may_walk = len(self._walks) < WALKS_MAX and peer not in self._walks
        if not may_walk or mono_ms < holder.ready_ms:
            return False
        return self._begin(peer, holder, theirs, forest, mono_ms)

    def _begin(self, peer: str, holder: _Peer, theirs: Roots, forest: Forest, mono_ms: int) -> bool:
        """Begin to walk the newest day that has differed for long and nobody else is walked for."""
        walked = {walk.day for walk in self._walks.values()}
        patience_ms = CATCHUP_PATIENCE_MS + compute_jitter_ms(
            self._me, theirs.cut, CATCHUP_PATIENCE_MS
        )
        for day in sorted(holder.differing.keys() - walked, reverse=True):
            root = theirs.days[day]
            if mono_ms >= holder.differing[day] + patience_ms * _compute_factor(day, root, forest):
                self._walks[peer] = _Walk(day, root.hash, mono_ms)
                return True
        return False

    # --- asking -------------------------------------------------------------------------------

    def take_question(
        self, forest: Forest, find_missing: FindMissing, busy: Callable[[str], bool], mono_ms: int
    ) -> tuple[str, Question] | End | None:
        """Return a peer and what to ask it now, or a walk that has ended; None when none is due.

        A peer that is `busy` with another question of ours is asked after that.
        """
        for peer, walk in self._walks.items():
            if walk.due_ms is None or walk.due_ms > mono_ms:
                continue
            if busy(peer):
                walk.due_ms = mono_ms + WALK_PACE_MS
                continue
            question = _choose(walk, forest.get_tree(walk.day) or _NOTHING, find_missing)
            if question is None:
                return self._end(peer, mono_ms, is_blamed=True)
            walk.asked, walk.due_ms = question, None
            return peer, question
        return None

    def get_question(self, peer: str) -> Question | None:
        """Return the question that this peer has not answered yet."""
        walk = self._walks.get(peer)
        return walk.asked if walk is not None else None

    def is_asking(self, peer: str) -> bool:
        """Tell whether this peer has not answered yet."""
        return self.get_question(peer) is not None

    def process_nodes(
        self,
        peer: str,
        nodes: Sequence[bytes],
        forest: Forest,
        find_missing: FindMissing,
        mono_ms: int,
    ) -> str:
        """Take the nodes that a peer was asked for; return why they are a lie, or no text.

        A node that is no more (its tree has grown since) comes as no bytes and is passed over.
        """
        walk = self._walks[peer]
        asked, walk.asked = walk.asked, None
        if not isinstance(asked, WantNodes) or len(nodes) != len(asked.nodes):
            return "unasked"
        tree = forest.get_tree(walk.day) or _NOTHING
        for (place, hash_), data in zip(asked.nodes, nodes, strict=True):
            walk.visited += 1
            if not data:
                continue
            # [reject] a node that is not the one of this hash
            if compute_node_hash(data) != hash_:
                return "false_node"
            # [reject] a node that no honest tree has, under a hash that the peer gave itself
            try:
                node = decode_node(place, data)
            except WireError:
                return "false_node"
            if isinstance(node, Leaf):
                walk.wanted.update(
                    (id_, bits) for id_, bits in node.items.items() if find_missing(id_, bits)
                )
            else:
                walk.places += [
                    part for part in node.parts.items() if tree.find_hash(part[0]) != part[1]
                ]
        walk.due_ms = mono_ms + WALK_PACE_MS
        return ""

    def process_entries(self, peer: str, gained: int, mono_ms: int) -> End | None:
        """The peer has answered with entries, of which so many brought something new.

        One that gives nothing of what its tree names is not asked on.
        """
        walk = self._walks[peer]
        walk.asked = None
        walk.gained += gained
        if not gained:
            return self._end(peer, mono_ms, is_blamed=True)
        walk.due_ms = mono_ms + WALK_PACE_MS
        return None

    def process_failure(self, peer: str, mono_ms: int, *, is_its_own: bool) -> End:
        """The peer gave no answer, or a lie; `is_its_own` tells whether it is left alone for it."""
        return self._end(peer, mono_ms, is_blamed=is_its_own)

    def _end(self, peer: str, mono_ms: int, *, is_blamed: bool) -> End:
        walk = self._walks.pop(peer)
        holder = self._peers.setdefault(peer, _Peer())
        # If it still differs, it has to do so for a while again.
        holder.differing.pop(walk.day, None)
        if walk.visited <= WALK_NODES_A_GAIN * walk.gained:
            holder.failures = 0
        elif is_blamed:
            delay_ms = WALK_BACKOFF_MS << min(holder.failures, 8)
            holder.ready_ms = mono_ms + min(WALK_BACKOFF_MAX_MS, delay_ms)
            holder.failures += 1
        return End(peer, walk.day, walk.visited, walk.gained)

    def get_deadline_ms(self) -> int | None:
        """Return when the next question is due; None while no walk waits for its time."""
        if not self._walks:
            return None
        due = (walk.due_ms for walk in self._walks.values() if walk.due_ms is not None)
        return min(due, default=None)

    def forget_all_but(self, peers: frozenset[str]) -> None:
        """Drop who is on no roster any more and owes us no answer."""
        for peer in self._peers.keys() - peers:
            if not self.is_asking(peer):
                self._walks.pop(peer, None)
                del self._peers[peer]


def _is_comparable(day: int, theirs: Roots, forest: Forest) -> bool:
    """Tell whether both have taken up the same rounds of this day: all, or up to one cut."""
    if not forest.keeps(day):
        return False
    return theirs.cut == forest.cut or min(theirs.cut, forest.cut) >= (day + 1) * DAY_S


def _compute_factor(day: int, root: Root, forest: Forest) -> int:
    """Return how many times as long to wait: longer if we seem to be the one that has more."""
    tree = forest.get_tree(day)
    return CATCHUP_PATIENCE_AHEAD if tree and tree.signatures >= root.signatures else 1


def _choose(walk: _Walk, tree: Tree, find_missing: FindMissing) -> Question | None:
    """Return what to ask next: nodes until a question's worth of ids is found, then entries."""
    while walk.places and walk.may_look and len(walk.wanted) < ASK_IDS_MAX:
        taken = walk.places[-WALK_NODES_ASK_MAX:]
        del walk.places[-WALK_NODES_ASK_MAX:]
        # Another walk, or gossip, may have brought it meanwhile.
        nodes = tuple(part for part in taken if tree.find_hash(part[0]) != part[1])
        if nodes:
            return WantNodes(walk.day, nodes)
    ids: list[bytes] = []
    signatures = 0
    for id_ in list(islice(walk.wanted, ASK_IDS_MAX)):
        signatures += walk.wanted[id_].bit_count()
        if ids and signatures > ASK_SIGNATURES_MAX:
            break
        if find_missing(id_, walk.wanted.pop(id_)):
            ids.append(id_)
    if ids:
        return Want(tuple(ids))
    # All that was found has come from elsewhere meanwhile: there may be more where nobody looked.
    goes_on = walk.wanted or (walk.places and walk.may_look)
    return _choose(walk, tree, find_missing) if goes_on else None
