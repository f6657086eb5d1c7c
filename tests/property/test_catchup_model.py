"""Any two sets, of any bitmaps, become their union, by questions in proportion to what differs."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip_price.core.catchup import Catchup, End
from gossip_price.core.forest import Forest
from gossip_price.core.limits import (
    ASK_IDS_MAX,
    CATCHUP_PATIENCE_AHEAD,
    CATCHUP_PATIENCE_MS,
    QUESTION_BYTES_MAX,
    WALK_BACKOFF_MAX_MS,
)
from gossip_price.core.merkle import Leaf, decode_node
from gossip_price.core.questions import Want, decode_nodes, encode_nodes, encode_question
from gossip_price.core.wire import WireError
from gossip_price.crypto import keccak256
from networks import START

DAY_S = 86_400
DAY = START // DAY_S

#: Ids by number: hashes, and some that share many digits, as a liar might grind them.
Ids = st.integers(0, 400).map(
    lambda number: (
        keccak256(b"%d" % number) if number < 350 else b"\xaa" * 7 + bytes([number % 256]) * 25
    )
)
Sets = st.dictionaries(Ids, st.integers(1, 2**40 - 1), max_size=300)


class Side:
    """One node's forest and its walks; the other's is asked directly."""

    def __init__(self, name: str, items: dict[bytes, int]) -> None:
        self.name = name
        self.forest = Forest()
        self.forest.close(START + DAY_S, DAY + 1)
        for id_, bits in items.items():
            self.forest.add(id_, START, bits)
        self.catchup = Catchup(name.encode())
        self.questions = 0
        self.bytes = 0

    def find_missing(self, id_: bytes, bits: int) -> int:
        return bits & ~self.forest.get_bits(id_)

    def get_items(self) -> dict[bytes, int]:
        return dict(self.forest.get_tree(DAY) or ())

    def catch_up(self, other: Side, mono_ms: int) -> None:
        """Hear the other's heartbeat, and ask until nothing is due."""
        self.catchup.process_roots(other.name, other.forest.encode_roots(), self.forest, mono_ms)
        while (due_ms := self.catchup.get_deadline_ms()) is not None:
            taken = self.catchup.take_question(
                self.forest, self.find_missing, lambda peer: False, due_ms
            )
            if taken is None or isinstance(taken, End):
                continue
            _, question = taken
            self.questions += 1
            self.bytes += len(encode_question(question))
            assert len(encode_question(question)) <= QUESTION_BYTES_MAX
            if isinstance(question, Want):
                gained = 0
                for id_ in question.ids:
                    bits = other.forest.get_bits(id_)
                    gained += bool(self.find_missing(id_, bits))
                    self.forest.add(id_, START, bits)
                self.catchup.process_entries(other.name, gained, due_ms)
                continue
            tree = other.forest.get_tree(DAY)
            data = encode_nodes(tree.find_node(*node) if tree else b"" for node in question.nodes)
            self.bytes += len(data)
            reason = self.catchup.process_nodes(
                other.name, decode_nodes(data).nodes, self.forest, self.find_missing, due_ms
            )
            assert reason == ""


@given(mine=Sets, others=Sets)
@settings(max_examples=150, deadline=None)
def test_two_sets_become_their_union_in_bounded_questions(
    mine: dict[bytes, int], others: dict[bytes, int]
) -> None:
    union = {id_: mine.get(id_, 0) | others.get(id_, 0) for id_ in mine.keys() | others.keys()}
    one, other = Side("one", mine), Side("other", others)
    differing = sum(union[id_] != mine.get(id_) for id_ in union)
    differing += sum(union[id_] != others.get(id_) for id_ in union)
    step_ms = 2 * CATCHUP_PATIENCE_MS * CATCHUP_PATIENCE_AHEAD
    for look in range(6):
        mono_ms = look * (step_ms + WALK_BACKOFF_MAX_MS)
        for at_ms in (mono_ms, mono_ms + step_ms):
            one.catch_up(other, at_ms)
            other.catch_up(one, at_ms)
    assert one.get_items() == other.get_items() == union
    assert one.forest.encode_roots() == other.forest.encode_roots()
    # A way down for each that differs at most (a grown tree of these is 18 levels deep where ids
    # were ground), and a question for each batch of entries.
    questions = one.questions + other.questions
    assert questions <= 20 * min(differing, 4) + differing // 8 + 2 * (differing // ASK_IDS_MAX)
    if not differing:
        assert questions == 0


@given(place=st.text("0123456789abcdef", max_size=16), data=st.binary(max_size=200))
def test_any_bytes_are_a_node_or_a_wire_error(place: str, data: bytes) -> None:
    for kind in (b"", b"\x00", b"\x01"):
        with suppress(WireError):
            node = decode_node(place, kind + data)
            ids = node.items if isinstance(node, Leaf) else ()
            assert all(id_.hex().startswith(place) for id_ in ids)
