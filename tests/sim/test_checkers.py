"""What checkers take for granted, to be quick, holds."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest

from gossip_price import core
from gossip_price.core.events import NoteKind
from gossip_price.simulator.changes import Announcer
from gossip_price.simulator.checkers import Checker, Evidence, Setting
from gossip_price.simulator.checkers.bounds import Attributes, measure
from gossip_price.simulator.checkers.cost import CostChecker
from gossip_price.simulator.facts import Alarms, Claim, Moment, Row, Watcher
from gossip_price.simulator.plan import Options, make_plan
from gossip_price.simulator.run import run_plan
from gossip_price.simulator.scheme import CHEAP

KINDS = frozenset(kind.value for kind in NoteKind)
WATCHERS: tuple[type[Watcher], ...] = (Announcer, *Checker.__subclasses__())
CHOOSY = [watcher for watcher in WATCHERS if watcher.hears_of is not None]


class Comparer(Watcher):
    """Measures each machine as the checker does, and again as if it were the first."""

    def __init__(self) -> None:
        self.attributes: Attributes = {}
        self.nodes: set[int] = set()

    def inspected(self, at: Moment, node: int, machine: object, journal: object) -> None:
        self.nodes.add(node)
        assert list(measure(machine, self.attributes)) == list(measure(machine))


class Sleeper(Watcher):
    """Wants to see a turn a minute by the wall clock and every few seconds by the other one."""

    hears_words = False

    def __init__(self) -> None:
        self.alarms: Alarms = Alarms()
        self.turns: list[tuple[Moment, int]] = []
        self.messages: list[bytes] = []

    def turned(self, at: Moment, node: int) -> None:
        self.turns.append((at, node))
        self.alarms.set_wall(node, get_minute(at.wall_ms + 60_000))
        self.alarms.set_mono(node, at.mono_ms + 40_000 * (node + 1))
        self.alarms.set_mono(node, at.mono_ms + 90_000)

    def heard(self, at: Moment, node: int, author: str, data: bytes) -> None:
        self.messages.append(data)


class Wakeful(Watcher):
    """Sees all turns and messages, and which of them the other one is to see."""

    def __init__(self) -> None:
        self.turns: list[tuple[Moment, int]] = []
        self.messages: list[bytes] = []
        self.passed = 0
        self._waits: dict[int, tuple[int, int]] = {}

    def turned(self, at: Moment, node: int) -> None:
        wall_ms, mono_ms = self._waits.get(node, (0, 0))
        self.passed += 1
        if at.wall_ms >= wall_ms or at.mono_ms >= mono_ms:
            self.turns.append((at, node))
            next_ms = at.mono_ms + min(40_000 * (node + 1), 90_000)
            self._waits[node] = get_minute(at.wall_ms + 60_000), next_ms

    def heard(self, at: Moment, node: int, author: str, data: bytes) -> None:
        _, entries, *_ = msgspec.msgpack.decode(data)
        if entries:
            self.messages.append(data)


def get_minute(wall_ms: int) -> int:
    return wall_ms // 60_000 * 60_000


def list_set(tree: ast.AST) -> set[str]:
    """Return the attributes of `self` that are set in there."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def test_what_a_part_of_the_core_holds_it_holds_from_the_start() -> None:
    checked = 0
    for file in Path(core.__path__[0]).glob("*.py"):
        for part in ast.walk(ast.parse(file.read_text())):
            if isinstance(part, ast.ClassDef):
                named = [one for one in part.body if isinstance(one, ast.FunctionDef)]
                start = [list_set(one) for one in named if one.name == "__init__"]
                fields = {
                    one.target.id
                    for one in part.body
                    if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
                }
                assert list_set(part) <= fields.union(*start), f"{file.name}: {part.name}"
                checked += len(start)
    assert checked > 20


def test_a_machine_is_measured_by_what_the_first_one_holds() -> None:
    comparer = Comparer()
    options = Options(long=True, faults=("away", "kill"), habits=("trees",))
    outcome = run_plan(make_plan(1, options), watchers=(comparer,))
    assert not outcome.violations, outcome.violations
    assert len(comparer.nodes) >= 3


@pytest.mark.parametrize("watcher", CHOOSY, ids=lambda watcher: watcher.__name__)
def test_who_hears_of_some_kinds_asks_for_no_others(watcher: type[Watcher]) -> None:
    spelled = KINDS.intersection(watcher.told.__code__.co_consts)
    assert watcher.hears_of == spelled


def test_who_waits_sees_the_turns_and_messages_that_it_waits_for() -> None:
    sleeper, wakeful = Sleeper(), Wakeful()
    options = Options(members=4, faults=("clock", "kill"))
    run_plan(make_plan(3, options), watchers=(sleeper, wakeful))
    assert sleeper.turns == wakeful.turns
    assert sleeper.messages == wakeful.messages
    assert 20 < len(sleeper.turns) < wakeful.passed // 10


ROW = Row(bytes(32), Claim(bytes(32), "ETH-USD", 0, 1, 8, 0, bytes(20)), ())


@pytest.fixture
def cost() -> CostChecker:
    return CostChecker(Setting(Evidence(bytes(32), CHEAP.recover), (), frozenset(), (), ()))


def write_at(checker: CostChecker, *times_ms: int) -> bool:
    """Let members write the same row, one after the other; tell whether they are a herd."""
    for node, true_ms in enumerate(times_ms):
        checker.asked_to_write(Moment(true_ms, true_ms, true_ms), node, (ROW,))
    return bool(checker.violations)


def test_three_that_write_a_row_at_once_are_a_herd(cost: CostChecker) -> None:
    assert write_at(cost, 1_000, 1_001, 1_002)


def test_who_was_refused_halves_its_batch_while_the_next_in_turn_writes(cost: CostChecker) -> None:
    cost.poisoned(Moment(0, 0, 0), (b"another".ljust(32),))
    assert not write_at(cost, 1_000, 1_001, 1_002)


def be_slow(checker: CostChecker) -> None:
    """Let another row take long."""
    other = ROW._replace(id=b"another".ljust(32))
    checker.asked_to_write(Moment(0, 0, 0), 9, (other,))
    checker.inserted(Moment(20_000, 20_000, 20_000), 9, (other,))


def test_whom_a_slow_database_kept_busy_may_write_what_is_overdue(cost: CostChecker) -> None:
    be_slow(cost)
    assert not write_at(cost, 21_000, 24_000, 24_001, 24_002)


def test_who_takes_over_at_once_with_others_is_a_herd(cost: CostChecker) -> None:
    assert write_at(cost, 21_000, 24_000, 24_001, 24_002)


def test_after_an_outage_they_are_a_herd_whatever_was_tried_before(cost: CostChecker) -> None:
    be_slow(cost)
    assert not write_at(cost, 21_000)
    cost.connected(Moment(23_500, 23_500, 23_500), 0)
    assert write_at(cost, 24_000, 24_001, 24_002)
