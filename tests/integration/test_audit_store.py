"""The audit on a real Postgres: whatever somebody did to the table, it ends as it should be."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from gossip_price.adapters.postgres.store import PostgresStore
from gossip_price.core import events as ev
from gossip_price.core.audit import Audit
from gossip_price.core.events import Note, NoteKind, ProvenRecord
from gossip_price.core.limits import AUDIT_ROWS_MAX, ROLL_CALL_MS
from gossip_price.core.rows import Correction, LateSignature, RowRange
from gossip_price.core.types import Entry, Now, Signature, StoredRow
from gossip_price.core.writing import Writing
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import format_address
from gossip_price.ports import StoreRefusedError, StoreUnavailableError
from networks import make_network

NETWORK = make_network(4)
CHAIN = EpochChain([NETWORK.document])
ME = NETWORK.document.addresses[0]
STORE = b"S" * 32
ROWS = NETWORK.rows(12)
NOW_S = NETWORK.round(len(ROWS))


class Member:
    """One member's audit on a real table: its journal in a dictionary, its clock by hand."""

    def __init__(self, store: PostgresStore, rows: list[StoredRow]) -> None:
        self._store = store
        index = NETWORK.document.index_by_address
        self.records = sorted(
            (
                ProvenRecord(
                    row.id,
                    Entry(row.report, tuple(Signature(index[a], s) for a, s in row.signatures)),
                    row.last_signed_ms,
                )
                for row in rows
            ),
            key=lambda one: (one.entry.report.round, one.id),
        )
        self.writing = Writing(ME, lambda store, mono_ms, among: among, lambda mono_ms: (ME,))
        self.audit = Audit(ME, self.writing, lambda id_: False)
        self.notes: list[Note] = []
        self.statements = 0
        self.rows_read = 0
        self.mono_ms = 0

    @property
    def now(self) -> Now:
        return Now(NOW_S * 1000 + self.mono_ms, self.mono_ms)

    async def run(self) -> None:
        """Audit after a reconnect, and write what is missing, until nothing more is due."""
        self.writing.process_up(STORE, self.now)
        self.audit.process_up(STORE, self.now)
        self.mono_ms += 10 * ROLL_CALL_MS
        self.writing.take_batch(self.now)
        for _ in range(2_000):
            self.mono_ms += 1_000
            effects = self.audit.advance(self.now, is_free=self.writing.is_idle())
            while effects:
                effects = [new for effect in effects for new in await self._carry_out(effect)]
            if rows := self.writing.take_batch(self.now):
                await self._store.insert(rows)
                self.writing.process_written(tuple(row.id for row in rows))
            if self._has_ended():
                return
        raise AssertionError("the audit has not ended")

    def _has_ended(self) -> bool:
        told = [note for note in self.notes if note.kind is NoteKind.AUDITED]
        deadline_ms = self.audit.get_deadline_ms(is_free=True)
        is_late = deadline_ms is not None and deadline_ms > self.mono_ms + 60_000
        return bool(told) and is_late and not len(self.writing)

    async def _carry_out(self, effect: ev.Effect) -> list[ev.Effect]:
        event: ev.AuditEvent
        match effect:
            case Note():
                self.notes.append(effect)
                return []
            case ev.RecallRange(token=token, after=after, limit=limit, ids=ids):
                found = [
                    one
                    for one in self.records
                    if (one.id in ids if ids else (one.entry.report.round, one.id) > after)
                ]
                event = ev.RangeRecalled(token, tuple(found[:limit]))
            case ev.ReadRows():
                self.statements += 1
                wanted = effect.ids if effect.range is None else effect.range
                rows = await self._store.read_rows(wanted, effect.deadline_ms / 1000)
                self.rows_read += len(rows)
                event = ev.RowsRead(effect.token, rows)
            case ev.Correct():
                event = ev.Corrected(effect.token, *await self._store.correct(effect.corrections))
            case ev.AddSignatures():
                added = await self._store.add_signatures(effect.late)
                event = ev.SignaturesAdded(effect.token, added)
            case _:
                raise AssertionError(effect)
        return self.audit.process(event, CHAIN, self.now)

    def get_quarantined(self) -> dict[bytes, str]:
        return {n.id: n.reason for n in self.notes if n.kind is NoteKind.QUARANTINED}


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    async with open_store(postgres_url) as store:
        yield store


@asynccontextmanager
async def open_store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(lambda: postgres_url, dice=lambda: 0.5, backoff_s=(0.01, 0.02))
    up = asyncio.Event()
    store.set_epochs([NETWORK.document])
    await store.start(lambda store_id: up.set(), lambda reason: None)
    async with asyncio.timeout(20):
        await up.wait()
    try:
        yield store
    finally:
        await store.aclose()


async def read_all(sql: asyncpg.Connection) -> list[tuple[Any, ...]]:
    """What is signed of every row, in order."""
    rows = await sql.fetch(
        "SELECT id, price, first_signer, sign_data, report, epoch, pair, round, observed_time,"
        " decimals FROM prices ORDER BY id"
    )
    return [tuple(row) for row in rows]


ID = "0x" + ROWS[5].id.hex()
OTHER = "0x" + ROWS[7].id.hex()

#: What is done to row $1 (where it needs another: $2), and the reason that is found.
MEDDLING: dict[str, tuple[str, str]] = {
    "a changed digit": ("UPDATE prices SET price = price + 1 WHERE id = $1", "column_mismatch"),
    "a changed signature": (
        "UPDATE prices SET sign_data = jsonb_set(sign_data, '{0,signature}',"
        " sign_data->1->'signature') WHERE id = $1",
        "signature_invalid",
    ),
    "a signature taken away": (
        "UPDATE prices SET sign_data = sign_data - 0 WHERE id = $1",
        "proposer_missing|signers_few",
    ),
    "another round": ("UPDATE prices SET round = 0 WHERE id = $1", "column_mismatch"),
    "a round to come": ("UPDATE prices SET round = 2^40 WHERE id = $1", "column_mismatch"),
    "another report": (
        "UPDATE prices SET report = set_byte(report, 255, 7) WHERE id = $1",
        "report_malformed|column_mismatch|proposer_foreign",
    ),
    "the place squatted by another's proof": (
        "UPDATE prices SET (price, first_signer, sign_data, report, round, observed_time) ="
        " (SELECT price, first_signer, sign_data, report, round, observed_time FROM prices"
        "  WHERE id = $2) WHERE id = $1",
        "id_mismatch",
    ),
    "an epoch that nobody knows beside it": (
        "UPDATE prices SET epoch = '0x' || repeat('0', 64) WHERE id = $1",
        "column_mismatch",
    ),
}


@pytest.mark.parametrize("what", MEDDLING)
async def test_a_false_row_goes_to_quarantine_and_the_true_one_takes_its_place(
    what: str, store: PostgresStore, sql: asyncpg.Connection
) -> None:
    statement, reason = MEDDLING[what]
    await store.insert(ROWS)
    before = await read_all(sql)
    await sql.execute(statement, *((ID, OTHER) if "$2" in statement else (ID,)))
    found = await sql.fetchval("SELECT to_jsonb(p) FROM prices p WHERE id = $1", ID)

    member = Member(store, ROWS)
    await member.run()

    assert await read_all(sql) == before
    quarantined = await sql.fetch("SELECT * FROM quarantine")
    assert [row["id"] for row in quarantined] == [ID]
    assert json.loads(quarantined[0]["found"]) == json.loads(found)
    assert re.fullmatch(reason, quarantined[0]["reason"])
    assert quarantined[0]["moved_by"] == format_address(ME)
    assert member.get_quarantined() == {ROWS[5].id: quarantined[0]["reason"]}


async def test_a_place_squatted_before_the_true_row_came_is_freed(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    await store.insert(ROWS)
    true = await read_all(sql)
    await sql.execute("UPDATE prices SET sign_data = '[]' WHERE id = $1", ID)
    # The writer is told that the id stands there, and is content.
    assert await store.insert([ROWS[5]]) == ()
    await Member(store, ROWS).run()
    assert await read_all(sql) == true


@pytest.mark.parametrize("lost", [1, 5, 12])
async def test_what_a_backup_took_away_is_inserted_again(
    lost: int, store: PostgresStore, sql: asyncpg.Connection
) -> None:
    await store.insert(ROWS)
    before = await read_all(sql)
    await sql.execute("DELETE FROM prices WHERE id = ANY ($1)",
                      ["0x" + row.id.hex() for row in ROWS[-lost:]])  # fmt: skip
    await Member(store, ROWS).run()
    assert await read_all(sql) == before
    assert await sql.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_a_row_that_others_have_proven_is_left_alone(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    await store.insert(ROWS)
    before = await read_all(sql)
    member = Member(store, ROWS[:3])
    await member.run()
    assert await read_all(sql) == before
    assert not member.get_quarantined()


async def test_a_row_of_an_epoch_that_is_not_known_yet_is_left_alone_and_told(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    following = NETWORK.follow(start_index=6)
    store.set_epochs([NETWORK.document, following.document])
    newer = following.rows(1)[0]
    await store.insert([newer])
    member = Member(store, [])
    await member.run()
    assert [note.id for note in member.notes if note.kind is NoteKind.LEFT_ALONE] == [newer.id]
    assert await sql.fetchval("SELECT count(*) FROM prices") == 1


async def test_a_row_that_proves_nothing_to_anybody_is_removed(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    await store.insert(ROWS[:1])
    await sql.execute(
        "INSERT INTO prices (id, price, first_signer, sign_data, lastsigned_time, report, epoch,"
        " pair, round, observed_time, decimals)"
        " SELECT '0x' || repeat('ab', 32), 1, first_signer, '[]', now(), report, epoch, pair,"
        " round + 15, observed_time, decimals FROM prices"
    )
    await Member(store, ROWS[:1]).run()
    assert await sql.fetchval("SELECT count(*) FROM prices") == 1
    assert await sql.fetchval("SELECT id FROM quarantine") == "0x" + "ab" * 32


async def test_a_column_changed_beside_an_unknown_price_costs_the_price_nothing(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    await store.insert(ROWS)
    before = await read_all(sql)
    await sql.execute("UPDATE prices SET pair = 'BTC-USD', price = 5 WHERE id = $1", ID)
    await Member(store, []).run()
    assert await read_all(sql) == before
    assert await sql.fetchval("SELECT count(*) FROM quarantine") == 1


async def test_signatures_that_came_late_are_added_once(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    whole = [NETWORK.row(row.report, (0, 1, 2, 3)) for row in ROWS]
    await store.insert(ROWS)
    before = await read_all(sql)
    member = Member(store, whole)
    await member.run()
    assert [note.count for note in member.notes if note.kind is NoteKind.LATE_SIGNED] == [12]
    late = await sql.fetch("SELECT id, signer, signature FROM signatures ORDER BY id")
    known = {"0x" + row.id.hex(): dict(row.signatures) for row in whole}
    for row in late:
        signatures = {format_address(a): "0x" + s.hex() for a, s in known[row["id"]].items()}
        assert signatures[row["signer"]] == row["signature"]
    assert len(late) == 12
    assert await read_all(sql) == before

    again = Member(store, whole)
    await again.run()
    assert not [note for note in again.notes if note.kind is NoteKind.LATE_SIGNED]


async def test_two_members_that_correct_at_once_do_it_once(
    store: PostgresStore, postgres_url: str, sql: asyncpg.Connection
) -> None:
    await store.insert(ROWS)
    before = await read_all(sql)
    await sql.execute("UPDATE prices SET price = 1")
    async with open_store(postgres_url) as other:
        await asyncio.gather(Member(store, ROWS).run(), Member(other, ROWS).run())
    assert await read_all(sql) == before
    assert await sql.fetchval("SELECT count(*) FROM quarantine") == len(ROWS)


async def test_a_row_that_changed_since_it_was_read_is_not_moved(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    await store.insert(ROWS[:1])
    await sql.execute("UPDATE prices SET price = 1")
    (found,) = await store.read_rows([ROWS[0].id], 5.0)
    await sql.execute("DELETE FROM prices")
    await store.insert(ROWS[:1])
    fix = Correction(found.id, found.version, "column_mismatch", ROWS[0], ME)
    assert await store.correct([fix]) == ((), ())
    assert await sql.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_a_correction_whose_true_row_is_refused_changes_nothing(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    await store.insert(ROWS[:1])
    await sql.execute("UPDATE prices SET price = 1")
    await sql.execute("ALTER TABLE prices ADD CHECK (price = 1)")
    (found,) = await store.read_rows([ROWS[0].id], 5.0)
    fix = Correction(found.id, found.version, "column_mismatch", ROWS[0], ME)
    with pytest.raises(StoreRefusedError):
        await store.correct([fix])
    assert await sql.fetchval("SELECT price FROM prices") == 1
    assert await sql.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_a_read_that_takes_too_long_is_given_up_and_the_connection_goes_on(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    await store.insert(ROWS)
    async with sql.transaction():
        await sql.execute("LOCK TABLE prices")
        with pytest.raises(StoreUnavailableError, match="in time"):
            await store.read_rows(RowRange((0, bytes(32)), None, 10), 0.05)
    assert len(await store.read_rows(RowRange((0, bytes(32)), None, 10), 5.0)) == 10


async def test_late_signatures_are_one_statement_and_the_first_one_stays(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    first = LateSignature(ROWS[0].id, ME, ROWS[0].signatures[0][1])
    assert await store.add_signatures([first]) == 1
    assert await store.add_signatures([first, LateSignature(ROWS[1].id, ME, bytes(65))]) == 1
    assert await sql.fetchval("SELECT count(*) FROM signatures") == 2


async def test_ten_thousand_rows_are_audited_by_forty_statements_through_the_index(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    template = ROWS[0]
    network = make_network(4, interval=1)
    count = 10_000
    rows = [
        StoredRow(
            index.to_bytes(32, "big"), network.report(index), template.signatures, 0, (), None, ME
        )
        for index in range(count)
    ]
    for start in range(0, count, 1_000):
        await store.insert(rows[start : start + 1_000])
    await sql.execute("ANALYZE prices")
    pages = list(_read_pages(rows))
    statements = 0
    seen: list[bytes] = []
    for page in pages:
        found = await store.read_rows(page, 5.0)
        statements += 1
        seen += [row.id for row in found]
    assert seen == [row.id for row in rows]
    assert statements == 40
    plan = await sql.fetch(
        "EXPLAIN SELECT id FROM prices p WHERE (p.round, p.id COLLATE \"C\") > (5, '0x')"
        ' ORDER BY p.round, p.id COLLATE "C" LIMIT 256'
    )
    assert "prices_round_id" in "\n".join(line[0] for line in plan)


def _read_pages(rows: list[StoredRow]) -> Iterator[RowRange]:
    after = (0, bytes(32))
    for start in range(0, len(rows), AUDIT_ROWS_MAX):
        page = rows[start : start + AUDIT_ROWS_MAX]
        until = (page[-1].report.round, page[-1].id) if len(page) == AUDIT_ROWS_MAX else None
        yield RowRange(after, until, AUDIT_ROWS_MAX)
        if until is not None:
            after = until


async def test_an_audit_of_what_is_in_order_reads_each_row_once(
    store: PostgresStore, sql: asyncpg.Connection
) -> None:
    rows = NETWORK.rows(470)
    await store.insert(rows)
    member = Member(store, rows)
    await member.run()
    assert (member.statements, member.rows_read) == (2, 470)
    assert await sql.fetchval("SELECT count(*) FROM quarantine") == 0
