"""A history that a person can read: the plan, what a checker said, and a timeline per node."""

from __future__ import annotations

from typing import Final

from gossip_price.simulator.checkers import Violation
from gossip_price.simulator.facts import Claim, Law, Moment, Row, Told, Watcher
from gossip_price.simulator.plan import CAP_S, START_MS, Plan

#: Lines of one node that are worth reading: the last ones before the violation.
_LINES_MAX: Final = 30
#: What is told in every round and explains nothing.
_DULL: Final = ("published", "ignored")


class Timeline(Watcher):
    """Takes down what people would ask about, by node; with `about` only one (pair, round)."""

    def __init__(self, about: tuple[str, int] | None = None) -> None:
        self._about = about
        self._lines: dict[int, list[tuple[int, str]]] = {}

    def _add(self, at: Moment, node: int, text: str) -> None:
        error_ms = at.wall_ms - at.true_ms
        clock = f" (clock {error_ms:+} ms)" if abs(error_ms) >= 1_000 else ""
        self._lines.setdefault(node, []).append((at.true_ms, f"{text}{clock}"))

    def _is_about(self, pair: str, round_: int) -> bool:
        return self._about is None or not pair or (pair, round_) == self._about

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        self._add(at, node, "starts with a NEW VOLUME" if lost_volume else "starts")

    def ended(self, at: Moment, node: int) -> None:
        self._add(at, node, "is KILLED")

    def voted(self, at: Moment, node: int, id_: bytes, claim: Claim) -> None:
        if self._is_about(claim.pair, claim.round):
            self._add(at, node, f"votes for {_name(id_)}, price {claim.price}")

    def penalized(self, at: Moment, node: int, author: str, reason: str) -> None:
        self._add(at, node, f"cuts off …{author[-6:]}: {reason}")

    def told(self, at: Moment, node: int, told: Told) -> None:
        if told.kind in _DULL or not self._is_about(told.pair, told.round):
            return
        parts = [told.kind]
        if told.id and told.pair:
            parts.append(_name(told.id))
        if told.signers:
            parts.append(f"with {told.signers}")
        if told.reason:
            parts.append(f"({told.reason})")
        self._add(at, node, " ".join(parts))

    def asked_to_write(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        about = [row for row in rows if self._is_about(row.claim.pair, row.claim.round)]
        if about:
            self._add(at, node, f"writes {', '.join(_name(row.id) for row in about)}")

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        for row in rows:
            if self._is_about(row.claim.pair, row.claim.round):
                self._add(at, node, f"INSERTED {_name(row.id)}")

    def enacted(self, at: Moment, law: Law) -> None:
        text = f"{len(law.addresses)} members, {law.quorum} sign, rounds of {law.interval} s"
        self._add(at, -1, f"an epoch is announced from {_clock(law.start * 1000)}: {text}")

    def corrected(
        self, at: Moment, node: int, moved: tuple[bytes, ...], put: tuple[bytes, ...]
    ) -> None:
        for id_ in moved:
            self._add(at, node, f"QUARANTINED {_name(id_)}")

    def falsified(self, at: Moment, id_: bytes, *, is_foreign: bool) -> None:
        self._add(at, -1, f"somebody puts a false row under {_name(id_)}")

    def removed(self, at: Moment, ids: tuple[bytes, ...]) -> None:
        self._add(at, -1, f"somebody deletes {len(ids)} rows")

    def restored(self, at: Moment, true: tuple[bytes, ...], false: tuple[bytes, ...]) -> None:
        self._add(at, -1, f"a backup takes the table's place, with {len(true) + len(false)} rows")

    def render(self, until_ms: int, lines_max: int = _LINES_MAX) -> str:
        """Return the timeline of each node until shortly after a moment, its last lines only."""
        blocks = []
        for node in sorted(self._lines):
            lines = [line for line in self._lines[node] if line[0] <= until_ms + 2_000]
            shown = [f"  {_clock(at_ms)}  {text}" for at_ms, text in lines[-lines_max:]]
            cut = len(lines) - len(shown)
            head = "the world" if node < 0 else f"node {node}"
            more = f" ({cut} earlier lines left out)" if cut > 0 else ""
            blocks.append("\n".join([f"{head}{more}", *shown]))
        return "\n".join(blocks)


def render_plan(plan: Plan) -> str:
    """Return a plan as a person would tell it."""
    lines = [
        f"seed {plan.seed}: {plan.members} members of {plan.nodes} nodes, "
        f"{plan.mode.value}, {plan.rounds} rounds of {plan.interval} s, "
        f"links {plan.latency_ms}+{plan.jitter_ms} ms"
    ]
    if plan.settle_cap != CAP_S:
        lines.append(f"  settled {plan.settle_cap} s after the quorum, whoever signs then")
    for change in plan.changes:
        nodes = ", ".join(map(str, change.roster))
        terms = [f"{pair.pair} with {pair.decimals} decimals" for pair in change.pairs or ()]
        terms += [] if change.settle is None else [f"settled after {change.settle} s"]
        terms += [] if change.mode is None else [change.mode.value]
        lines.append(
            f"  then nodes {nodes}, rounds of {change.interval} s, {change.spare} signers more,"
            f" protocol {change.protocol}{''.join(f', {one}' for one in terms)}"
        )
    lines += [f"  node {index} knows protocol 1 only" for index in plan.dated]
    lines += [
        f"  node {liar.node} lies: {', '.join(liar.habits) or 'signs what it proposes alone'}"
        for liar in plan.liars
    ]
    for fault in plan.faults:
        where = f" node {fault.node}" if fault.node >= 0 else ""
        group = f" nodes {', '.join(map(str, fault.group))}" if fault.group else ""
        value = f" {fault.value}" if fault.value else ""
        span = f"{_clock(fault.start_ms)} to {_clock(fault.end_ms)}"
        lines.append(f"  {span}  {fault.kind}{value}{where}{group}")
    return "\n".join(lines)


def render_violation(violation: Violation) -> str:
    """Return a violation in a line."""
    where = f"node {violation.node}: " if violation.node >= 0 else ""
    about = f" [{violation.pair} round {violation.round}]" if violation.pair else ""
    return f"{_clock(violation.true_ms)}  {violation.checker}: {where}{violation.text}{about}"


def _name(id_: bytes) -> str:
    return id_.hex()[:8]


def _clock(true_ms: int) -> str:
    """Return a time as minutes and seconds since the first round."""
    since_ms = abs(true_ms - START_MS)
    sign = "-" if true_ms < START_MS else "+"
    return f"{sign}{since_ms // 60_000:02}:{since_ms // 1000 % 60:02}.{since_ms % 1000:03}"
