"""From a seed to a bad day: the network, the clocks, the liars, and what goes wrong when.

Each seed picks a few kinds of fault and leaves the others out (swarm testing): what all together
would hide, few together show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from gossip_price.network.document import Mode, compute_faulty_default
from gossip_price.simulator.changes import Change, draw_changes, draw_terms
from gossip_price.simulator.dice import Dice
from gossip_price.simulator.faults import BOUNDARIES, KINDS, Fault
from gossip_price.simulator.liars import HABITS

#: A midnight (UTC) in 2027: a multiple of every interval that divides a day.
START_MS: Final = 20_834 * 86_400_000
_BEFORE_MS: Final = 20_000
#: The settle time of the first epoch, and its cap where the plan draws no shorter one; seconds.
SETTLE_S: Final = 30
CAP_S: Final = 3 * SETTLE_S
#: Faults that touch one node are dealt at most this often in a bad day.
_FAULTS_MAX: Final = 7
_PPM: Final = 100
#: Seeds that last hours rather than minutes; each takes as long as ten others.
_LONG_PERMILLE: Final = 80
#: Seeds whose settle cap is short enough to end what late signers hold open, and how far beyond
#: the settle time it is (seconds).
_CAPPED_PERMILLE: Final = 200
_CAP_BEYOND_S: Final = (0, 1, 4)
#: In them as many members as may lie sign this much after the others, because of their sources.
_TRICKLE_MS: Final = (3_000, 6_000)
#: Seeds whose liars, whatever else they do, name open reports that they do not have.
_OVERSTATING_PERMILLE: Final = 200
#: Of the seeds with changes: in how many the terms change as well.
_TERMS_PERMILLE: Final = 400
#: What no seed does: with its volume lost AND its clock beyond the skew a node knows neither what
#: it signed nor when it was born (docs/simulator.md).
#: Nor: with its volume lost AND an old file a node does not know that it left an epoch.
_NEVER_TOGETHER: Final = (
    {"clock", "volume"}, {"oldfile", "volume"}, {"clock", "away"}, {"oldfile", "away"}
)  # fmt: skip


class Options(NamedTuple):
    """What people may fix; None leaves it to the seed.

    `faults` None: any, empty: none. `habits`: as many liars as may be, and only with these.
    `epochs` True: epochs change in every seed; `turns` True: and with each of them the mode.
    `long`: hours in every seed. `capped`: a short settle cap, and late signers, in every seed.
    """

    members: int | None = None
    mode: Mode | None = None
    interval: int | None = None
    rounds: int | None = None
    faults: tuple[str, ...] | None = None
    liars: bool = True
    habits: tuple[str, ...] = ()
    epochs: bool = False
    turns: bool = False
    long: bool = False
    capped: bool = False


class LiarPlan(NamedTuple):
    """Who lies, and how."""

    node: int
    habits: tuple[str, ...]


class Plan(NamedTuple):
    """One bad day, whole. `clocks` are (error in ms, drift in ppm) of each node.

    `members` are the first nodes of all `nodes`; `changes` say who is one later.
    """

    seed: int
    members: int
    nodes: int
    changes: tuple[Change, ...]
    #: Nodes whose software knows no protocol but the first.
    dated: tuple[int, ...]
    mode: Mode
    interval: int
    rounds: int
    clocks: tuple[tuple[int, int], ...]
    latency_ms: int
    jitter_ms: int
    fetch_ms: int
    liars: tuple[LiarPlan, ...]
    faults: tuple[Fault, ...]
    #: Of the first epoch, in seconds; later ones have it in the same proportion to the settle time.
    settle_cap: int = CAP_S

    @property
    def begin_ms(self) -> int:
        """When the world begins."""
        return START_MS - _BEFORE_MS

    @property
    def calm_ms(self) -> int:
        """When nothing goes wrong any more."""
        return START_MS + self.rounds * self.interval * 1000


def make_plan(seed: int, options: Options = Options()) -> Plan:  # noqa: B008 # a frozen value
    """Draw the plan of a seed."""
    dice = Dice(seed, "plan")
    members = options.members or dice.pick((4, 4, 4, 4, 5, 7))
    mode = options.mode or dice.pick((Mode.ROUNDS, Mode.ROUNDS, Mode.ROUNDS, Mode.EVERY_NODE))
    # Some days are long: only then are rounds closed, a node away for hours, trees worth a lie.
    is_fixed = bool(options.habits or options.epochs or options.turns or options.rounds)
    is_free = options.faults is None and not is_fixed
    is_long = options.long or (is_free and Dice(seed, "long").chance(_LONG_PERMILLE))
    interval = options.interval or dice.pick((300, 600) if is_long else (15, 15, 15, 15, 30, 60))
    rounds = options.rounds or dice.between(8, 16)
    any_fault = tuple(kind for kind in KINDS if is_long or kind != "away")
    names = any_fault if options.faults is None else options.faults
    may_change = bool(names) and options.members is None and members == 4
    changes = options.epochs or options.turns or (may_change and dice.chance(250))
    wanted = draw_changes(members, interval, mode, dice) if changes else ()
    terms_dice = Dice(seed, "terms")
    if options.turns or terms_dice.chance(_TERMS_PERMILLE):
        wanted = draw_terms(wanted, mode, terms_dice, turns=options.turns)
    nodes = max((members, *(max(change.roster) + 1 for change in wanted)))
    is_dated = any(change.protocol > 1 for change in wanted) and dice.chance(500)
    dated = tuple(dice.sample(range(nodes), 1)) if is_dated else ()
    faulty = compute_faulty_default(members)
    lying = dice.between(0, faulty) if options.liars and names and dice.chance(600) else 0
    left_out = ("overstate",) if is_long else ("overstate", "trees")
    any_habit = tuple(habit for habit in HABITS if habit not in left_out)
    habits, lying = (options.habits, faulty) if options.habits else (any_habit, lying)
    liars = tuple(
        LiarPlan(node, tuple(dice.sample(habits, dice.between(1, 4))))
        for node in dice.sample(range(nodes), lying)
    )
    if is_free and Dice(seed, "habits").chance(_OVERSTATING_PERMILLE):
        liars = tuple(LiarPlan(liar.node, (*liar.habits, "overstate")) for liar in liars)
    # Drift shows over a day what an error does at once; over more, time servers correct it.
    drift_ppm = _PPM if rounds * interval <= 86_400 and names else 0
    clocks = tuple(
        (dice.between(-400, 400) if names else 0, dice.between(-drift_ppm, drift_ppm))
        for _ in range(nodes)
    )
    plan = Plan(
        seed, members, nodes, wanted, dated, mode, interval, rounds, clocks,
        latency_ms=dice.pick((2, 20, 80)), jitter_ms=dice.pick((0, 20, 60)),
        fetch_ms=dice.pick((30, 80, 300)), liars=liars, faults=(),
    )  # fmt: skip
    plan = plan._replace(faults=_draw_faults(plan, names, dice))
    cap_dice = Dice(seed, "cap")
    if options.capped or (is_free and cap_dice.chance(_CAPPED_PERMILLE)):
        return _shorten_cap(plan, cap_dice)
    return plan


def _shorten_cap(plan: Plan, dice: Dice) -> Plan:
    """Return the plan with a cap that bites: as many as may lie sign after the others."""
    lying = {liar.node for liar in plan.liars}
    honest = [node for node in range(plan.members) if node not in lying]
    slow = dice.sample(honest, compute_faulty_default(plan.members))
    trickle = tuple(
        Fault("slowsource", plan.begin_ms, plan.calm_ms, node, dice.pick(_TRICKLE_MS))
        for node in slow
    )
    settle_cap = SETTLE_S + dice.pick(_CAP_BEYOND_S)
    return plan._replace(faults=(*trickle, *plan.faults), settle_cap=settle_cap)


def _draw_faults(plan: Plan, names: tuple[str, ...], dice: Dice) -> tuple[Fault, ...]:
    if not names:
        return ()
    chosen = dice.sample(names, dice.between(0, min(4, len(names))))
    for pair in _NEVER_TOGETHER:
        if pair <= set(chosen):
            chosen.remove(dice.pick(sorted(pair)))
    honest = [i for i in range(len(plan.clocks)) if i not in {liar.node for liar in plan.liars}]
    busy: set[tuple[str, int]] = set()
    faults = []
    for _ in range(dice.between(1, _FAULTS_MAX) if chosen else 0):
        kind = dice.pick(chosen)
        fault = _draw_fault(kind, plan, honest, dice)
        group = "process" if kind in _PROCESS else kind
        # One trouble of a sort at a node: their beginnings and ends must not cross.
        where = {(group, fault.node)}
        if kind == "blackout":
            where = {(group, node) for node in range(-1, len(plan.clocks))}
        if not where & busy:
            busy |= where
            faults.append(fault)
    return tuple(sorted(faults, key=lambda fault: (fault.start_ms, fault.kind, fault.node)))


#: Faults that begin or end a process.
_PROCESS: Final = ("kill", "volume", "away", "leave", "stop", "blackout", "oldfile")


def _draw_fault(kind: str, plan: Plan, honest: list[int], dice: Dice) -> Fault:
    length_ms = plan.calm_ms - START_MS
    start_ms = START_MS - 5_000 + dice.below(length_ms)
    if kind in _PROCESS or kind == "disk":
        # Near the start of a round, where there is something to break; back soon or late.
        rounds = (start_ms - START_MS) // (plan.interval * 1000)
        start_ms = START_MS + rounds * plan.interval * 1000 + dice.below(5_000)
    lasts_ms = dice.pick((500, 2_000, 6_000, plan.interval * 1000, plan.interval * 4_000))
    end_ms = min(start_ms + lasts_ms + dice.below(2_000), plan.calm_ms)
    start_ms = min(start_ms, end_ms - 100)
    if kind == "away":
        start_ms = START_MS + dice.below(length_ms // 4)
        end_ms = plan.calm_ms - dice.below(length_ms // 4)
    node = dice.pick(honest)
    value, where = 0, -1
    group: tuple[int, ...] = ()
    if kind in _VALUES:
        value = _VALUES[kind](dice)
    if kind in ("partition", "oneway"):
        nodes = range(len(plan.clocks))
        group = tuple(dice.sample(nodes, dice.between(1, len(nodes) // 2)))
    elif KINDS[kind].disturbs == "node" or kind == "unreachable":
        where = node
    return Fault(kind, start_ms, end_ms, where, value, group)


_VALUES: Final[dict[str, Callable[[Dice], int]]] = {
    "loss": lambda dice: dice.pick((20, 100, 300, 900)),
    "copies": lambda dice: dice.pick((100, 1_000)),
    "slow": lambda dice: dice.pick((200, 1_000, 4_000)),
    "clock": lambda dice: dice.pick((-60_000, -16_000, -3_000, -1_000, 1_000, 3_000, 60_000)),
    "kill": lambda dice: dice.below(len(BOUNDARIES) * 3),
    "volume": lambda dice: dice.below(len(BOUNDARIES) * 3),
    "away": lambda dice: dice.below(3),
    "slowbase": lambda dice: dice.pick((200, 2_000, 20_000)),
    "answers": lambda dice: dice.pick((300, 1_000)),
    "squat": lambda dice: dice.between(1, 3),
    "tamper": lambda dice: dice.between(1, 5),
    "delete": lambda dice: dice.pick((1, 3, 300)),
    "invent": lambda dice: dice.between(1, 3),
    "poison": lambda dice: dice.between(1, 2),
    "lag": lambda dice: dice.pick((30, 300, 1_800)),
    "disagree": lambda dice: dice.pick((-5_000, -150, -95, 95, 150, 90_000)),
    "slowsource": lambda dice: dice.pick((1_000, 4_000, 12_000)),
}
