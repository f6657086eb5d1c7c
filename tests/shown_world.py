"""A simulated network of which one node is looked at as it runs: its rounds, its events."""

from __future__ import annotations

from typing import Any

from api_node import connect
from gossip_price.adapters.http import make_app, make_round_routes
from gossip_price.adapters.live import EventRing, LiveBoard
from gossip_price.core.events import Note, ProvenRecord
from gossip_price.engine import Outward
from gossip_price.simulator.facts import Moment
from gossip_price.simulator.nodes import Node as SimulatedNode
from networks import SampleNetwork
from world import World


class ShownWorld(World):
    """A world whose node 0 is looked at as it runs."""

    def __init__(self, network: SampleNetwork, **options: Any) -> None:
        self.ring = EventRing(1)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.board: LiveBoard | None = None
        super().__init__(network, **options)

    def carry_out(self, node: SimulatedNode, effect: Outward, moment: Moment) -> None:
        if node.index == 0 and isinstance(effect, Note):
            if self.board is None:
                self.board = self._make_board()
            self.board.observe(effect)
        super().carry_out(node, effect, moment)

    def _make_board(self) -> LiveBoard:
        append = self.ring.append

        def listen(name: str, data: Any) -> None:
            self.told.append((name, dict(data)))
            append(name, data)

        self.ring.append = listen  # type: ignore[method-assign]  # to see what it is told
        return LiveBoard(
            self.network.document.addresses[0],
            self.ring,
            get_chain=lambda: self.chain,
            find_settled=self._find_settled,
            wall_ms=lambda: self.wall_ms,
        )

    def _find_settled(self, id_: bytes) -> ProvenRecord | None:
        # Of the life that it lives now.
        return self.nodes[0].turns.machine.find_settled(id_)

    async def ask(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rounds as the API shows them."""
        assert self.board is not None
        client = connect(make_app(make_round_routes(self.board)))
        answer = await client.get("/api/v1/rounds", params=parameters)
        rounds: list[dict[str, Any]] = answer.json()["rounds"]
        return rounds

    def list_told(self, name: str) -> list[dict[str, Any]]:
        return [data for told, data in self.told if told == name]
