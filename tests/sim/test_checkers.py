"""What checkers take for granted, to be quick, holds."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gossip_price import core
from gossip_price.core.events import NoteKind
from gossip_price.network.document import Mode
from gossip_price.simulator import run
from gossip_price.simulator.changes import Announcer
from gossip_price.simulator.checkers import Checker, Evidence, Setting, make_checkers
from gossip_price.simulator.checkers.bounds import Attributes, measure
from gossip_price.simulator.checkers.cost import CostChecker
from gossip_price.simulator.checkers.liveness import LivenessChecker
from gossip_price.simulator.facts import Alarms, Claim, Moment, Row, Watcher
from gossip_price.simulator.plan import Options, Plan, make_plan
from gossip_price.simulator.run import Outcome, run_plan
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


def take_down(thing: object) -> object:
    """Return what a checker holds as plain values that can be compared."""
    if isinstance(thing, dict):
        return {repr(take_down(key)): take_down(value) for key, value in thing.items()}
    if isinstance(thing, set | frozenset):
        return sorted(repr(take_down(one)) for one in thing)
    if isinstance(thing, list | tuple):
        return [take_down(one) for one in thing]
    if isinstance(thing, int | str | bytes | None):
        return thing
    names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return type(thing).__name__, [take_down(getattr(thing, name)) for name in names]


def run_shown(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, *, everything: bool
) -> tuple[Outcome, Counter[str], dict[str, dict[str, object]]]:
    """Run a plan; return how many turns each checker was shown, and what it holds in the end."""
    checkers: list[Checker] = []
    turns: Counter[str] = Counter()

    def count(checker: Checker) -> Callable[[Moment, int], None]:
        turned = checker.turned

        def count_turn(at: Moment, node: int) -> None:
            turns[checker.name] += 1
            turned(at, node)

        return count_turn

    def make(setting: Setting) -> tuple[Checker, ...]:
        checkers.extend(make_checkers(setting))
        for checker in checkers:
            monkeypatch.setattr(checker, "turned", count(checker))
            if everything:
                monkeypatch.setattr(checker, "alarms", Alarms())
                monkeypatch.setattr(checker, "hears_words", True)
        return tuple(checkers)

    with monkeypatch.context() as patched:
        patched.setattr(run, "make_checkers", make)
        outcome = run_plan(plan, scheme=CHEAP, hashed=False)
    unlike = ("setting", "evidence", "alarms", "hears_words", "turned")
    held = {
        checker.name: {
            name: take_down(value) for name, value in vars(checker).items() if name not in unlike
        }
        for checker in checkers
    }
    return outcome, turns, held


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


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(members=4, faults=("clock", "kill", "blackout", "volume")),
        Options(epochs=True),
        Options(turns=True),
        Options(members=4, interval=600),
    ],
    ids=["free", "clocks", "epochs", "terms", "long rounds"],
)
@pytest.mark.parametrize("seed", [1, 3])
def test_checkers_lose_nothing_by_what_they_are_not_shown(
    seed: int, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(seed, options)
    outcome, turns, held = run_shown(plan, monkeypatch, everything=False)
    all_outcome, all_turns, all_held = run_shown(plan, monkeypatch, everything=True)
    assert outcome == all_outcome
    assert held == all_held
    assert turns["settling"] == turns["votes"] < all_turns["votes"] // 2


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


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_liars_signature_proves_a_round_once_a_member_has_taken_it_in(is_kept: bool) -> None:
    plan = make_plan(1, Options(members=4, mode=Mode.ROUNDS, interval=60))
    law = run.make_law(run.make_first(plan, run.make_members(plan)[1]))
    evidence = Evidence(law.separator, lambda _, signature: signature)
    checker = LivenessChecker(Setting(evidence, (law,), frozenset({3}), law.peers, law.addresses))
    round_ = law.start + law.interval
    claim = Claim(law.epoch, law.pairs[0], round_, 1, 8, round_, law.addresses[0])

    def publish(node: int, *signers: int) -> None:
        entry = [list(claim), [[signer, law.addresses[signer]] for signer in signers]]
        data = msgspec.msgpack.encode([1, [entry], [], []])
        checker.published(at(round_ + 1), node, data)

    def at(second: int) -> Moment:
        return Moment(second * 1000, second * 1000, second * 1000)

    checker.began(at(law.start), 0, lost_volume=False)
    publish(0, 0)
    publish(1, 0, 1)
    publish(3, 0, 1, 3)
    id_ = evidence.compute_id(claim)
    if is_kept:
        checker.kept(at(round_ + 2), 1, id_, claim, ())
        checker.inserted(at(round_ + 40), 1, (Row(id_, claim, ()),))
    checker.close(at(round_ + 2 * law.interval))
    assert [one.text for one in checker.violations] == ([] if is_kept else ["was not proven"])
