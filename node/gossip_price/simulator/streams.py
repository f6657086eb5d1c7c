"""Questions between nodes: each on its way to a peer and back, until it is answered or fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gossip_price.core import events as ev
from gossip_price.simulator.nodes import Node

if TYPE_CHECKING:
    from gossip_price.simulator.world import World

Mouth = Callable[[str, int, bytes], None]
"""What a liar is asked: (who asks, token, question)."""


class Streams:
    """What was asked and has no answer yet. `mouths` answer for who is no machine."""

    def __init__(self, world: World) -> None:
        self.mouths: dict[int, Mouth] = {}
        self._world = world
        self._token = 0
        #: Who waits for an answer: (node, its life), by token.
        self._questions: dict[int, tuple[int, int]] = {}

    def ask(self, node: Node, effect: ev.Ask) -> None:
        """Bring a question to a peer by a stream; what is not answered in time fails."""
        peer = next((other for other in self._world.nodes if other.peer_id == effect.peer), None)
        delay_ms = None
        if peer is not None and (peer.alive or peer.index in self.mouths):
            delay_ms = self._world.route_stream(node.index, peer.index)
        if peer is None or delay_ms is None:
            self._world.give(node.index, ev.AskFailed(effect.peer, "unconnected"), 1)
            return
        token = self._token = self._token + 1
        self._questions[token] = node.index, node.life

        def give_up() -> None:
            if self._questions.pop(token, None) == (node.index, node.life):
                self._world.give(node.index, ev.AskFailed(effect.peer, "timeout"))

        self._world.give(peer.index, ev.Asked(node.peer_id, token, effect.data), delay_ms)
        self._world.schedule(effect.deadline_ms, give_up)

    def answer(self, node: Node, effect: ev.Answer) -> None:
        """Bring an answer back to whoever asked, if it lives on and waits."""
        asker, life = self._questions.get(effect.token, (-1, -1))
        if asker < 0 or self._world.nodes[asker].life != life:
            return
        data = self._world.relay_answer(node.index, asker, effect.data)
        delay_ms = self._world.route_stream(node.index, asker)
        if data is None or delay_ms is None:
            return
        del self._questions[effect.token]
        answer = ev.Answered(node.peer_id, data) if data else ev.AskFailed(node.peer_id, "refused")
        self._world.give(asker, answer, delay_ms)
