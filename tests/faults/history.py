"""What really happened, told to the simulator's checkers: facts, table and journals of a network.

The checkers share no code with the core and do not know that these facts come from processes,
libp2p and Postgres instead of a simulated world. A row counts as inserted by what the table holds
at the end, read by SQL; a vote by what was written and by what the journals hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from faults.journal_file import JournalContent, read_journal
from faults.recorder import Fact
from faults.table import TableRow
from faults.watched import to_message
from gossip_price import crypto
from gossip_price.network.document import Document
from gossip_price.simulator.checkers import (
    Evidence,
    Setting,
    Violation,
    make_checkers,
)
from gossip_price.simulator.checkers.agreement import AgreementChecker
from gossip_price.simulator.checkers.late import LateChecker
from gossip_price.simulator.checkers.liveness import Counts, LivenessChecker
from gossip_price.simulator.facts import Claim, Moment, Row, Told, Watcher
from gossip_price.simulator.run import make_law

_NOBODY: Final = -1
#: A process takes a turn this much later than it is due, by clocks that may be four times as fast,
#: and nobody takes the machine for disturbed yet.
_LATENESS_MS: Final = 5_000
#: These judge what an hourly audit and slots of five minutes bring about; a test has no hour.
_UNHURRIED: Final = (AgreementChecker, LateChecker)


class Disturbance(NamedTuple):
    """Something goes wrong from `start_ms` to `end_ms` of true time, at these nodes (none: all)."""

    start_ms: int
    end_ms: int
    kind: str
    nodes: tuple[int, ...] = ()


@dataclass
class History:
    """Everything that is left of a network that has ended.

    Nodes are numbered as the members of the newest document are. `to_true_ms` makes the machine's
    monotonic nanoseconds the network's true time; `statements` are the texts that each connection
    sent to Postgres. `calm_ms`: since then nothing went wrong.
    """

    documents: tuple[Document, ...]
    facts: list[Fact]
    rows: list[TableRow]
    journals: dict[int, Path]
    statements: list[list[str]]
    to_true_ms: Callable[[int], int]
    disturbances: list[Disturbance] = field(default_factory=list)
    calm_ms: int | None = None
    #: Rows that somebody took out of the table on purpose, and when (an old backup).
    removed: list[tuple[int, tuple[bytes, ...]]] = field(default_factory=list)
    #: What stands in quarantine, for people: if it should not, this tells why it does.
    quarantined: list[str] = field(default_factory=list)

    @property
    def newest(self) -> Document:
        return self.documents[-1]


class Verdict(NamedTuple):
    """What the checkers say, and what they looked at."""

    violations: list[Violation]
    checkers: list[str]
    liveness: Counts
    rows: int
    signed: int
    messages: int
    statements: int
    lives: int
    quarantined: list[str]

    def __str__(self) -> str:
        lines = [
            f"{self.rows} rows, {self.signed} votes signed, {self.messages} messages,"
            f" {self.statements} statements, {self.lives} lives; {self.liveness}"
        ]
        lines += [
            f"  {v.checker} at {v.true_ms}, node {v.node}, {v.pair} {v.round}: {v.text}"
            for v in self.violations
        ]
        lines += [f"  in quarantine: {line}" for line in self.quarantined]
        return "\n".join(lines)


def judge(history: History) -> Verdict:
    """Show everything to every checker; return what they found."""
    from faults.real_checkers import make_real_checkers  # noqa: PLC0415  # it imports this file

    document = history.newest
    evidence = Evidence(document.separator, crypto.recover)
    setting = Setting(
        evidence,
        tuple(make_law(each) for each in history.documents),
        frozenset(),
        tuple(member.peer_id for member in document.members),
        document.addresses,
        (frozenset(each.protocol for each in history.documents),) * len(document.members),
        lateness_ms=_LATENESS_MS,
    )
    checkers = [each for each in make_checkers(setting) if not isinstance(each, _UNHURRIED)]
    real = make_real_checkers(setting)
    _replay(history, [*checkers, *real])
    contents = {node: read_journal(path) for node, path in history.journals.items()}
    for checker in real:
        checker.take_end(history.rows, contents, history.statements)
    end_ms = history.to_true_ms(history.facts[-1].ns)
    end = Moment(end_ms, end_ms, 0)
    for each in (*checkers, *real):
        each.close(end)
    liveness = next(each for each in checkers if isinstance(each, LivenessChecker)).counts
    violations = [violation for each in (*checkers, *real) for violation in each.violations]
    return Verdict(
        sorted(violations, key=lambda violation: violation.true_ms),
        [each.name for each in (*checkers, *real)],
        liveness,
        len(history.rows),
        sum(len(content.votes) for content in contents.values()),
        sum(fact.kind == "published" for fact in history.facts),
        sum(len(texts) for texts in history.statements),
        sum(fact.kind == "began" for fact in history.facts),
        history.quarantined,
    )


def _replay(history: History, watchers: Sequence[Watcher]) -> None:
    for disturbance in history.disturbances:
        for watcher in watchers:
            watcher.disturbed(*disturbance)
    happenings = [
        *((fact.ns, 0, fact) for fact in _with_ends(history.facts)),
        *((ns, 1, ids) for ns, ids in history.removed),
        *((ns, 2, row) for ns, row in _place_rows(history)),
    ]
    happenings.sort(key=lambda happening: happening[:2])
    calm_ms = history.calm_ms
    for ns, _, what in happenings:
        true_ms = history.to_true_ms(ns)
        if calm_ms is not None and true_ms >= calm_ms:
            for watcher in watchers:
                watcher.calmed(Moment(calm_ms, calm_ms, 0))
            calm_ms = None
        for watcher in watchers:
            if isinstance(what, Fact):
                show(watcher, what, Moment(true_ms, what.wall_ms, what.mono_ms))
            elif isinstance(what, TableRow):
                writer = _find_writer(history.newest, what)
                watcher.inserted(Moment(true_ms, true_ms, 0), writer, (what.row,))
            else:
                watcher.removed(Moment(true_ms, true_ms, 0), cast("tuple[bytes, ...]", what))


def _with_ends(facts: list[Fact]) -> Iterable[Fact]:
    """Give every fact, and between two lives of a node the end of the first."""
    last: dict[int, Fact] = {}
    for fact in facts:
        before = last.get(fact.node)
        if fact.kind == "began" and before is not None:
            yield before._replace(kind="ended", values=(), ns=fact.ns - 1)
        last[fact.node] = fact
        yield fact


def _place_rows(history: History) -> Iterable[tuple[int, TableRow]]:
    """Give each row of the table the time at which it was first sent there; 0 if it never was."""
    asked: dict[bytes, int] = {}
    for fact in history.facts:
        if fact.kind == "asked_to_write":
            for id_, *_ in fact.values[0]:
                asked.setdefault(id_, fact.ns)
    removed = {id_: ns for ns, ids in history.removed for id_ in ids}
    for row in history.rows:
        yield asked.get(row.row.id, history.facts[0].ns), row
        if row.row.id in removed:
            # It stands there again: the audit has put it back.
            yield removed[row.row.id] + 1, row


def _find_writer(document: Document, row: TableRow) -> int:
    return document.index_by_address.get(row.writer, _NOBODY)


def show(watcher: Watcher, fact: Fact, at: Moment) -> None:  # noqa: PLR0912  # a table of kinds
    """Tell a watcher of a fact in its own words."""
    node, values = fact.node, fact.values
    match fact.kind:
        case "began":
            watcher.began(at, node, lost_volume=bool(values and values[0]))
        case "ended":
            watcher.ended(at, node)
        case "turned":
            watcher.turned(at, node)
        case "heard":
            watcher.heard(at, node, *values)
        case "answered":
            # An answer brings entries as a message of gossip does; watchers read both alike.
            message = to_message(values[1])
            if message is not None:
                watcher.heard(at, node, values[0], message)
        case "observed":
            watcher.observed(at, node, *values)
        case "voted":
            watcher.voted(at, node, values[0], Claim(*values[1]))
        case "kept":
            id_, claim, signatures = values
            signed = tuple((member, signature) for member, signature in signatures)
            watcher.kept(at, node, id_, Claim(*claim), signed)
        case "signed":
            watcher.signed(at, node, values[0])
        case "published":
            watcher.published(at, node, values[0])
        case "penalized":
            watcher.penalized(at, node, *values)
        case "asked_to_write":
            watcher.asked_to_write(at, node, tuple(to_row(plain) for plain in values[0]))
        case "told":
            kind, pair, round_, id_, count, reason, author = values
            watcher.told(at, node, Told(kind, pair, round_, id_, count, reason, author))
            if kind == "store_up":
                watcher.connected(at, node)
        case "corrected":
            watcher.corrected(at, node, tuple(values[0]), tuple(values[1]))
        case "measured":
            lengths, forgotten = values
            machine = make_measured(dict(lengths), forgotten)
            watcher.inspected(at, node, machine, JournalContent())


def to_row(plain: Sequence[Any]) -> Row:
    """Return a recorded row as checkers know it."""
    id_, claim, signatures = plain
    return Row(id_, Claim(*claim), tuple((signer, signature) for signer, signature in signatures))


def make_measured(lengths: dict[str, int], forgotten: Sequence[str] = ()) -> object:
    """Return what stands for a machine: its containers' lengths, and what it held for no reason."""
    held: dict[str, dict[str, object]] = {}
    for path, length in lengths.items():
        owner, attribute = path.split(".")
        held.setdefault(owner, {})[attribute] = (None,) * length
    parts = {owner.lower(): _make_part(owner, things) for owner, things in held.items()}
    return _make_part("Measured", {**parts, "find_forgotten": lambda: forgotten})


def _make_part(name: str, things: dict[str, object]) -> object:
    part = _make_kind(name, tuple(things))()
    vars(part).update(things)
    return part


@cache
def _make_kind(name: str, attributes: tuple[str, ...]) -> type:
    """Make a class as `measure` looks for it: the core's own, by name and module.

    One for these attributes alone, because it takes all of a kind to hold the same.
    """
    del attributes
    return type(name, (), {"__module__": "gossip_price.core.measured"})
