"""Nobody honest is ever cut off by somebody honest: the most dangerous mistake of all."""

from __future__ import annotations

from gossip_price.simulator.checkers.checker import Checker
from gossip_price.simulator.facts import Moment


class BlameChecker(Checker):
    """Every penalty must meet a liar."""

    name = "blame"

    def penalized(self, at: Moment, node: int, author: str, reason: str) -> None:
        node_by_peer = {peer: index for index, peer in enumerate(self.setting.peers)}
        if node not in self.liars and node_by_peer.get(author) not in self.liars:
            self.blame(at, node, f"cut off honest {author[-6:]} for {reason}")
