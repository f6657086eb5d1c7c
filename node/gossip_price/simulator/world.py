"""The world: nodes, and one queue of what happens when.

It drives the real machine and the real order of effects (`engine.Turns`); only what lies behind
the ports is simulated: gossip and sources here, questions in `streams`, the database in `server`.
Nothing here waits, and nothing here decides chance: links, market and faults do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from gossip_price.core import events as ev
from gossip_price.core.machine import Machine
from gossip_price.core.types import Now, Observation
from gossip_price.engine import TURN_EVENTS_MAX, Outward, Turns
from gossip_price.network.epochs import EpochChain
from gossip_price.simulator.checkers.evidence import has_entries
from gossip_price.simulator.clock import SimulatedClock
from gossip_price.simulator.database import Table
from gossip_price.simulator.disk import PowerCutError, SimulatedJournal
from gossip_price.simulator.facts import Alarms, Moment, Told, Watcher
from gossip_price.simulator.links import Links
from gossip_price.simulator.market import DECIMALS, Market
from gossip_price.simulator.nodes import Node, SimulatedSigner
from gossip_price.simulator.schedule import Schedule
from gossip_price.simulator.scheme import REAL, Scheme
from gossip_price.simulator.server import DatabaseServer
from gossip_price.simulator.shown import WatchedJournal
from gossip_price.simulator.streams import Streams

#: Monotonic clocks start anywhere; never at the wall clock.
MONO_START_MS: Final = 1_000_000
#: A deadline that has passed makes the real engine spin at a millisecond; this often is too often.
SPINS_MAX: Final = 3

Action = Callable[[], None]
Thing = tuple[int, int, ev.Event | Action | None]
"""What happens: (node, its life or -1, an event or None for a tick), or (-1, -1, an action)."""
_TICK: Final = ev.Tick()
Ear = Callable[[str, bytes], None]
"""What a liar hears: (author, data)."""


class _Words(ev.Received, frozen=True):
    """A message without entries, which few watchers read."""


class SpinError(AssertionError):
    """A machine asks again and again for a time that has passed."""


class World:
    """Nodes, one table, one time. `run_until` moves the time from event to event.

    `true_ms` is the time that nobody inside knows. `ears` holds what takes the place of a
    machine: a liar hears by it. Watchers see all that they want to; those that have the world's
    `alarms` see the turns that these name, all others every turn.
    """

    def __init__(
        self,
        *,
        true_ms: int,
        links: Links,
        market: Market,
        table: Table,
        watchers: Sequence[Watcher] = (),
        scheme: Scheme = REAL,
        version: str = "simulated",
        events_a_turn: int = TURN_EVENTS_MAX,
        write_ms: tuple[int, int] = (0, 5),
        alarms: Alarms | None = None,
    ) -> None:
        self.true_ms = true_ms
        self.links = links
        self.market = market
        self.table = table
        self.scheme = scheme
        self.version = version
        self.nodes: list[Node] = []
        self.ears: dict[int, Ear] = {}
        self.server = self.make_server(write_ms)
        self.streams = Streams(self)
        self._events_a_turn = events_a_turn
        self._schedule: Schedule[Thing] = Schedule()
        self.watchers = tuple(watchers)
        # What happens most often is shown only to those whom it concerns.
        self._alarms = alarms or Alarms()
        patient = [one for one in watchers if one.alarms is self._alarms]
        self._see_due = _find_who_sees("turned", patient)
        self._see_turned = _find_who_sees("turned", [one for one in watchers if one not in patient])
        hearing_words = [one for one in watchers if one.hears_words]
        self._see_heard = {
            ev.Received: _find_who_sees("heard", watchers),
            _Words: _find_who_sees("heard", hearing_words),
        }
        self._see_published = {
            ev.Received: _find_who_sees("published", watchers),
            _Words: _find_who_sees("published", hearing_words),
        }
        self._see_told = {
            kind: (kind.value, _find_who_sees("told", [w for w in watchers if _is_told(w, kind)]))
            for kind in ev.NoteKind
        }
        self._see_signed = _find_who_sees("signed", watchers)

    # --- nodes --------------------------------------------------------------------------------

    def add_node(
        self,
        secret: bytes,
        peer_id: str,
        *,
        chain: EpochChain,
        birth_ms: int,
        error_ms: int = 0,
        drift_ppm: int = 0,
        mono_ms: int = MONO_START_MS,
    ) -> Node:
        """Add a node that does not run yet; `birth_ms` is when its journal was made."""
        clock = SimulatedClock(
            self.true_ms, mono_ms=mono_ms, error_ms=error_ms, drift_ppm=drift_ppm
        )
        node = self.make_node((len(self.nodes), peer_id), chain, clock, birth_ms, secret)
        node.signer.tell = lambda digest: self._tell_signed(node, digest)
        self.nodes.append(node)
        self._alarms.add_node(node.index)
        return node

    def make_node(
        self, place: tuple[int, str], chain: EpochChain, clock: SimulatedClock, birth_ms: int,
        secret: bytes,
    ) -> Node:  # fmt: skip
        """Make the value that a node is; `place` is its index and peer id."""
        journal, signer = self.make_journal(birth_ms), SimulatedSigner(secret, self.scheme)
        return Node(*place, chain=chain, clock=clock, journal=journal, signer=signer)

    def make_journal(self, birth_ms: int) -> SimulatedJournal:
        """Make a blank volume."""
        return SimulatedJournal(birth_ms)

    def make_server(self, write_ms: tuple[int, int]) -> DatabaseServer:
        """Make the server that stands before the table."""
        return DatabaseServer(self, self.table, write_ms)

    def make_machine(self, node: Node, remembered: ev.Recollection) -> Machine:
        """Make a node's machine from what its journal held."""
        now = self.now(node)
        return Machine(
            chain=node.chain,
            me=node.signer.address,
            boot_ms=now.wall_ms,
            version=self.version,
            remembered=remembered,
            now=now,
            protocols=node.protocols,
        )

    def make_turns(self, node: Node) -> Turns:
        """Make a node's process from its journal and its chain as they are now."""
        machine = self.make_machine(node, node.journal.load())
        return Turns(machine, WatchedJournal(node, self.watchers, self.get_moment), node.signer)

    def begin(self, index: int, *, lost_volume: bool = False) -> None:
        """Start a life of the node: from its journal, or from a new one."""
        node = self.nodes[index]
        if lost_volume:
            node.journal = self.make_journal(self.now(node).wall_ms)
        node.life += 1
        node.turns = self.make_turns(node)
        node.alive = True
        node.writes = 0
        node.stopped = None
        node.tick_ms = node.due_ms = -1
        node.spins = 0
        for watcher in self.watchers:
            watcher.began(self.get_moment(node), index, lost_volume=lost_volume)
        self.give(index, ev.Tick())
        self._tell_peers()
        self.server.connect(index)

    def kill(self, index: int) -> None:
        """End the process at once: what was not in the journal is gone, no answer reaches it."""
        node = self.nodes[index]
        node.alive = False
        node.life += 1
        node.turns_left = node.effects_left = node.journal.cut = node.signer.cut = None
        for watcher in self.watchers:
            watcher.ended(self.get_moment(node), index)
        self._tell_peers()

    def _tell_peers(self) -> None:
        """Let all nodes know who has a connection: everybody who lives, however bad the links."""
        living = frozenset(node.peer_id for node in self.nodes if node.alive)
        for node in self.nodes:
            if node.alive:
                self.give(node.index, ev.PeersChanged(living - {node.peer_id}))

    def cut_power(self, index: int) -> None:
        """End the machine that the process runs on: what was not synced is gone too."""
        self.nodes[index].journal.lose_power()
        self.kill(index)

    def stop(self, index: int) -> None:
        """Stop the process (SIGSTOP); what comes waits for it."""
        self.nodes[index].stopped = []

    def cont(self, index: int) -> None:
        """Let a stopped process go on, and find all that came meanwhile at once."""
        node = self.nodes[index]
        waiting, node.stopped = node.stopped or [], None
        for start in range(0, len(waiting), self._events_a_turn):
            if node.alive:
                self.take(node, waiting[start : start + self._events_a_turn])
        if node.alive and not waiting:
            self.take(node, [ev.Tick()])

    def inspect(self) -> None:
        """Let watchers look into the nodes that live."""
        for node in self.nodes:
            if node.alive and node.index not in self.ears:
                for watcher in self.watchers:
                    moment = self.get_moment(node)
                    watcher.inspected(moment, node.index, node.turns.machine, node.journal)

    # --- time ---------------------------------------------------------------------------------

    def now(self, node: Node) -> Now:
        """Return what the node's clocks say."""
        return node.clock.read(self.true_ms)

    def get_moment(self, node: Node) -> Moment:
        """Return the time for watchers."""
        now = self.now(node)
        return Moment(self.true_ms, now.wall_ms, now.mono_ms)

    def give(self, index: int, event: ev.Event, after_ms: int = 0) -> None:
        """Let an event reach a node after some time, if it lives on until then."""
        # A message is on its way whatever becomes of the process; an answer is to a process.
        life = -1 if isinstance(event, ev.Received) else self.nodes[index].life
        self._push(after_ms, index, life, event)

    def schedule(self, after_ms: int, action: Action) -> None:
        """Let something happen to the world after some time."""
        self._push(after_ms, -1, -1, action)

    def _push(self, after_ms: int, index: int, life: int, thing: ev.Event | Action | None) -> None:
        self._schedule.add(self.true_ms + after_ms, (index, life, thing))

    def run_until_ms(self, true_ms: int) -> None:
        """Let everything happen that happens until then, this millisecond included."""
        while taken := self._schedule.take_next(true_ms):
            self.true_ms, things = taken
            self._let_happen(things)
        self.true_ms = true_ms

    def _let_happen(self, things: deque[Thing]) -> None:
        """Let the things of this millisecond happen, and what they bring about within it."""
        while things:
            index, life, thing = things.popleft()
            if index < 0:
                thing()  # type: ignore[operator,misc]  # an index below zero comes with an action
                continue
            node = self.nodes[index]
            if thing is None:
                if node.tick_ms != self.true_ms or life != node.life:
                    continue
                node.tick_ms = node.due_ms = -1
                if node.stopped is not None:
                    continue
                thing = _TICK
            elif life >= 0 and life != node.life:
                continue
            if index in self.ears:
                self._whisper(index, thing)  # type: ignore[arg-type]  # no action has an index
            elif node.alive:
                events: list[ev.Event] = [thing]  # type: ignore[list-item]  # as above
                if things and things[0][0] == index:
                    self._take_company(things, node, events)
                if node.stopped is None:
                    self.take(node, events)
                else:
                    node.stopped += events

    def _take_company(self, things: deque[Thing], node: Node, events: list[ev.Event]) -> None:
        """Take what reaches the same node in the same millisecond into the same turn."""
        while len(events) < self._events_a_turn and things:
            index, life, thing = things[0]
            if index != node.index or life not in (-1, node.life) or thing is None:
                return
            events.append(thing)  # type: ignore[arg-type]  # no action has an index
            things.popleft()

    def _whisper(self, index: int, event: ev.Event) -> None:
        if isinstance(event, ev.Received):
            self.ears[index](event.author, event.data)
        elif isinstance(event, ev.Asked) and index in self.streams.mouths:
            self.streams.mouths[index](event.peer, event.token, event.data)

    # --- a turn -------------------------------------------------------------------------------

    def take(self, node: Node, events: Sequence[ev.Event]) -> None:
        """Let a node take a turn with these events, and carry out what it asks for."""
        index, now = node.index, node.clock.read(self.true_ms)
        moment = Moment(self.true_ms, now.wall_ms, now.mono_ms)
        for see in self._see_turned:
            see(moment, index)
        alarms = self._alarms
        if now.mono_ms >= alarms.mono_ms[index] or now.wall_ms >= alarms.wall_ms[index]:
            self._ring(moment, index)
        for event in events:
            if isinstance(event, ev.Received):
                for see_heard in self._see_heard[type(event)]:
                    see_heard(moment, index, event.author, event.data)
            elif event is not _TICK:
                self._show_event(moment, node, event)
        try:
            outward = node.turns.take(events, now)
            if node.turns_left is not None:
                node.turns_left -= 1
                if node.turns_left < 0:
                    # Killed after the journal and the signatures, before anything left.
                    raise PowerCutError
            for effect in outward:
                self.carry_out(node, effect, moment)
        except PowerCutError:
            self.cut_power(node.index)
            return
        due_ms = node.turns.machine.get_deadline_ms(now)
        # Most turns change nothing of what is due: the tick is on its way already.
        if due_ms != node.due_ms or due_ms <= now.mono_ms:
            self._set_tick(node, due_ms, now)

    def _ring(self, moment: Moment, index: int) -> None:
        """Show a turn to those who wait for one, each of whom says anew what it waits for."""
        self._alarms.clear(index)
        for see in self._see_due:
            see(moment, index)

    def _set_tick(self, node: Node, due_ms: int, now: Now) -> None:
        node.due_ms = due_ms
        node.spins = node.spins + 1 if due_ms <= now.mono_ms else 0
        if node.spins > SPINS_MAX:
            raise SpinError(f"node {node.index} asks for {due_ms}, it is {now.mono_ms}")
        tick_ms = max(node.clock.find_true_ms(due_ms), self.true_ms + (node.spins > 0))
        if tick_ms != node.tick_ms:
            node.tick_ms = tick_ms
            self._schedule.add(tick_ms, (node.index, node.life, None))

    def _show_event(self, moment: Moment, node: Node, event: ev.Event) -> None:
        if isinstance(event, ev.Answered):
            # An answer brings entries as a message of gossip does; watchers read both alike.
            message = _to_message(event.data)
            if message is not None:
                for see in self._see_heard[ev.Received]:
                    see(moment, node.index, event.peer, message)
        elif isinstance(event, ev.Stored | ev.StoreRefused | ev.StoreDown):
            node.writes = 0
        elif isinstance(event, ev.StoreUp):
            for watcher in self.watchers:
                watcher.connected(moment, node.index)
        elif isinstance(event, ev.Observed):
            seen = event.observation
            for watcher in self.watchers:
                watcher.observed(moment, node.index, seen.pair, event.round, seen.price)

    def carry_out(self, node: Node, effect: Outward, moment: Moment) -> None:
        """Do what a node's turn asked for, one effect."""
        if node.effects_left is not None and not isinstance(effect, ev.Note):
            node.effects_left -= 1
            if node.effects_left < 0:
                raise PowerCutError
        match effect:
            case ev.Note():
                self._tell(node, effect, moment)
            case ev.Publish():
                self.send(node.index, effect.data)
            case ev.Penalize():
                self._penalize(node, effect, moment)
            case ev.Fetch():
                self._fetch(node, effect)
            case ev.Write():
                self.server.write(node, effect.rows, moment)
            case ev.ReadRows() | ev.Correct() | ev.AddSignatures():
                self.server.audit(node, effect)
            case ev.Ask():
                self.streams.ask(node, effect)
            case ev.Answer():
                self.streams.answer(node, effect)

    def route_stream(self, sender: int, receiver: int) -> int | None:
        """Return how long bytes of a stream take on this way; None if none get through."""
        return next(iter(self.links.route(sender, receiver, self.true_ms)), None)

    def relay_answer(self, asked: int, asker: int, data: bytes) -> bytes | None:
        """Return what of an answer reaches the asker; None when nothing does."""
        del asked, asker
        return data

    def _tell(self, node: Node, note: ev.Note, moment: Moment) -> None:
        kind, watchers = self._see_told[note.kind]
        if not watchers:
            return
        told = Told(kind, note.pair, note.round, note.id, note.count, note.reason, note.author)
        for see in watchers:
            see(moment, node.index, told)

    def _tell_signed(self, node: Node, digest: bytes) -> None:
        moment = self.get_moment(node)
        for see in self._see_signed:
            see(moment, node.index, digest)

    # --- behind the ports ---------------------------------------------------------------------

    def send(self, author: int, data: bytes, to: Iterable[int] | None = None) -> None:
        """Gossip bytes in a member's name to all others, or to these."""
        moment = self.get_moment(self.nodes[author])
        kind = ev.Received if has_entries(data) else _Words
        for see in self._see_published[kind]:
            see(moment, author, data)
        event = kind(self.nodes[author].peer_id, data)
        receivers = range(len(self.nodes)) if to is None else to
        others = [node for node in receivers if node != author]
        true_ms = self.true_ms
        for delay_ms, arrived in self.links.spread(author, others, true_ms, data).items():
            # It is on its way whatever becomes of the process that it will find there.
            things: list[Thing] = [(receiver, -1, event) for receiver in arrived]
            self._schedule.add_all(true_ms + delay_ms, things)

    def _penalize(self, node: Node, effect: ev.Penalize, moment: Moment) -> None:
        for watcher in self.watchers:
            watcher.penalized(moment, node.index, effect.author, effect.reason)
        for other in self.nodes:
            if other.peer_id == effect.author:
                self.links.refuse(node.index, other.index, self.true_ms)

    def _fetch(self, node: Node, effect: ev.Fetch) -> None:
        pair = effect.terms.pair
        quote = self.market.observe(node.index, pair, self.true_ms, effect.deadline_ms)
        delay_ms, price = quote
        answer: ev.Event
        if price is None:
            answer = ev.NotObserved(pair, effect.round, "timeout")
        else:
            observed_at = (self.now(node).wall_ms + delay_ms) // 1000
            price = price * 10**effect.terms.decimals // 10**DECIMALS
            observation = Observation(pair, price, observed_at, 0, ("simulated",))
            answer = ev.Observed(effect.terms, effect.round, observation)
        self.give(node.index, answer, delay_ms)

    def get_true_moment(self) -> Moment:
        """Return the time for watchers of what happens to no node."""
        return Moment(self.true_ms, self.true_ms, self.true_ms)


def _find_who_sees(name: str, watchers: Iterable[Watcher]) -> list[Callable[..., None]]:
    """Return this hook of the watchers that have one of their own."""
    usual = getattr(Watcher, name)
    return [getattr(one, name) for one in watchers if getattr(type(one), name) is not usual]


def _is_told(watcher: Watcher, kind: ev.NoteKind) -> bool:
    return watcher.hears_of is None or kind.value in watcher.hears_of


def _to_message(answer: bytes) -> bytes | None:
    """Return an answer's entries as a message of gossip; None if it has none."""
    try:
        kind, entries = msgspec.msgpack.decode(answer)
    except (msgspec.MsgspecError, TypeError, ValueError):
        return None
    return msgspec.msgpack.encode([1, entries, [], []]) if kind == "entries" else None
