"""Whose tree to walk and how far: the bookkeeping alone, over trees made by hand."""

from __future__ import annotations

from collections.abc import Callable

from gossip_price.core.catchup import Catchup, End
from gossip_price.core.forest import Forest, Root, Roots, encode_roots
from gossip_price.core.limits import (
    ASK_IDS_MAX,
    CATCHUP_PATIENCE_MS,
    FOREST_SLOT_S,
    WALK_BACKOFF_MS,
    WALK_NODES_ASK_MAX,
    WALK_NODES_FREE,
    WALK_PACE_MS,
)
from gossip_price.core.merkle import Tree
from gossip_price.core.questions import WantNodes
from gossip_price.crypto import keccak256
from gossip_price.network.document import DAY_S
from networks import START

ME = b"m" * 20
TODAY = START // DAY_S
CUT = START + 12 * 3_600
#: Longer than the longest patience.
PATIENT_MS = 2 * CATCHUP_PATIENCE_MS + 1


def lack_all(_id: bytes, bits: int) -> int:
    return bits


def lack_none(_id: bytes, _bits: int) -> int:
    return 0


def is_free(_peer: str) -> bool:
    return False


def make_forest() -> Forest:
    forest = Forest()
    forest.close(CUT, TODAY)
    return forest


def make_tree(count: int, name: str = "id") -> Tree:
    tree = Tree()
    for number in range(count):
        tree.add(keccak256(f"{name} {number}".encode()), 0b111)
    return tree


def say(*trees: Tree, cut: int = CUT) -> bytes:
    """Return the roots of somebody who has these trees: today's, yesterday's, and so on."""
    return encode_roots(
        Roots(
            cut, {TODAY - ago: Root(tree.signatures, tree.root) for ago, tree in enumerate(trees)}
        )
    )


def begin(catchup: Catchup, peer: str, data: bytes, forest: Forest, mono_ms: int) -> int:
    """Let a peer say its roots until it is walked; return when that is."""
    assert not catchup.process_roots(peer, data, forest, mono_ms)
    mono_ms += PATIENT_MS
    assert catchup.process_roots(peer, data, forest, mono_ms)
    return mono_ms


def walk(
    catchup: Catchup,
    tree: Tree,
    forest: Forest,
    mono_ms: int,
    find_missing: Callable[[bytes, int], int] = lack_all,
    *,
    gained: int = 0,
) -> tuple[End, int]:
    """Answer all that is asked as a holder of this tree would; of ids give `gained` a question.

    Return how it ended, and for how many nodes it was asked.
    """
    nodes = 0
    while True:
        taken = catchup.take_question(forest, find_missing, is_free, mono_ms)
        assert taken is not None
        if isinstance(taken, End):
            return taken, nodes
        peer, question = taken
        if isinstance(question, WantNodes):
            nodes += len(question.nodes)
            given = [tree.find_node(*node) for node in question.nodes]
            assert not catchup.process_nodes(peer, given, forest, find_missing, mono_ms)
        else:
            end = catchup.process_entries(peer, gained, mono_ms)
            if end is not None:
                return end, nodes
        mono_ms += WALK_PACE_MS


def test_only_roots_of_the_same_rounds_are_compared() -> None:
    catchup, forest = Catchup(ME), make_forest()
    for minute in range(30):
        data = say(make_tree(3), cut=CUT + FOREST_SLOT_S)
        assert not catchup.process_roots("a", data, forest, minute * 60_000)


def test_a_day_is_walked_at_one_peer_at_a_time() -> None:
    catchup, forest = Catchup(ME), make_forest()
    data = say(make_tree(3))
    begin(catchup, "a", data, forest, 0)
    assert not catchup.process_roots("b", data, forest, 0)
    assert not catchup.process_roots("b", data, forest, PATIENT_MS)


def test_a_root_that_has_agreed_in_between_has_to_differ_for_long_again() -> None:
    catchup, forest = Catchup(ME), make_forest()
    # Yesterday always differs, but too shortly to be walked, so that roots are never all the same.
    mine = make_tree(2)
    for id_, bits in mine:
        forest.add(id_, START, bits)
    other = make_tree(3)
    assert not catchup.process_roots("a", say(other), forest, 0)
    assert not catchup.process_roots("a", say(mine, other), forest, CATCHUP_PATIENCE_MS)
    later_ms = PATIENT_MS + CATCHUP_PATIENCE_MS // 2
    assert not catchup.process_roots("a", say(other), forest, later_ms)


def test_a_tree_in_which_nothing_is_lacked_is_walked_for_so_long_and_no_longer() -> None:
    catchup, forest = Catchup(ME), make_forest()
    tree = make_tree(20_000)
    now_ms = begin(catchup, "a", say(tree), forest, 0)
    end, nodes = walk(catchup, tree, forest, now_ms, lack_none)
    assert end.visited == nodes <= WALK_NODES_FREE + WALK_NODES_ASK_MAX


def test_a_walk_that_was_worth_it_forgives_those_that_were_not() -> None:
    catchup, forest = Catchup(ME), make_forest()
    tree = make_tree(3)
    data = say(tree)
    now_ms = 0
    for _ in range(3):
        now_ms = begin(catchup, "a", data, forest, now_ms + 60 * WALK_BACKOFF_MS)
        walk(catchup, tree, forest, now_ms)
    now_ms = begin(catchup, "a", data, forest, now_ms + 60 * WALK_BACKOFF_MS)
    end, _ = walk(catchup, tree, forest, now_ms, gained=3)
    assert end.gained >= 3
    now_ms = begin(catchup, "a", data, forest, now_ms)
    walk(catchup, tree, forest, now_ms)
    # One failure since: it is left alone for as long as after the first.
    assert not catchup.process_roots("a", data, forest, now_ms + 1)
    assert catchup.process_roots("a", data, forest, now_ms + WALK_BACKOFF_MS + PATIENT_MS)


def test_a_walk_goes_on_when_another_has_brought_all_that_it_had_found() -> None:
    """Just as many ids as a question takes were found, and then gossip brings each of them."""
    catchup, forest = Catchup(ME), make_forest()
    tree = make_tree(3_000)
    lacking: set[bytes] = set()

    def find_missing(id_: bytes, bits: int) -> int:
        return bits if id_ in lacking else 0

    now_ms = begin(catchup, "a", say(tree), forest, 0)
    while not lacking:
        taken = catchup.take_question(forest, find_missing, is_free, now_ms)
        assert taken is not None
        assert not isinstance(taken, End)
        _, question = taken
        assert isinstance(question, WantNodes)
        if len(question.nodes[0][0]) == 2:
            places = tuple(place for place, _ in question.nodes)
            lacking |= set(sorted(i for i, _ in tree if i.hex().startswith(places))[:ASK_IDS_MAX])
        given = [tree.find_node(*node) for node in question.nodes]
        assert not catchup.process_nodes("a", given, forest, find_missing, now_ms)
        now_ms += WALK_PACE_MS
    lacking.clear()
    taken = catchup.take_question(forest, find_missing, is_free, now_ms)
    assert taken is not None
    assert not isinstance(taken, End), "most of the tree was not looked at"
