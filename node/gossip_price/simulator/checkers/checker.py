"""What a checker is: a watcher that collects what must not be."""

from __future__ import annotations

from typing import Final, NamedTuple

from gossip_price.simulator.checkers.evidence import Evidence
from gossip_price.simulator.facts import Alarms, Law, Moment, Watcher

#: One is enough to fail a seed; some more help to see what it is about.
_VIOLATIONS_MAX: Final = 20


class Violation(NamedTuple):
    """Something that must not be: which checker says so, when, where, and about what."""

    checker: str
    true_ms: int
    node: int
    text: str
    pair: str = ""
    round: int = 0


class Setting(NamedTuple):
    """What a checker knows beforehand: epochs (oldest first), who lies, all nodes' peer ids.

    `protocols` are those that each node knows. `lateness_ms` is how much later than it is due an
    undisturbed process may take its turn, by its own clock. By `alarms`, the world's, checkers say
    which turns they want to see; without, they are shown all.
    """

    evidence: Evidence
    laws: tuple[Law, ...]
    liars: frozenset[int]
    peers: tuple[str, ...]
    addresses: tuple[bytes, ...]
    protocols: tuple[frozenset[int], ...] = ()
    lateness_ms: int = 100
    alarms: Alarms | None = None


class Checker(Watcher):
    """Collects violations. Of `liars` nothing is promised."""

    name = ""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.evidence = setting.evidence
        self.laws = setting.laws
        self.liars = setting.liars
        self.alarms: Alarms = setting.alarms or Alarms()
        self.law_by_epoch = {law.epoch: law for law in setting.laws}
        self.violations: list[Violation] = []

    def blame(self, at: Moment, node: int, text: str, *, pair: str = "", round_: int = 0) -> None:
        """Note a violation."""
        if len(self.violations) < _VIOLATIONS_MAX:
            violation = Violation(self.name, at.true_ms, node, text, pair, round_)
            self.violations.append(violation)

    def enacted(self, at: Moment, law: Law) -> None:
        """Learn of a new epoch."""
        self.laws += (law,)
        self.law_by_epoch[law.epoch] = law

    def get_law(self, round_: int) -> Law | None:
        """Return the epoch in force for a round; None before the first."""
        return next((law for law in reversed(self.laws) if law.start <= round_), None)

    def is_left(self, law: Law, round_: int) -> bool:
        """Tell whether an epoch was left for good before a round: two others had begun by then."""
        in_force = self.get_law(round_)
        return in_force is not None and self.laws.index(in_force) - self.laws.index(law) > 1

    def is_content(self) -> bool:
        """Tell whether the history may end: nothing more is awaited."""
        return True

    def close(self, at: Moment) -> None:
        """Judge what can be judged only at the end."""
