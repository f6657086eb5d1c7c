"""What watchers are shown of the core's values, and of all that a node gives to its journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gossip_price.core import events as ev
from gossip_price.core.types import Report, StoredRow
from gossip_price.simulator.facts import Claim, Moment, Row, Watcher
from gossip_price.simulator.nodes import Node


class WatchedJournal:
    """A node's journal, with watchers told of every vote before it may fail."""

    def __init__(
        self,
        node: Node,
        watchers: Sequence[Watcher],
        get_moment: Callable[[Node], Moment],
    ) -> None:
        self._node = node
        self._journal = node.journal
        self._watchers = watchers
        self._get_moment = get_moment
        self.load = node.journal.load
        self.read_proven = node.journal.read_proven
        self.read_proven_range = node.journal.read_proven_range
        self.load_peers = node.journal.load_peers
        self.write_peers = node.journal.write_peers
        self.close = node.journal.close

    def write(self, records: Sequence[ev.Record]) -> None:
        """Show the votes and the proofs, and write."""
        moment, node = self._get_moment(self._node), self._node.index
        for record in records:
            if isinstance(record, ev.Vote):
                for watcher in self._watchers:
                    watcher.voted(moment, node, record.id, to_claim(record.report))
            elif isinstance(record, ev.ProvenRecord):
                claim = to_claim(record.entry.report)
                signatures = tuple((one.member, one.signature) for one in record.entry.signatures)
                for watcher in self._watchers:
                    watcher.kept(moment, node, record.id, claim, signatures)
        self._journal.write(records)


def to_claim(report: Report) -> Claim:
    """Return a report as checkers know it."""
    return Claim(
        report.epoch,
        report.pair,
        report.round,
        report.price,
        report.decimals,
        report.observed_at,
        report.proposer,
    )


def to_row(row: StoredRow) -> Row:
    """Return a row as checkers know it."""
    return Row(row.id, to_claim(row.report), row.signatures)
