"""Changes of a simulated network: what is wanted, and the operator that announces it on the way.

The operator does what a person or the Kubernetes operator does: the next document by the planner,
once a round was proven in the newest one, and to every node its file: soon, late, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec

from gossip_price.core.events import NetworkChanged
from gossip_price.network.document import (
    Document,
    Member,
    Mode,
    PairTerms,
    compute_faulty_default,
    compute_minimum_signers,
)
from gossip_price.network.epochs import EpochChain, get_end
from gossip_price.network.keys import parse_address
from gossip_price.network.planner import plan_next
from gossip_price.simulator.dice import Dice
from gossip_price.simulator.facts import Law, Moment, Told, Watcher
from gossip_price.simulator.market import PRICE
from gossip_price.simulator.world import World

#: A file that never comes: until all trouble is over.
_NEVER: Final = -1
#: What an epoch may do to the pairs: other decimals, another price range, a second pair.
_PAIRS: Final = (
    (PairTerms("ETH-USD", 6, 1, 10**15),),
    (PairTerms("ETH-USD", 8, PRICE // 2, PRICE * 2),),
    (PairTerms("BTC-USD", 2, 1, 10**15), PairTerms("ETH-USD", 8, 1, 10**15)),
)
#: A disturbance that goes on for good.
_FOR_EVER_MS: Final = 1 << 60


class Change(NamedTuple):
    """What the network shall be next. `roster` are nodes; `spare` signers more than the fewest.

    None: as in the first epoch.
    """

    roster: tuple[int, ...]
    interval: int
    spare: int = 0
    protocol: int = 1
    mode: Mode | None = None
    settle: int | None = None
    pairs: tuple[PairTerms, ...] | None = None


def draw_changes(members: int, interval: int, mode: Mode, dice: Dice) -> tuple[Change, ...]:
    """Draw what a bad day's operator wants, one after the other."""
    here = tuple(range(members))
    more = tuple(range(members + dice.between(1, 2)))
    longer = dice.pick((60, 120, 600))
    spare = 1 if mode is Mode.ROUNDS else 0
    shapes: tuple[tuple[Change, ...], ...] = (
        (Change(more, interval),),
        (Change(more, interval), Change(here, interval)),
        (Change((*here[1:], members), interval),),
        (Change(here, longer), Change(here, interval)),
        (Change(more, interval, spare), Change(here, interval)),
        (Change(more, interval, protocol=2),),
    )
    return dice.pick(shapes)


def draw_terms(
    changes: Sequence[Change], mode: Mode, dice: Dice, *, turns: bool
) -> tuple[Change, ...]:
    """Draw for these changes what else an operator may want: another mode, settle time or pairs.

    `turns`: the mode changes in any case.
    """
    drawn = []
    for change in changes:
        if turns or dice.chance(250):
            mode = Mode.ROUNDS if mode is Mode.EVERY_NODE else Mode.EVERY_NODE
        settle = dice.pick((10, 45)) if dice.chance(200) else None
        pairs = dice.pick(_PAIRS) if dice.chance(300) else None
        drawn.append(change._replace(mode=mode, settle=settle, pairs=pairs))
    return tuple(drawn)


class Announcer(Watcher):
    """Announces epochs to a world: watches that a round is proven in each before the next."""

    hears_of = frozenset({"proven"})

    def __init__(
        self,
        changes: Sequence[Change],
        members: Sequence[Member],
        chain: EpochChain,
        *,
        dice: Dice,
        until_ms: int,
        make_law: Callable[[Document], Law],
    ) -> None:
        self.chain = chain
        self._wanted = [_make_wanted(change, members, chain.newest) for change in changes]
        self._peers = [member.peer_id for member in members]
        self._dice = dice
        self._until_ms = until_ms
        self._make_law = make_law
        self._world: World
        #: The epoch of which a proof was seen and acted upon.
        self._left = 0

    def attach(self, world: World) -> None:
        """Begin to work on a world."""
        self._world = world
        if self._wanted:
            world.schedule(self._until_ms - world.true_ms, self._deliver_all)

    def told(self, at: Moment, node: int, told: Told) -> None:
        """Look whether this proves a round of the newest epoch."""
        newest = self.chain.newest
        if told.kind != "proven" or not self._wanted or self._left == newest.epoch:
            return
        record = self._world.nodes[node].journal.proven.get(told.id)
        if record is not None and record.entry.report.epoch == newest.hash:
            self._left = newest.epoch
            self._world.schedule(self._dice.below(20_000), self._announce)

    def _announce(self) -> None:
        world, newest = self._world, self.chain.newest
        if world.true_ms >= self._until_ms:
            return
        lead_s = self._dice.pick((2, 10, 30))
        while self._wanted:
            now_s = world.true_ms // 1000
            plan = plan_next(newest, self._wanted[0], is_proven=True, now_s=now_s, lead_s=lead_s)
            if plan.document is not None:
                self._enact(plan.document)
                return
            if plan.steps:
                return
            self._wanted.pop(0)

    def _enact(self, document: Document) -> None:
        world, before = self._world, self.chain.newest
        self.chain = EpochChain((*self.chain.documents, document))
        moment = Moment(world.true_ms, world.true_ms, 0)
        for watcher in world.watchers:
            watcher.enacted(moment, self._make_law(document))
        for node in world.nodes:
            self._deliver(node.index, self._draw_delay_ms(document), document)
            if document.protocol not in node.protocols:
                self._disturb(document.start * 1000, _FOR_EVER_MS, node.index)
        removed = {m.peer_id for m in before.members} - {m.peer_id for m in document.members}
        end_ms = get_end(before, document.start) * 1000
        for peer in sorted(removed):
            index = self._peers.index(peer)
            world.schedule(end_ms - world.true_ms, partial(self._cut, index))

    def _draw_delay_ms(self, document: Document) -> int:
        lead_ms = document.start * 1000 - self._world.true_ms
        if self._dice.chance(750):
            return self._dice.below(2_000)
        if self._dice.chance(750):
            return lead_ms + self._dice.below(4_000 * document.interval)
        return _NEVER

    def _deliver(self, index: int, delay_ms: int, document: Document) -> None:
        world, chain = self._world, self.chain
        arrives_ms = self._until_ms if delay_ms == _NEVER else world.true_ms + delay_ms
        if arrives_ms > document.start * 1000 - 1_000:
            # What it began under the epoch before, and the round in which it hears, are lost to it.
            longest = max(one.interval for one in chain.documents)
            self._disturb(document.start * 1000 - 10_000, arrives_ms + (longest + 20) * 1000, index)
        if delay_ms != _NEVER:
            world.schedule(delay_ms, lambda: self._give(index, chain))

    def _give(self, index: int, chain: EpochChain) -> None:
        """Replace a node's network file, and let it see that."""
        node = self._world.nodes[index]
        if len(node.chain.documents) >= len(chain.documents):
            return
        node.chain = chain
        if node.alive and index not in self._world.ears:
            self._world.give(index, NetworkChanged(chain))

    def _deliver_all(self) -> None:
        for node in self._world.nodes:
            self._give(node.index, self.chain)

    def _cut(self, index: int) -> None:
        """Cut a removed member's connections, unless it is a member again."""
        if self._peers[index] in self.chain.newest.index_by_peer:
            return
        for other in range(len(self._world.nodes)):
            if other != index:
                self._world.links.break_way(index, other)
                self._world.links.break_way(other, index)

    def _disturb(self, start_ms: int, end_ms: int, index: int) -> None:
        for watcher in self._world.watchers:
            watcher.disturbed(start_ms, end_ms, "node", (index,))


def _make_wanted(change: Change, members: Sequence[Member], first: Document) -> Document:
    roster = sorted((members[index] for index in change.roster), key=_get_address)
    faulty = compute_faulty_default(len(roster))
    mode = change.mode or first.mode
    settle = change.settle or first.settle
    fewest = min(len(roster), compute_minimum_signers(mode, len(roster), faulty))
    return msgspec.structs.replace(
        first,
        members=tuple(roster),
        faulty=faulty,
        minimum_signers=min(len(roster) - faulty, fewest + change.spare),
        interval=change.interval,
        mode=mode,
        settle=settle,
        settle_cap=first.settle_cap * settle // first.settle,
        pairs=change.pairs or first.pairs,
        start=first.start - first.start % change.interval,
        protocol=change.protocol,
    )


def _get_address(member: Member) -> bytes:
    return parse_address(member.address)
