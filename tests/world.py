"""The simulator's world, driven by hand: fixed latencies and prices, everything that a node did.

A thin layer: time, queue, journal, table and the order of effects are `gossip_price.simulator`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gossip_price.core import events as ev
from gossip_price.core.events import Note, NoteKind
from gossip_price.core.types import StoredRow
from gossip_price.engine import Outward, Turns
from gossip_price.network.epochs import EpochChain
from gossip_price.simulator import world as simulated
from gossip_price.simulator.clock import SimulatedClock
from gossip_price.simulator.database import Table
from gossip_price.simulator.dice import Dice
from gossip_price.simulator.disk import SimulatedJournal
from gossip_price.simulator.facts import Moment
from gossip_price.simulator.links import Links
from gossip_price.simulator.market import PRICE, Market, Quote
from gossip_price.simulator.nodes import Node as SimulatedNode
from gossip_price.simulator.nodes import SimulatedSigner
from gossip_price.simulator.server import STORE, DatabaseServer
from networks import START, SampleNetwork

__all__ = ["PRICE", "STORE", "FakeJournal", "KeySigner", "Node", "World"]

FakeJournal = SimulatedJournal

Price = Callable[[int, int], int | None]
"""(member, unix second) → what that member's sources say, or None when they fail."""

Latency = Callable[[int, int], int]
"""(sender, receiver) → milliseconds that the next message between them takes."""

_DICE: Final = Dice(0, "by hand")


class KeySigner(SimulatedSigner):
    """Remembers every digest that it signed."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.signed: list[bytes] = []

    def sign(self, digest: bytes) -> bytes:
        self.signed.append(digest)
        return super().sign(digest)


class Node(SimulatedNode):
    """One member, with a record of what it did in all its lives."""

    signer: KeySigner

    def __init__(
        self,
        index: int,
        peer_id: str,
        *,
        chain: EpochChain,
        clock: SimulatedClock,
        journal: FakeJournal,
        signer: KeySigner,
    ) -> None:
        super().__init__(index, peer_id, chain=chain, clock=clock, journal=journal, signer=signer)
        self.notes: list[Note] = []
        self.published: list[bytes] = []
        self.penalized: list[tuple[str, str]] = []
        self.asked: list[tuple[str, bytes]] = []
        #: Statements of its audits, and when (true time, milliseconds).
        self.audits: list[tuple[int, ev.AuditEffect]] = []
        self.turns_taken = 0
        self.lost_journals: list[FakeJournal] = []

    @property
    def past_votes(self) -> list[ev.Vote]:
        """Every vote of every life, those on lost volumes too."""
        journals = (*self.lost_journals, self.journal)
        return [vote for journal in journals for vote in journal.votes.values()]

    def get_notes(self, kind: NoteKind) -> list[Note]:
        return [note for note in self.notes if note.kind is kind]

    def get_reasons(self, kind: NoteKind) -> list[str]:
        return [note.reason for note in self.get_notes(kind)]


class FixedMarket(Market):
    """Prices and delays by the test's own functions; no deadline ends a fetch."""

    def __init__(self, price: Price, fetch_ms: int) -> None:
        super().__init__(_DICE, fetch_ms=fetch_ms)
        self.price = price
        self.fetch_ms_by_member: dict[int, int] = {}

    def observe(self, member: int, pair: str, true_ms: int, deadline_ms: int) -> Quote:
        fetch_ms = self.fetch_ms_by_member.get(member, self.fetch_ms)
        return Quote(fetch_ms, self.price(member, (true_ms + fetch_ms) // 1000))


class ToldLinks(Links):
    """Ways by the functions of the test's world."""

    def __init__(self, world: World) -> None:
        super().__init__(_DICE)
        self._world = world

    def spread(
        self, sender: int, receivers: Iterable[int], true_ms: int, data: bytes
    ) -> Mapping[int, Sequence[int]]:
        arrived: dict[int, list[int]] = {}
        for receiver in receivers:
            if not self._world.drops(sender, receiver, data):
                arrived.setdefault(self._world.latency(sender, receiver), []).append(receiver)
        return arrived


class CountedServer(DatabaseServer):
    """Remembers who sent each INSERT that it took."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.writers: list[int] = []

    def commit(self, index: int, rows: tuple[StoredRow, ...]) -> ev.Event:
        if self.table.up:
            self.writers.append(index)
        return super().commit(index, rows)


class World(simulated.World):
    """N members, one table, one time; one event a turn."""

    nodes: list[Node]  # type: ignore[assignment]  # every node here is made by `make_node`
    market: FixedMarket
    server: CountedServer

    def __init__(
        self,
        network: SampleNetwork,
        *,
        latency_ms: int = 10,
        fetch_ms: int = 50,
        price: Price = lambda member, unix_s: PRICE,
        born_before_s: int = 3600,
        start_s: int = START - 20,
        alive: Sequence[int] | None = None,
        clock_errors_ms: Sequence[int] = (),
        store_up: bool = True,
        chain: EpochChain | None = None,
        version: str = "test",
    ) -> None:
        super().__init__(
            true_ms=start_s * 1000,
            links=ToldLinks(self),
            market=FixedMarket(price, fetch_ms),
            table=Table(),
            version=version,
            events_a_turn=1,
        )
        self.network = network
        self.chain = chain or EpochChain([network.document])
        self.table.up = store_up
        self.latency: Latency = lambda sender, receiver: latency_ms
        self.drops: Callable[[int, int, bytes], bool] = lambda sender, receiver, data: False
        #: (one, other) → whether they have a connection, which questions need.
        self.connected: Callable[[int, int], bool] = lambda asker, asked: True
        #: (asked, asker, answer) → what reaches the asker; None when nothing does.
        self.answers: Callable[[int, int, bytes], bytes | None] = lambda asked, asker, data: data
        for index, secret in enumerate(network.signing_secrets):
            node = self.add_node(
                secret,
                network.document.members[index].peer_id,
                chain=self.chain,
                birth_ms=(start_s - born_before_s) * 1000,
                error_ms=clock_errors_ms[index] if clock_errors_ms else 0,
            )
            node.turns = self.make_turns(node)
        for node in self.nodes:
            if alive is None or node.index in alive:
                self.begin(node.index)

    @property
    def wall_ms(self) -> int:
        """What a clock without error says."""
        return self.true_ms

    @property
    def mono_ms(self) -> int:
        return self.nodes[0].clock.read(self.true_ms).mono_ms

    @property
    def fetch_ms_by_member(self) -> dict[int, int]:
        return self.market.fetch_ms_by_member

    def make_node(
        self, place: tuple[int, str], chain: EpochChain, clock: SimulatedClock, birth_ms: int,
        secret: bytes,
    ) -> Node:  # fmt: skip
        journal, signer = FakeJournal(birth_ms), KeySigner(secret)
        return Node(*place, chain=chain, clock=clock, journal=journal, signer=signer)

    def make_server(self, write_ms: tuple[int, int]) -> CountedServer:
        return CountedServer(self, self.table, write_ms)

    def make_turns(self, node: SimulatedNode) -> Turns:
        """Make a node's machine anew, from its journal and with the chain as it is now."""
        node.chain = self.chain
        return super().make_turns(node)

    def add_listener(self, secret: bytes) -> Node:
        """Start a node whose key is on no roster."""
        name = f"listener {len(self.nodes)}"
        self.add_node(secret, name, chain=self.chain, birth_ms=self.true_ms)
        self.begin(len(self.nodes) - 1)
        return self.nodes[-1]

    def close(self, index: int) -> None:
        """A SIGTERM."""
        self.give(index, ev.Closing())

    def restart(self, index: int, *, lost_volume: bool = False) -> None:
        """Start the node's next life from its journal, or from an empty one."""
        node = self.nodes[index]
        if lost_volume:
            node.lost_journals.append(node.journal)
        self.begin(index, lost_volume=lost_volume)

    def give_store(self, index: int, store: bytes) -> None:
        """Tell one node that the database answers, by this name."""
        self.give(index, ev.StoreUp(store))

    def get_writers_known_to(self, index: int) -> set[int]:
        """Return the members whose heartbeats made them writers of the store, for one node."""
        addresses = self.nodes[index].turns.machine.get_writers(STORE, self.mono_ms)
        return {self.network.document.index_by_address[address] for address in addresses}

    def run_until(self, unix_s: float) -> None:
        """Let everything happen that happens before this second."""
        self.run_until_ms(int(unix_s * 1000))

    def run_rounds(self, count: int, *, spare_s: int = 10) -> None:
        """Run `count` rounds from the epoch's start, until the last of them is stored."""
        document = self.network.document
        last = document.start + (count - 1) * document.interval
        self.run_until(last + document.settle + spare_s)

    def route_stream(self, sender: int, receiver: int) -> int | None:
        # One connection carries both ways: the question and its answer.
        is_connected = self.connected(sender, receiver) or self.connected(receiver, sender)
        return self.latency(sender, receiver) if is_connected else None

    def relay_answer(self, asked: int, asker: int, data: bytes) -> bytes | None:
        return self.answers(asked, asker, data)

    def carry_out(self, node: SimulatedNode, effect: Outward, moment: Moment) -> None:
        known = self.nodes[node.index]
        match effect:
            case ev.Ask():
                known.asked.append((effect.peer, effect.data))
            case ev.ReadRows() | ev.Correct() | ev.AddSignatures():
                known.audits.append((self.true_ms, effect))
            case Note():
                known.notes.append(effect)
            case ev.Publish():
                known.published.append(effect.data)
            case ev.Penalize():
                known.penalized.append((effect.author, effect.reason))
        super().carry_out(node, effect, moment)

    def take(self, node: SimulatedNode, events: Sequence[ev.Event]) -> None:
        self.nodes[node.index].turns_taken += 1
        super().take(node, events)
        assert not node.spins, "a deadline that has passed makes the engine spin"

    def get_rows(self) -> list[StoredRow]:
        """Return what is stored, by round."""
        return sorted(self.table.rows.values(), key=lambda row: (row.report.round, row.id))

    def count_publications(self) -> dict[bytes, int]:
        """Return how many messages carried each report, by the report's id."""
        counts: dict[bytes, int] = {}
        for node in self.nodes:
            for data in node.published:
                for entry in msgspec.msgpack.decode(data)[1]:
                    key = msgspec.msgpack.encode(entry[0])
                    counts[key] = counts.get(key, 0) + 1
        return counts
