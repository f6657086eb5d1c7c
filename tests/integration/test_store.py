"""The write path into a real Postgres."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gossip_price.adapters.postgres.migrate import migrate
from gossip_price.adapters.postgres.store import PostgresStore
from gossip_price.core.types import StoredRow
from gossip_price.network.keys import format_address
from gossip_price.ports import StoreRefusedError, StoreUnavailableError
from networks import make_network

NETWORK = make_network(4)


class Told:
    """What a store told its user, in order, awaitable."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def up(self, store_id: bytes) -> None:
        self.news.put_nowait(("up", store_id))

    def down(self, reason: str) -> None:
        self.news.put_nowait(("down", reason))

    async def next(self) -> tuple[str, Any]:
        async with asyncio.timeout(20):
            return await self.news.get()


Open = Callable[..., Any]


@pytest.fixture
async def open_store() -> AsyncIterator[Open]:
    """Open stores that try again at once, and close them after the test."""
    stores: list[PostgresStore] = []

    async def open_(url: str | Callable[[], str], **options: Any) -> tuple[PostgresStore, Told]:
        told = Told()
        get_url = url if callable(url) else lambda: url
        store = PostgresStore(get_url, dice=lambda: 0.5, backoff_s=(0.01, 0.02), **options)
        stores.append(store)
        store.set_epochs([NETWORK.document])
        await store.start(told.up, told.down)
        return store, told

    yield open_
    for store in stores:
        await store.aclose()


async def test_a_row_stands_in_the_original_s_columns_and_the_further_ones(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    assert (await told.next())[0] == "up"
    row = NETWORK.row(NETWORK.report(2, 249_912_345_678, 1, observed_at=NETWORK.round(2) + 3))

    assert await store.insert([row]) == (row.id,)

    stored = dict((await sql.fetchrow("SELECT * FROM prices")) or {})
    addresses = [format_address(address) for address, _ in row.signatures]
    assert stored["id"] == "0x" + row.id.hex()
    assert stored["price"] == Decimal("2499.12345678")
    assert stored["first_signer"] == format_address(row.report.proposer)
    signatures = json.loads(stored["sign_data"])
    assert [item["signer"] for item in signatures] == addresses
    assert [item["signature"] for item in signatures] == ["0x" + s.hex() for _, s in row.signatures]
    assert stored["lastsigned_time"].timestamp() * 1000 == row.last_signed_ms
    assert stored["created_time"].tzinfo is not None
    assert stored["report"] == row.report.encode()
    assert stored["epoch"] == "0x" + NETWORK.document.hash.hex()
    assert (stored["pair"], stored["round"]) == ("ETH-USD", row.report.round)
    assert stored["observed_time"].timestamp() == row.report.observed_at
    assert stored["decimals"] == 8
    assert json.loads(stored["source"]) == ["coinbase", "simulated"]
    assert stored["spread_bp"] == 7
    assert stored["writer"] == format_address(row.writer)


async def test_a_row_without_local_spread_is_stored(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    await told.next()
    whole = NETWORK.rows(1)[0]
    bare = StoredRow(
        whole.id, whole.report, whole.signatures, whole.last_signed_ms, (), None, whole.writer
    )
    assert await store.insert([bare]) == (bare.id,)
    assert await sql.fetchval("SELECT spread_bp FROM prices") is None


async def test_up_names_the_database_and_the_epoch_stands_before_the_first_row(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    _, told = await open_store(postgres_url)
    store_id = await sql.fetchval("SELECT store_id FROM meta")
    assert await told.next() == ("up", store_id)
    epoch = dict((await sql.fetchrow("SELECT * FROM epochs")) or {})
    assert epoch["hash"] == "0x" + NETWORK.document.hash.hex()
    assert epoch["document"].encode() == NETWORK.document.canonical
    assert epoch["start_time"].timestamp() == NETWORK.document.start


async def test_a_new_epoch_is_written_before_the_next_row(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    await told.next()
    following = NETWORK.follow(start_index=10)
    store.set_epochs([NETWORK.document, following.document])
    await store.insert(following.rows(1))
    assert await sql.fetchval("SELECT count(*) FROM epochs") == 2


async def test_a_batch_is_one_insert_and_no_select(
    postgres_url: str, sql: asyncpg.Connection, postgres_log: Path, open_store: Open
) -> None:
    database = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {database} SET log_statement = 'all'")
    store, told = await open_store(postgres_url)
    await told.next()
    before = len(_read_statements(postgres_log, database))

    assert len(await store.insert(NETWORK.rows(100))) == 100
    assert len(await store.insert(NETWORK.rows(100, first=50))) == 50

    statements = _read_statements(postgres_log, database)
    assert statements[before:] == ["INSERT INTO prices", "INSERT INTO prices"]
    # Connecting costs one question and the epochs, once.
    assert [word for word in statements[:before] if "current_database" not in word] == [
        "SELECT (SELECT version_num",
        "INSERT INTO epochs",
    ]


def _read_statements(log: Path, database: str) -> list[str]:
    """Return the beginning of each statement that the server executed for `database`."""
    # A message's further lines begin with a tab.
    text = log.read_text().replace("\n\t", " ")
    found = re.findall(rf"^\[{database}\] LOG:  (?:execute [^:]*|statement): +(.*)$", text, re.M)
    return [" ".join(statement.split()[:3]) for statement in found]


async def test_inserting_again_changes_nothing_and_gives_no_id(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    await told.next()
    rows = NETWORK.rows(5)
    assert set(await store.insert(rows)) == {row.id for row in rows}
    first = await sql.fetch("SELECT * FROM prices ORDER BY id")
    assert await store.insert(rows) == ()
    assert await sql.fetch("SELECT * FROM prices ORDER BY id") == first


async def test_two_writers_of_the_same_rows_get_each_id_once(
    postgres_url: str, open_store: Open
) -> None:
    one, told_one = await open_store(postgres_url)
    other, told_other = await open_store(postgres_url)
    await told_one.next()
    await told_other.next()
    rows = NETWORK.rows(200)
    # Opposite orders: without the statement's own order the two would deadlock.
    got = await asyncio.gather(one.insert(rows), other.insert(rows[::-1]))
    assert sorted(got[0] + got[1]) == sorted(row.id for row in rows)


async def test_a_poison_row_is_refused_with_its_batch_and_the_others_go_in_without_it(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    await told.next()
    rows = NETWORK.rows(3)
    await sql.execute(f"ALTER TABLE prices ADD CHECK (round <> {rows[1].report.round})")

    with pytest.raises(StoreRefusedError, match="23514"):
        await store.insert(rows)
    assert await sql.fetchval("SELECT count(*) FROM prices") == 0
    assert len(await store.insert([rows[0], rows[2]])) == 2
    assert told.news.empty()


async def test_a_value_that_no_database_takes_is_refused(
    postgres_url: str, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    await told.next()
    good = NETWORK.rows(1)[0]
    for sources, last_signed_ms in ((("a\0b",), 0), ((), 2**62), (("\ud800",), 0)):
        bad = StoredRow(
            good.id, good.report, good.signatures, last_signed_ms, sources, 1, good.writer
        )
        with pytest.raises(StoreRefusedError):
            await store.insert([bad])
    assert await store.insert([good]) == (good.id,)


async def test_a_cut_connection_is_noticed_at_once_told_once_and_mended(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    _, store_id = await told.next()
    await _cut(sql)
    assert (await told.next())[0] == "down"
    assert await told.next() == ("up", store_id)
    assert len(await store.insert(NETWORK.rows(2))) == 2
    assert told.news.empty()


async def test_a_connection_cut_in_the_middle_of_a_batch_says_try_later(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    await told.next()
    rows = NETWORK.rows(2)
    async with sql.transaction():
        await sql.execute("LOCK TABLE prices")
        insert = asyncio.create_task(store.insert(rows))
        await _wait_for_lock(sql)
        await _cut(sql)
        with pytest.raises(StoreUnavailableError):
            await insert
    assert (await told.next())[0] == "down"
    assert (await told.next())[0] == "up"
    assert len(await store.insert(rows)) == 2


async def test_a_database_that_hangs_is_given_up_in_time(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url, command_timeout_s=0.2)
    await told.next()
    rows = NETWORK.rows(1)
    async with sql.transaction():
        await sql.execute("LOCK TABLE prices")
        with pytest.raises(StoreUnavailableError, match="in time"):
            await store.insert(rows)
    assert await told.next() == ("down", "the database did not answer in time")
    assert (await told.next())[0] == "up"
    assert len(await store.insert(rows)) == 1


async def test_without_a_database_it_says_so_once_and_comes_up_when_the_url_is_mended(
    postgres_url: str, tmp_path: Path, open_store: Open
) -> None:
    asked = asyncio.Event()
    urls = [f"postgresql://postgres@/x?host={tmp_path}"] * 5

    def get_url() -> str:
        if urls:
            return urls.pop()
        asked.set()
        return postgres_url

    store, told = await open_store(get_url)
    with pytest.raises(StoreUnavailableError):
        await store.insert(NETWORK.rows(1))
    assert (await told.next())[0] == "down"
    assert (await told.next())[0] == "up"
    assert asked.is_set()
    assert len(await store.insert(NETWORK.rows(1))) == 1


async def test_a_url_that_cannot_be_read_is_trouble_and_never_told_with_its_password(
    open_store: Open,
) -> None:
    for url in ("postgresql://u:pa/ss@h/d", "mysql://u:pass@h/d", "postgresql://u:p@ss@h:1/d"):
        _, told = await open_store(url)
        kind, reason = await told.next()
        assert kind == "down"
        assert "ss" not in reason.replace("password", "")


async def test_an_older_schema_is_met_with_patience(empty_url: str, open_store: Open) -> None:
    _, told = await open_store(empty_url)
    kind, reason = await told.next()
    assert kind == "down"
    assert "gossip-price migrate" in reason
    await migrate(empty_url)
    assert (await told.next())[0] == "up"


async def test_an_older_revision_is_named(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    await sql.execute("UPDATE alembic_version SET version_num = '0000'")
    _, told = await open_store(postgres_url)
    kind, reason = await told.next()
    assert (kind, "0000" in reason, "gossip-price migrate" in reason) == ("down", True, True)


async def test_a_newer_schema_is_written_to(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    await sql.execute("ALTER TABLE prices ADD COLUMN later text")
    await sql.execute("UPDATE alembic_version SET version_num = '9999'")
    store, told = await open_store(postgres_url)
    assert (await told.next())[0] == "up"
    assert len(await store.insert(NETWORK.rows(1))) == 1


async def test_a_read_only_database_is_down_and_not_a_refusal(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    database = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    _, told = await open_store(postgres_url)
    kind, reason = await told.next()
    assert kind == "down"
    assert "read-only" in reason


async def test_a_database_that_lost_its_table_is_unavailable(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    await told.next()
    await sql.execute("DROP TABLE prices")
    with pytest.raises(StoreUnavailableError, match="42P01"):
        await store.insert(NETWORK.rows(1))


async def test_an_idle_connection_is_asked_whether_it_lives(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url, probe_s=0.01)
    await told.next()
    before = await _read_state_change(sql)
    await _poll(sql, f"SELECT state_change > $1 {_OURS}", before)
    assert len(await store.insert(NETWORK.rows(1))) == 1
    assert told.news.empty()


async def test_a_connection_lost_after_it_was_asked_is_made_again(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    """The question must not end the watch: it once did, and the store never came back."""
    store, told = await open_store(postgres_url, probe_s=0.01)
    await told.next()
    for _ in range(3):
        before = await _read_state_change(sql)
        await _poll(sql, f"SELECT state_change > $1 {_OURS}", before)
    await _cut(sql)
    assert (await told.next())[0] == "down"
    assert (await told.next())[0] == "up"
    assert len(await store.insert(NETWORK.rows(1))) == 1


async def test_a_watch_that_fails_in_a_way_of_its_own_costs_the_connection_and_no_more(
    postgres_url: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, failures = PostgresStore._watch, [AttributeError("a bug of ours")]

    async def fail_once(store: PostgresStore, connection: Any) -> str:
        if failures:
            raise failures.pop()
        return await watch(store, connection)

    monkeypatch.setattr(PostgresStore, "_watch", fail_once)
    store, told = await open_store(postgres_url)
    assert (await told.next())[0] == "up"
    assert await told.next() == ("down", "a bug of ours")
    assert (await told.next())[0] == "up"
    assert len(await store.insert(NETWORK.rows(1))) == 1


async def test_a_server_that_froze_without_a_word_is_noticed(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    _, told = await open_store(postgres_url, probe_s=0.05, connect_timeout_s=0.5)
    await told.next()
    frozen = await sql.fetchval(f"SELECT pid {_OURS}")
    os.kill(frozen, signal.SIGSTOP)
    try:
        assert await told.next() == ("down", "the database did not answer in time")
        assert (await told.next())[0] == "up"
    finally:
        os.kill(frozen, signal.SIGCONT)


async def test_a_host_that_accepts_and_never_answers_is_given_up_in_time(open_store: Open) -> None:
    held = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, told = await open_store(f"postgresql://u@127.0.0.1:{port}/d", connect_timeout_s=0.2)
    assert await told.next() == ("down", "the database did not answer in time")
    server.close()
    for writer in held:
        writer.close()


async def test_a_closed_store_leaves_no_connection(
    postgres_url: str, sql: asyncpg.Connection, open_store: Open
) -> None:
    store, told = await open_store(postgres_url)
    await told.next()
    await store.aclose()
    await _poll(sql, f"SELECT count(*) = 0 {_OURS}")
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.insert(NETWORK.rows(1))


_OURS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'gossip-price'"
)


async def _cut(sql: asyncpg.Connection) -> None:
    assert await sql.fetchval(f"SELECT count(pg_terminate_backend(pid)) {_OURS}") >= 1


async def _wait_for_lock(sql: asyncpg.Connection) -> None:
    await _poll(sql, f"SELECT count(*) = 1 {_OURS} AND wait_event_type = 'Lock'")


async def _poll(sql: asyncpg.Connection, question: str, *values: Any) -> None:
    """Ask until the answer is yes: what another session of the server does is its own matter."""
    async with asyncio.timeout(10):
        while not await sql.fetchval(question, *values):  # noqa: ASYNC110  nobody could set an event
            await asyncio.sleep(0.01)


async def _read_state_change(sql: asyncpg.Connection) -> Any:
    return await sql.fetchval(f"SELECT state_change {_OURS}")
