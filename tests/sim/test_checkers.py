"""What checkers take for granted, to be quick, holds."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gossip_price import core
from gossip_price.core.events import NoteKind
from gossip_price.simulator.changes import Announcer
from gossip_price.simulator.checkers import Checker, Evidence, Setting
from gossip_price.simulator.checkers.bounds import Attributes, measure
from gossip_price.simulator.checkers.cost import CostChecker
from gossip_price.simulator.facts import Claim, Moment, Row, Watcher
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


@pytest.mark.parametrize("is_refused", [True, False])
def test_three_that_write_a_row_at_once_are_a_herd_but_where_the_database_refuses_rows(
    *, is_refused: bool
) -> None:
    """Who was refused halves its batch, and the next in turn has its own turn meanwhile."""
    evidence = Evidence(bytes(32), CHEAP.recover)
    checker = CostChecker(Setting(evidence, (), frozenset(), (), ()))
    row = Row(bytes(32), Claim(bytes(32), "ETH-USD", 0, 1, 8, 0, bytes(20)), ())
    if is_refused:
        checker.poisoned(Moment(0, 0, 0), (b"another".ljust(32),))
    for node in range(3):
        checker.asked_to_write(Moment(1_000 + node, 0, 0), node, (row,))
    assert bool(checker.violations) is not is_refused
