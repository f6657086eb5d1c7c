"""A liar's trees: roots over reports that there are not, and answers that lead nowhere.

Half of the time its tree holds together and only the entries are missing or forged; else its nodes
are not those of their hashes, garbage, or late.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from gossip_price.core import events as ev
from gossip_price.core.forest import Root, Roots, compute_cut, encode_roots
from gossip_price.core.merkle import Tree
from gossip_price.core.questions import (
    Want,
    decode_question,
    encode_answer,
    encode_nodes,
)
from gossip_price.core.types import Entry, Signature
from gossip_price.network.document import DAY_S, Document
from gossip_price.simulator.dice import Dice
from gossip_price.simulator.world import World

_FAKES: Final = 40


class LyingTrees:
    """What the liar at node `index` says that it holds, and how it answers questions about it."""

    def __init__(self, world: World, index: int, dice: Dice) -> None:
        self._world = world
        self._index = index
        self._dice = dice
        self._tree = Tree()
        self._forged: dict[bytes, Entry] = {}
        world.streams.mouths[index] = self._answer

    def make_roots(self, document: Document, entries: dict[bytes, Entry]) -> bytes:
        """Return roots of today over fakes, and over forged copies of what it has heard."""
        cut = compute_cut(document, self._world.true_ms // 1000)
        for id_, entry in list(entries.items())[-4:]:
            self._forge(id_, entry, document)
        if len(self._tree) < _FAKES:
            self._tree.add(bytes(self._dice.below(256) for _ in range(32)), 15)
        day = self._world.true_ms // 1000 // DAY_S
        root = Root(self._dice.pick((1, 1 << 20)), self._tree.root)
        return encode_roots(Roots(cut, {day: root}))

    def _forge(self, id_: bytes, entry: Entry, document: Document) -> None:
        """Hold a report that nobody else has, under everybody's name and one's signature."""
        if len(self._forged) >= _FAKES:
            return
        report = msgspec.structs.replace(entry.report, price=entry.report.price + 7)
        (signature, *_) = entry.signatures
        everybody: Iterable[int] = range(len(document.members))
        forged = tuple(Signature(member, signature.signature) for member in everybody)
        fake_id = report.compute_id(document.separator)
        self._forged[fake_id] = Entry(report, forged)
        self._tree.add(fake_id, (1 << len(document.members)) - 1)

    def _answer(self, peer: str, token: int, data: bytes) -> None:
        del peer
        question = decode_question(data)
        if isinstance(question, Want):
            given = [self._forged[id_] for id_ in question.ids if id_ in self._forged]
            answer = encode_answer(given if self._dice.chance(500) else ())
        else:
            nodes = [self._tree.find_node(*node) for node in question.nodes]
            if self._dice.chance(100):
                nodes = [node + b"\x00" for node in nodes]
            answer = encode_nodes(nodes)
        if self._dice.chance(50):
            answer = bytes(self._dice.below(256) for _ in range(20))
        self._world.streams.answer(self._world.nodes[self._index], ev.Answer(token, answer))
