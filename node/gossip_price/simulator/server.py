"""The database server: statements on their way to it and back, and what becomes of it.

Watchers are told of each, and of what somebody does to the table beside the nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from gossip_price.core import events as ev
from gossip_price.core.proof import ClaimedRow
from gossip_price.core.types import StoredRow
from gossip_price.simulator.database import Table
from gossip_price.simulator.facts import Moment, Row
from gossip_price.simulator.nodes import Node
from gossip_price.simulator.shown import to_claim, to_row

if TYPE_CHECKING:
    from gossip_price.simulator.world import World

STORE: Final = b"S" * 32
#: After an answer was lost, the store's adapter has a connection again within this time.
_RECONNECT_MS: Final = 1_000
#: The adapter's patience with a statement (`connection.COMMAND_TIMEOUT_S`).
_STATEMENT_MS: Final = 10_000


class DatabaseServer:
    """One server for all nodes. `write_ms` is how long a statement takes there and back."""

    def __init__(self, world: World, table: Table, write_ms: tuple[int, int]) -> None:
        self.table = table
        self.write_ms = write_ms
        #: How it names itself to nodes.
        self.store = STORE
        #: Nodes without a way to it.
        self.unreachable: set[int] = set()
        #: Whether the answer to the next write is lost after the commit.
        self.loses_answer: Callable[[], bool] = lambda: False
        self._world = world

    # --- what nodes ask -----------------------------------------------------------------------

    def write(self, node: Node, rows: tuple[StoredRow, ...], moment: Moment) -> None:
        """Carry out an insert on its way; its answer finds the node only in the same life."""
        seen = tuple(to_row(row) for row in rows)
        for watcher in self._world.watchers:
            watcher.asked_to_write(moment, node.index, seen)
        index, life = node.index, node.life
        node.writes += 1
        way_ms, back_ms = self.write_ms

        def commit() -> None:
            # The statement is on its way: it is carried out although the process may be dead.
            answer = self.commit(index, rows)
            if self._world.nodes[index].life != life:
                return
            self._world.give(index, answer, back_ms)
            if isinstance(answer, ev.StoreDown) and self.table.up:
                self._world.schedule(_RECONNECT_MS, lambda: self._reconnect(index, life))

        if way_ms:
            self._world.schedule(way_ms, commit)
        else:
            commit()

    def commit(self, index: int, rows: tuple[StoredRow, ...]) -> ev.Event:
        """Carry out an insert; return what the node will be told, if the answer reaches it."""
        if not self.table.up or index in self.unreachable:
            return ev.StoreDown("stopped")
        ids = tuple(row.id for row in rows)
        inserted = self.table.insert(rows, self._world.true_ms)
        if inserted is None:
            return ev.StoreRefused(ids, "poison")
        self._show_inserted(index, rows, inserted)
        if self.loses_answer():
            return ev.StoreDown("connection lost after the commit")
        return ev.Stored(ids, inserted)

    def _show_inserted(
        self, index: int, rows: Sequence[StoredRow], inserted: Sequence[bytes]
    ) -> None:
        news = set(inserted)
        new_rows = tuple(to_row(row) for row in rows if row.id in news)
        moment = self._world.get_moment(self._world.nodes[index])
        for watcher in self._world.watchers:
            watcher.inserted(moment, index, new_rows)

    def audit(self, node: Node, effect: ev.ReadRows | ev.Correct | ev.AddSignatures) -> None:
        """Carry out a statement of the audit on its way, like a write."""
        index, life = node.index, node.life
        way_ms, back_ms = self.write_ms
        deadline_ms = effect.deadline_ms if isinstance(effect, ev.ReadRows) else _STATEMENT_MS
        moment, is_writing, count = self._world.get_moment(node), node.writes > 0, 0
        if isinstance(effect, ev.ReadRows) and self.table.up:
            count = len(self.table.read(effect.range or effect.ids))
        for watcher in self._world.watchers:
            watcher.audited(moment, index, count, is_writing=is_writing)

        def answer() -> None:
            event = self._carry_out(index, effect)
            if self._world.nodes[index].life != life:
                return
            if self.table.up and index not in self.unreachable and self.loses_answer():
                self._world.give(index, ev.StoreDown("connection lost after the commit"), back_ms)
                self._world.schedule(_RECONNECT_MS, lambda: self._reconnect(index, life))
            elif way_ms + back_ms <= deadline_ms:
                self._world.give(index, event, back_ms)

        self._world.schedule(way_ms, answer)
        if way_ms + back_ms > deadline_ms:
            self._world.give(index, ev.AuditFailed(effect.token, "timeout"), deadline_ms)

    def _carry_out(
        self, index: int, effect: ev.ReadRows | ev.Correct | ev.AddSignatures
    ) -> ev.AuditEvent:
        """Carry out a statement of the audit; return what the node will be told."""
        token = effect.token
        if not self.table.up or index in self.unreachable:
            return ev.AuditFailed(token, "stopped")
        if isinstance(effect, ev.ReadRows):
            return ev.RowsRead(token, self.table.read(effect.range or effect.ids))
        if isinstance(effect, ev.AddSignatures):
            return ev.SignaturesAdded(token, self.table.add_signatures(effect.late))
        done = self.table.correct(effect.corrections, self._world.true_ms)
        if done is None:
            return ev.AuditFailed(token, "poison", is_refusal=True)
        moved, inserted = done
        moment = self._world.get_moment(self._world.nodes[index])
        for watcher in self._world.watchers:
            watcher.corrected(moment, index, moved, inserted)
        truths = [one.truth for one in effect.corrections if one.truth is not None]
        self._show_inserted(index, truths, inserted)
        return ev.Corrected(token, moved, inserted)

    def _reconnect(self, index: int, life: int) -> None:
        if self._world.nodes[index].life == life:
            self.connect(index)

    # --- what becomes of it -------------------------------------------------------------------

    def connect(self, index: int) -> None:
        """Let a node know that the database answers, if it does."""
        if self.table.up and index not in self.unreachable:
            self._world.give(index, ev.StoreUp(self.store))

    def disconnect(self, index: int) -> None:
        """Let a node know that the database does not answer."""
        self._world.give(index, ev.StoreDown("stopped"))

    def stop(self) -> None:
        """Go away, for everybody."""
        self.table.up = False
        for node in self._world.nodes:
            self.disconnect(node.index)

    def start(self) -> None:
        """Come back, for everybody who has a way to it."""
        self.table.up = True
        for node in self._world.nodes:
            self.connect(node.index)

    def restore_backup(self) -> None:
        """Put the table's backup in its place; all connections break by it."""
        self.stop()
        self.table.restore()
        true, false = tuple(sorted(self.table.rows)), tuple(sorted(self.table.false))
        for watcher in self._world.watchers:
            watcher.restored(self._world.get_true_moment(), true, false)
        self._world.schedule(_RECONNECT_MS, self.start)

    def falsify(self, id_: bytes, claim: ClaimedRow, *, is_foreign: bool = False) -> None:
        """Let somebody with the password put a false row under an id."""
        self.table.put_false(id_, claim)
        for watcher in self._world.watchers:
            watcher.falsified(self._world.get_true_moment(), id_, is_foreign=is_foreign)

    def delete(self, ids: tuple[bytes, ...]) -> None:
        """Let somebody with the password delete rows."""
        for id_ in ids:
            self.table.remove(id_)
        for watcher in self._world.watchers:
            watcher.removed(self._world.get_true_moment(), ids)

    def poison(self, ids: Iterable[bytes]) -> None:
        """Let a constraint refuse these rows."""
        self.table.poison = set(ids)
        for watcher in self._world.watchers:
            watcher.poisoned(self._world.get_true_moment(), tuple(sorted(self.table.poison)))

    def show_table(self) -> None:
        """Let watchers see what stands in the tables."""
        rows = tuple(to_row(row) for _, row in sorted(self.table.rows.items()))
        late = tuple(
            Row(id_, to_claim(self.table.rows[id_].report), tuple(sorted(signers.items())))
            for id_, signers in sorted(self.table.late.items())
            if id_ in self.table.rows
        )
        for watcher in self._world.watchers:
            watcher.stood(self._world.get_true_moment(), rows, late)
