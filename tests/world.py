"""A small deterministic world for machines: virtual time, a network of queues, a table of rows.

It drives the real machine and the real order of effects (`engine.Turns`); only what lies
behind the ports is fake, and each fake says what it fakes. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from gossip_price import crypto
from gossip_price.core import events as ev
from gossip_price.core.events import Note, NoteKind
from gossip_price.core.machine import Machine
from gossip_price.core.types import Now, Observation, StoredRow
from gossip_price.engine import Outward, Turns
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import JournalError
from networks import START, SampleNetwork

STORE: Final = b"S" * 32
PRICE: Final = 250_000_000_000
#: Monotonic clocks start anywhere; never at the wall clock.
MONO_START_MS: Final = 1_000_000

Price = Callable[[int, int], int | None]
"""(member, unix second) → what that member's sources say, or None when they fail."""


Latency = Callable[[int, int], int]
"""(sender, receiver) → milliseconds that the next message between them takes."""


class PowerCutError(Exception):
    """The process was killed inside a turn."""


class FakeJournal:
    """A disk that keeps what was written, unless `full`; refuses contradictions as the real one.

    `cut` (transactions from now, whether that one still reaches the disk) kills the process there.
    """

    def __init__(self, birth_ms: int) -> None:
        self.birth_ms = birth_ms
        self.highest = 0
        self.votes: dict[str, ev.Vote] = {}
        self.proven: dict[bytes, ev.ProvenRecord] = {}
        self.stored: dict[bytes, ev.StoredRecord] = {}
        self.full = False
        self.transactions = 0
        self.cut: tuple[int, bool] | None = None

    def load(self) -> ev.Recollection:
        return ev.Recollection(
            self.birth_ms,
            self.highest,
            tuple(self.votes.values()),
            tuple(self.proven.values()),
            tuple(self.stored.values()),
        )

    def write(self, records: Sequence[ev.Record]) -> None:
        self._spend_power(records)
        if self.full:
            raise JournalError("database or disk is full")
        for record in records:
            if isinstance(record, ev.Vote):
                known = self.votes.get(record.key)
                if known is not None and known.id != record.id:
                    raise JournalError(f"a second vote for {record.key}")
        self.transactions += 1
        for record in records:
            match record:
                case ev.Vote():
                    self.votes[record.key] = record
                case ev.ProvenRecord():
                    self.proven[record.id] = record
                case ev.StoredRecord():
                    self.stored[record.id] = record
                case ev.RoundRecord():
                    self.highest = max(self.highest, record.highest)
                case ev.Forget():
                    pass

    def _spend_power(self, records: Sequence[ev.Record]) -> None:
        if self.cut is None:
            return
        left, reaches_disk = self.cut
        self.cut = (left - 1, reaches_disk) if left else None
        if not left:
            if reaches_disk:
                self.write(records)
            raise PowerCutError

    def load_peers(self) -> dict[str, tuple[str, ...]]:
        return {}

    def write_peers(self, peers: dict[str, tuple[str, ...]]) -> None:
        pass

    def close(self) -> None:
        pass


class FakeTable:
    """A table with ON CONFLICT DO NOTHING; `up` and `poison` are the test's to set."""

    def __init__(self) -> None:
        self.rows: dict[bytes, StoredRow] = {}
        self.written_ms: dict[bytes, int] = {}
        self.statements = 0
        self.up = True
        self.poison: set[bytes] = set()

    def insert(self, rows: Sequence[StoredRow], wall_ms: int) -> tuple[bytes, ...] | None:
        """Return the inserted ids, or None for a refused batch."""
        self.statements += 1
        if any(row.id in self.poison for row in rows):
            return None
        new = [row for row in rows if row.id not in self.rows]
        for row in new:
            self.rows[row.id] = row
            self.written_ms[row.id] = wall_ms
        return tuple(row.id for row in new)


class KeySigner:
    """A signing key in memory; remembers every digest that it signed."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.address = crypto.get_address(secret)
        self.signed: list[bytes] = []

    def sign(self, digest: bytes) -> bytes:
        self.signed.append(digest)
        return crypto.sign(self._secret, digest)


@dataclass
class Node:
    """One member in the world."""

    index: int
    peer_id: str
    journal: FakeJournal
    signer: KeySigner
    turns: Turns
    alive: bool = True
    clock_error_ms: int = 0
    notes: list[Note] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)
    penalized: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    tick_ms: int = -1
    turns_taken: int = 0
    turns_left: int | None = None
    lost_journals: list[FakeJournal] = field(default_factory=list)

    @property
    def past_votes(self) -> list[ev.Vote]:
        """Every vote of every life, those on lost volumes too."""
        journals = (*self.lost_journals, self.journal)
        return [vote for journal in journals for vote in journal.votes.values()]

    def get_notes(self, kind: NoteKind) -> list[Note]:
        return [note for note in self.notes if note.kind is kind]

    def get_reasons(self, kind: NoteKind) -> list[str]:
        return [note.reason for note in self.get_notes(kind)]


class World:
    """N members, one table, one time. `run_until` moves the time from event to event."""

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
        self.version = version
        self.network = network
        self.chain = chain or EpochChain([network.document])
        self.table = FakeTable()
        self.table.up = store_up
        self.latency: Latency = lambda sender, receiver: latency_ms
        self.fetch_ms = fetch_ms
        self.fetch_ms_by_member: dict[int, int] = {}
        #: Who sent each INSERT.
        self.writers: list[int] = []
        self.price = price
        self.wall_ms = start_s * 1000
        self.mono_ms = MONO_START_MS
        self.drops: Callable[[int, int, bytes], bool] = lambda sender, receiver, data: False
        #: (asker, asked) → whether they have a connection, which questions need.
        self.connected: Callable[[int, int], bool] = lambda asker, asked: True
        #: (asked, asker, answer) → what reaches the asker; None when nothing does.
        self.answers: Callable[[int, int, bytes], bytes | None] = lambda asked, asker, data: data
        self._questions: dict[int, tuple[int, ev.AskFailed]] = {}
        self._queue: list[tuple[int, int, int, ev.Event | None]] = []
        self._order = 0
        self.nodes: list[Node] = []
        for index in range(len(network.signing_secrets)):
            journal = FakeJournal((start_s - born_before_s) * 1000)
            signer = KeySigner(network.signing_secrets[index])
            peer_id = network.document.members[index].peer_id
            error_ms = clock_errors_ms[index] if clock_errors_ms else 0
            turns = self._make_turns(journal, signer, error_ms)
            node = Node(index, peer_id, journal, signer, turns, clock_error_ms=error_ms)
            node.alive = alive is None or index in alive
            self.nodes.append(node)
        for node in self.nodes:
            if node.alive:
                self._begin(node)

    def make_turns(self, node: Node) -> Turns:
        """Make a node's machine anew, from its journal and with the chain as it is now."""
        return self._make_turns(node.journal, node.signer, node.clock_error_ms)

    def _make_turns(self, journal: FakeJournal, signer: KeySigner, error_ms: int) -> Turns:
        machine = Machine(
            chain=self.chain,
            me=signer.address,
            boot_ms=self.wall_ms + error_ms,
            version=self.version,
            remembered=journal.load(),
            now=Now(self.wall_ms + error_ms, self.mono_ms),
        )
        return Turns(machine, journal, signer)

    def _begin(self, node: Node) -> None:
        self.give(node.index, ev.Tick())
        if self.table.up:
            self.give(node.index, ev.StoreUp(STORE))

    def add_listener(self, secret: bytes) -> Node:
        """Start a node whose key is on no roster."""
        journal, signer = FakeJournal(self.wall_ms), KeySigner(secret)
        turns = self._make_turns(journal, signer, 0)
        node = Node(len(self.nodes), f"listener {len(self.nodes)}", journal, signer, turns)
        self.nodes.append(node)
        self._begin(node)
        return node

    def kill(self, index: int) -> None:
        """A SIGKILL: what was not in the journal is gone, and what was asked for has no answer."""
        self.nodes[index].alive = False
        self._queue = [
            item for item in self._queue if item[2] != index or isinstance(item[3], ev.Received)
        ]
        heapify(self._queue)
        self._questions = {
            token: question for token, question in self._questions.items() if question[0] != index
        }

    def close(self, index: int) -> None:
        """A SIGTERM."""
        self.give(index, ev.Closing())

    def restart(self, index: int, *, lost_volume: bool = False) -> None:
        """Start the node's next life from its journal, or from an empty one."""
        node = self.nodes[index]
        if lost_volume:
            node.lost_journals.append(node.journal)
            node.journal = FakeJournal(self.wall_ms + node.clock_error_ms)
        node.turns = self.make_turns(node)
        node.alive = True
        node.tick_ms = -1
        self._begin(node)

    def give_store(self, index: int, store: bytes) -> None:
        """Tell one node that the database answers, by this name."""
        self.give(index, ev.StoreUp(store))

    def get_writers_known_to(self, index: int) -> set[int]:
        """Return the members whose heartbeats made them writers of the store, for one node."""
        addresses = self.nodes[index].turns.machine.get_writers(STORE, self.mono_ms)
        return {self.network.document.index_by_address[address] for address in addresses}

    def set_store(self, *, up: bool) -> None:
        self.table.up = up
        for node in self.nodes:
            self.give(node.index, ev.StoreUp(STORE) if up else ev.StoreDown("stopped"))

    def now(self, node: Node) -> Now:
        return Now(self.wall_ms + node.clock_error_ms, self.mono_ms)

    def give(self, index: int, event: ev.Event, after_ms: int = 0) -> None:
        """Let an event reach a node after some time."""
        self._order += 1
        heappush(self._queue, (self.mono_ms + after_ms, self._order, index, event))

    def send(self, author: int, data: bytes) -> None:
        """Gossip bytes in a member's name to all others."""
        author_id = self.nodes[author].peer_id
        for node in self.nodes:
            if node.index != author and not self.drops(author, node.index, data):
                event = ev.Received(author_id, data)
                self.give(node.index, event, self.latency(author, node.index))

    def run_until(self, unix_s: float) -> None:
        """Let everything happen that happens before this second."""
        end_mono_ms = self.mono_ms + int(unix_s * 1000) - self.wall_ms
        while self._queue and self._queue[0][0] <= end_mono_ms:
            at_ms, _, index, event = heappop(self._queue)
            self._move_to(at_ms)
            node = self.nodes[index]
            if event is None and node.tick_ms != at_ms:
                continue
            if node.alive:
                self._take(node, ev.Tick() if event is None else event)
        self._move_to(end_mono_ms)

    def run_rounds(self, count: int, *, spare_s: int = 10) -> None:
        """Run `count` rounds from the epoch's start, until the last of them is stored."""
        document = self.network.document
        last = document.start + (count - 1) * document.interval
        self.run_until(last + document.settle + spare_s)

    def _move_to(self, mono_ms: int) -> None:
        self.wall_ms += mono_ms - self.mono_ms
        self.mono_ms = mono_ms

    def _take(self, node: Node, event: ev.Event) -> None:
        node.turns_taken += 1
        try:
            outward = node.turns.take([event], self.now(node))
        except PowerCutError:
            self.kill(node.index)
            return
        if node.turns_left is not None:
            node.turns_left -= 1
            if node.turns_left < 0:
                # Killed after the journal and the signatures, before anything left.
                node.turns_left = None
                self.kill(node.index)
                return
        for effect in outward:
            self._carry_out(node, effect)
        due_ms = node.turns.machine.get_deadline_ms(self.now(node))
        assert due_ms > self.mono_ms, "a deadline that has passed makes the engine spin"
        node.tick_ms = due_ms
        self._order += 1
        heappush(self._queue, (due_ms, self._order, node.index, None))

    def _carry_out(self, node: Node, effect: Outward) -> None:
        match effect:
            case Note():
                node.notes.append(effect)
            case ev.Publish():
                node.published.append(effect.data)
                self.send(node.index, effect.data)
            case ev.Penalize():
                node.penalized.append((effect.author, effect.reason))
            case ev.Fetch():
                fetch_ms = self.fetch_ms_by_member.get(node.index, self.fetch_ms)
                observed_at = (self.now(node).wall_ms + fetch_ms) // 1000
                price = self.price(node.index, observed_at)
                pair = effect.terms.pair
                answer: ev.Event = ev.NotObserved(pair, effect.round, "timeout")
                if price is not None:
                    observation = Observation(pair, price, observed_at, 0, ("fake",))
                    answer = ev.Observed(effect.round, observation)
                self.give(node.index, answer, fetch_ms)
            case ev.Write():
                self._insert(node, effect.rows)
            case ev.Ask():
                self._ask(node, effect)
            case ev.Answer():
                self._answer(node, effect)

    def _ask(self, node: Node, effect: ev.Ask) -> None:
        """Bring a question to a peer; what is not answered by the deadline fails."""
        node.asked.append((effect.peer, effect.data))
        peer = next((other for other in self.nodes if other.peer_id == effect.peer), None)
        if peer is None or not peer.alive or not self.connected(node.index, peer.index):
            self.give(node.index, ev.AskFailed(effect.peer, "unconnected"), 1)
            return
        token = self._order
        too_late = ev.AskFailed(effect.peer, "timeout")
        self._questions[token] = node.index, too_late
        question = ev.Asked(node.peer_id, token, effect.data)
        self.give(peer.index, question, self.latency(node.index, peer.index))
        self.give(node.index, too_late, effect.deadline_ms)

    def _answer(self, node: Node, effect: ev.Answer) -> None:
        """Bring an answer back, or what the test makes of it."""
        if effect.token not in self._questions:
            return  # the asker was killed, and its connections with it
        asker, too_late = self._questions.pop(effect.token)
        data = self.answers(node.index, asker, effect.data)
        if data is not None:
            self._queue = [item for item in self._queue if item[3] is not too_late]
            heapify(self._queue)
            answer: ev.Event = ev.Answered(node.peer_id, data)
            if not data:
                answer = ev.AskFailed(node.peer_id, "refused")
            self.give(asker, answer, self.latency(node.index, asker))

    def _insert(self, node: Node, rows: tuple[StoredRow, ...]) -> None:
        ids = tuple(row.id for row in rows)
        answer: ev.Event
        if not self.table.up:
            answer = ev.StoreDown("stopped")
        else:
            self.writers.append(node.index)
            inserted = self.table.insert(rows, self.wall_ms)
            if inserted is None:
                answer = ev.StoreRefused(ids, "poison")
            else:
                answer = ev.Stored(ids, inserted)
        self.give(node.index, answer, 5)

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
