"""What goes wrong, as values, and how each is done to a world and undone again.

To add a fault: a line in `KINDS` (how it begins and ends), one in `plan` (how often, how strong).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from gossip_price.core.events import Closing, NetworkChanged
from gossip_price.network.document import DocumentError
from gossip_price.network.epochs import EpochChain
from gossip_price.simulator.dice import Dice
from gossip_price.simulator.facts import Watcher
from gossip_price.simulator.meddling import MEDDLERS
from gossip_price.simulator.nodes import Node
from gossip_price.simulator.server import STORE
from gossip_price.simulator.world import World


class Fault(NamedTuple):
    """Something goes wrong from `start_ms` to `end_ms` of true time.

    `node` is where (-1: everywhere), `value` how much in the kind's unit, `group` with whom.
    """

    kind: str
    start_ms: int
    end_ms: int
    node: int = -1
    value: int = 0
    group: tuple[int, ...] = ()


Act = Callable[[World, Fault], None]


class Kind(NamedTuple):
    """How a fault begins and ends; what it disturbs, and how long after its end (milliseconds)."""

    begin: Act
    end: Act
    disturbs: str
    after_ms: int = 0


def _nothing(world: World, fault: Fault) -> None:
    """Ends by itself."""


# --- the network --------------------------------------------------------------------------------


def _lose(world: World, fault: Fault) -> None:
    world.links.loss_permille += fault.value


def _lose_no_more(world: World, fault: Fault) -> None:
    world.links.loss_permille -= fault.value


def _copy(world: World, fault: Fault) -> None:
    world.links.copies_permille += fault.value


def _copy_no_more(world: World, fault: Fault) -> None:
    world.links.copies_permille -= fault.value


def _slow(world: World, fault: Fault) -> None:
    world.links.extra_ms += fault.value


def _slow_no_more(world: World, fault: Fault) -> None:
    world.links.extra_ms -= fault.value


def _get_ways(world: World, fault: Fault) -> list[tuple[int, int]]:
    inside = set(fault.group)
    ways = [(a, b) for a in sorted(inside) for b in range(len(world.nodes)) if b not in inside]
    return ways if fault.kind == "oneway" else ways + [(b, a) for a, b in ways]


def _part(world: World, fault: Fault) -> None:
    for way in _get_ways(world, fault):
        world.links.break_way(*way)


def _join(world: World, fault: Fault) -> None:
    for way in _get_ways(world, fault):
        world.links.mend_way(*way)


# --- clocks -------------------------------------------------------------------------------------


def _step_clock(world: World, fault: Fault) -> None:
    world.nodes[fault.node].clock.error_ms += fault.value


def _step_back(world: World, fault: Fault) -> None:
    world.nodes[fault.node].clock.error_ms -= fault.value


# --- processes and volumes ----------------------------------------------------------------------

#: Where in a turn a process is killed: the boundaries between effects.
BOUNDARIES: Final = (
    "at once",
    "before the commit",
    "after the commit",
    "after signing",
    "before anything leaves",
    "between what leaves",
    "without power",
)


def _kill(world: World, fault: Fault) -> None:
    node = world.nodes[fault.node]
    if not node.alive:
        return
    boundary, count = BOUNDARIES[fault.value % len(BOUNDARIES)], fault.value // len(BOUNDARIES)
    match boundary:
        case "at once":
            world.kill(fault.node)
        case "before the commit":
            node.journal.cut = (count, False)
        case "after the commit":
            node.journal.cut = (count, True)
        case "after signing":
            node.signer.cut = count
        case "before anything leaves":
            node.turns_left = count
        case "between what leaves":
            node.effects_left = count
        case _:
            world.cut_power(fault.node)


def _start_again(world: World, fault: Fault) -> None:
    if world.nodes[fault.node].alive:
        world.kill(fault.node)
    _boot(world, world.nodes[fault.node])
    world.begin(fault.node)


def _start_with_new_volume(world: World, fault: Fault) -> None:
    if world.nodes[fault.node].alive:
        world.kill(fault.node)
    world.begin(fault.node, lost_volume=True)


def _put_back_file(world: World, fault: Fault) -> None:
    """Start the node anew with the network file that it had before the newest epoch."""
    node = world.nodes[fault.node]
    if node.alive:
        world.kill(fault.node)
    node.chain = EpochChain(node.chain.documents[:-1] or node.chain.documents)
    # Who knows better refuses to start; who does not (a new volume) is a laggard.
    with suppress(DocumentError):
        world.begin(fault.node)


def _find_file(world: World, fault: Fault) -> None:
    """Give the node the file that the others have."""
    node = world.nodes[fault.node]
    node.chain = max((other.chain for other in world.nodes), key=lambda one: len(one.documents))
    if node.alive:
        world.give(fault.node, NetworkChanged(node.chain))
    else:
        world.begin(fault.node)


def _black_out(world: World, fault: Fault) -> None:
    """All lose their power in one moment."""
    for node in world.nodes:
        if node.alive:
            world.cut_power(node.index)


def _light_again(world: World, fault: Fault) -> None:
    for node in world.nodes:
        if node.index not in world.ears:
            _boot(world, node)
            world.begin(node.index)


def _boot(world: World, node: Node) -> None:
    """Let the monotonic clock begin anew, as after a reboot."""
    now = world.now(node)
    error_ms = now.wall_ms - world.true_ms
    node.clock.set_right(world.true_ms, mono_ms=5_000 + node.life, error_ms=error_ms, drift_ppm=0)


def _go_away(world: World, fault: Fault) -> None:
    """Gone for most of the time, without a warning."""
    if world.nodes[fault.node].alive:
        world.kill(fault.node)


def _come_back(world: World, fault: Fault) -> None:
    """Return from its disk, or, one time in three, without it."""
    if fault.value:
        _start_again(world, fault)
    else:
        _start_with_new_volume(world, fault)


def _ask_to_leave(world: World, fault: Fault) -> None:
    if world.nodes[fault.node].alive:
        world.give(fault.node, Closing())


def _stop(world: World, fault: Fault) -> None:
    if world.nodes[fault.node].alive and world.nodes[fault.node].stopped is None:
        world.stop(fault.node)


def _cont(world: World, fault: Fault) -> None:
    if world.nodes[fault.node].stopped is not None:
        world.cont(fault.node)


def _fill_disk(world: World, fault: Fault) -> None:
    world.nodes[fault.node].journal.full = True


def _empty_disk(world: World, fault: Fault) -> None:
    world.nodes[fault.node].journal.full = False


# --- the database -------------------------------------------------------------------------------


def _store_down(world: World, fault: Fault) -> None:
    world.server.stop()


def _store_up(world: World, fault: Fault) -> None:
    world.server.start()


def _cut_from_store(world: World, fault: Fault) -> None:
    world.server.unreachable.add(fault.node)
    world.server.disconnect(fault.node)


def _join_store(world: World, fault: Fault) -> None:
    world.server.unreachable.discard(fault.node)
    world.server.connect(fault.node)


def _slow_store(world: World, fault: Fault) -> None:
    world.server.write_ms = (fault.value, fault.value // 2)


def _quick_store(world: World, fault: Fault) -> None:
    world.server.write_ms = (2, 5)


def _lose_answers(world: World, fault: Fault) -> None:
    dice = Dice(fault.start_ms, "answers")
    world.server.loses_answer = lambda: dice.chance(fault.value)


def _answer(world: World, fault: Fault) -> None:
    world.server.loses_answer = lambda: False


def _back_up(world: World, fault: Fault) -> None:
    world.table.back_up()


def _restore(world: World, fault: Fault) -> None:
    if world.table.up:
        world.server.restore_backup()


def _fail_over(world: World, fault: Fault) -> None:
    """Another database, of another name, that has nothing yet."""
    world.server.store = bytes([world.server.store[0] + 1]) * len(STORE)
    world.table.back_up_nothing()
    _restore(world, fault)


def _meddle(world: World, fault: Fault) -> None:
    """Somebody has the password."""
    MEDDLERS[fault.kind](world, Dice(fault.start_ms, fault.kind), fault.value)


_POISON_MS: Final = 150_000


def _poison(world: World, fault: Fault) -> None:
    """A constraint of the database's owner refuses one of the rows that come next."""
    waiting = sorted(
        id_ for node in world.nodes for id_ in node.journal.proven if id_ not in world.table
    )
    world.server.poison(Dice(fault.start_ms, "poison").sample(sorted(set(waiting)), fault.value))
    # Whatever the plan says: until these have settled and were tried.
    world.schedule(_POISON_MS, lambda: world.server.poison(()))


# --- sources ------------------------------------------------------------------------------------


def _lag(world: World, fault: Fault) -> None:
    world.market.lag_s[fault.node] = fault.value


def _lag_no_more(world: World, fault: Fault) -> None:
    world.market.lag_s.pop(fault.node, None)


def _shift(world: World, fault: Fault) -> None:
    world.market.shift_bp[fault.node] = fault.value


def _shift_no_more(world: World, fault: Fault) -> None:
    world.market.shift_bp.pop(fault.node, None)


def _fail(world: World, fault: Fault) -> None:
    world.market.failing.add(fault.node)


def _fail_no_more(world: World, fault: Fault) -> None:
    world.market.failing.discard(fault.node)


def _delay(world: World, fault: Fault) -> None:
    world.market.delay_ms[fault.node] = fault.value


def _delay_no_more(world: World, fault: Fault) -> None:
    world.market.delay_ms.pop(fault.node, None)


KINDS: Final[dict[str, Kind]] = {
    "loss": Kind(_lose, _lose_no_more, "network", 5_000),
    "copies": Kind(_copy, _copy_no_more, ""),
    "slow": Kind(_slow, _slow_no_more, "network", 20_000),
    "partition": Kind(_part, _join, "network", 1_000),
    "oneway": Kind(_part, _join, "network", 1_000),
    "clock": Kind(_step_clock, _step_back, "node", 20_000),
    "kill": Kind(_kill, _start_again, "node", 20_000),
    "blackout": Kind(_black_out, _light_again, "all", 30_000),
    "volume": Kind(_kill, _start_with_new_volume, "node", 30_000),
    "away": Kind(_go_away, _come_back, "node", 30_000),
    "oldfile": Kind(_put_back_file, _find_file, "node", 30_000),
    "leave": Kind(_ask_to_leave, _start_again, "node", 20_000),
    "stop": Kind(_stop, _cont, "node", 20_000),
    "disk": Kind(_fill_disk, _empty_disk, "node", 20_000),
    "database": Kind(_store_down, _store_up, "database", 30_000),
    "unreachable": Kind(_cut_from_store, _join_store, "database", 30_000),
    "slowbase": Kind(_slow_store, _quick_store, "database", 10_000),
    "answers": Kind(_lose_answers, _answer, "database", 10_000),
    "restore": Kind(_back_up, _restore, "database", 60_000),
    "failover": Kind(_nothing, _fail_over, "database", 60_000),
    "squat": Kind(_meddle, _nothing, "database", 60_000),
    "tamper": Kind(_meddle, _nothing, "database", 60_000),
    "delete": Kind(_meddle, _nothing, "database", 60_000),
    "invent": Kind(_meddle, _nothing, "database"),
    "poison": Kind(_poison, _nothing, ""),
    "lag": Kind(_lag, _lag_no_more, "node", 1_000),
    "disagree": Kind(_shift, _shift_no_more, "node", 1_000),
    "sources": Kind(_fail, _fail_no_more, "node", 1_000),
    "slowsource": Kind(_delay, _delay_no_more, "node", 20_000),
}


def arrange(world: World, fault: Fault, watchers: tuple[Watcher, ...]) -> None:
    """Let a fault happen to the world at its time; tell the watchers beforehand."""
    kind = KINDS[fault.kind]
    touched = (fault.node,) if fault.node >= 0 else fault.group
    after_ms = kind.after_ms
    if fault.kind == "clock":
        # Whoever was ahead signs nothing until true time has come there.
        after_ms += abs(fault.value) + 60_000
    for watcher in watchers if kind.disturbs else ():
        watcher.disturbed(fault.start_ms, fault.end_ms + after_ms, kind.disturbs, touched)
    world.schedule(fault.start_ms - world.true_ms, lambda: kind.begin(world, fault))
    world.schedule(fault.end_ms - world.true_ms, lambda: kind.end(world, fault))
