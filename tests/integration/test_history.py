"""Older prices from a real Postgres: in order, in time, and whatever somebody put into a column."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api_node import ApiNode, connect
from gossip_price.adapters.archive import Archive
from gossip_price.adapters.http import make_app, make_price_routes
from gossip_price.adapters.postgres import history
from gossip_price.adapters.postgres.history import PostgresHistory
from gossip_price.adapters.postgres.store import PostgresStore
from gossip_price.core.rows import LateSignature
from gossip_price.network.document import INTEGER_MAX, PairTerms
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import StoreUnavailableError
from networks import PAIR, TERMS, make_network

NETWORK = make_network(4, pairs=(TERMS, PairTerms("BTC-USD", 2, 1, 10**12)))
#: Two pairs a round, so that ids decide within it.
ROWS = [
    NETWORK.row(NETWORK.report(index, 100_000 + index, index % 4, pair=pair))
    for index in range(20)
    for pair in (PAIR, "BTC-USD")
]
NEWEST_FIRST = sorted(ROWS, key=lambda row: (row.report.round, row.id), reverse=True)
END = (INTEGER_MAX, b"")


@pytest.fixture
async def stored(postgres_url: str) -> str:
    """The URL of a database with all of ROWS."""
    store = PostgresStore(lambda: postgres_url, dice=lambda: 0.5)
    store.set_epochs([NETWORK.document])
    is_up = asyncio.Event()
    await store.start(lambda store_id: is_up.set(), lambda reason: None)
    async with asyncio.timeout(20):
        await is_up.wait()
    await store.insert(ROWS)
    row, member = ROWS[0], NETWORK.document.addresses[3]
    await store.add_signatures([LateSignature(row.id, member, NETWORK.sign(row.report, 3))])
    await store.aclose()
    return postgres_url


@pytest.fixture
async def older(stored: str) -> AsyncIterator[PostgresHistory]:
    older = PostgresHistory(lambda: stored)
    yield older
    await older.aclose()


async def test_pages_are_in_the_journal_s_order_by_bytes(older: PostgresHistory) -> None:
    before, found = END, []
    while page := await older.read_page(None, before, 0, 7):
        found += [row.id for row in page]
        before = (page[-1].claim.round or 0, page[-1].id)
    assert found == [row.id for row in NEWEST_FIRST]


async def test_a_pair_and_a_beginning_are_kept_to(older: PostgresHistory) -> None:
    begin = NETWORK.round(15)
    page = await older.read_page(PAIR, END, begin, 100)
    assert [row.claim.round for row in page] == [NETWORK.round(n) for n in range(19, 14, -1)]
    assert {row.claim.pair for row in page} == {PAIR}


async def test_no_page_reads_the_whole_table(
    older: PostgresHistory, sql: asyncpg.Connection
) -> None:
    # Much of one pair, and a little of another long ago.
    await sql.execute(
        """
        INSERT INTO prices (id, price, first_signer, sign_data, lastsigned_time, report, epoch,
                            pair, round, observed_time, decimals)
        SELECT '0x' || md5(n::text) || md5(n::text), 1, '0x' || repeat('0', 40), '[]', now(),
               decode(repeat('00', 256), 'hex'), '0x' || repeat('0', 64),
               CASE WHEN n < 50 THEN 'OLD-USD' ELSE 'ETH-USD' END, n, now(), 8
        FROM generate_series(1, 20000) AS n
        """
    )
    await sql.execute("ANALYZE prices")
    for statement, values in (
        (history._PAGE_OF_ALL, (INTEGER_MAX, "0x", 0, 10)),
        (history._PAGE_OF_ALL, (10_000, "0x", 0, 10)),
        (history._PAGE_OF_PAIR, (INTEGER_MAX, "0x", 0, 10, PAIR)),
        (history._PAGE_OF_PAIR, (INTEGER_MAX, "0x", 0, 10, "OLD-USD")),
    ):
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
        ((plan,),) = await sql.fetch(explain, *values)
        assert count_rows(json.loads(plan)[0]["Plan"]) < 500, plan


def count_rows(plan: dict[str, Any]) -> int:
    """Return how many rows of prices were looked at."""
    own = 0
    if plan.get("Relation Name") == "prices":
        own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return own + sum(count_rows(part) for part in plan.get("Plans", []))


async def test_the_api_gives_older_prices_with_late_signatures(
    older: PostgresHistory, tmp_path: Path
) -> None:
    node = ApiNode(NETWORK, tmp_path)
    node.wall_ms = NETWORK.round(100) * 1000
    node.restart()
    archive = Archive(node.recent, older, get_chain=lambda: EpochChain([NETWORK.document]))
    client = connect(make_app(make_price_routes(archive)))
    pages: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await client.get("/api/v1/prices", params={"limit": 9, **cursor})).json()
        pages += [price["id"] for price in answer["prices"]]
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    assert pages == ["0x" + row.id.hex() for row in NEWEST_FIRST]
    price: dict[str, Any] = (await client.get("/api/v1/prices/0x" + ROWS[0].id.hex())).json()
    assert (price["verified"], price["state"], len(price["signatures"])) == (True, "stored", 4)
    assert price["storedAt"] is not None
    assert price["local"]["sources"] == ["coinbase", "simulated"]
    node.journal.close()


async def test_what_somebody_put_into_a_column_is_bounded_and_no_crash(
    older: PostgresHistory, sql: asyncpg.Connection
) -> None:
    await sql.execute(
        "UPDATE prices SET created_time = 'infinity', lastsigned_time = '-infinity',"
        " source = to_jsonb(repeat('x', 100000)), spread_bp = -1, writer = repeat('w', 100000)"
    )
    (row,) = await older.read_page(PAIR, END, 0, 1)
    assert (row.stored_ms, row.last_signed_ms, row.sources) == (None, None, ())
    assert len(row.writer or "") == 80


async def test_a_broken_connection_is_replaced_unnoticed(
    older: PostgresHistory, sql: asyncpg.Connection
) -> None:
    await older.read_page(None, END, 0, 1)
    await sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert len(await older.read_page(None, END, 0, 1)) == 1


async def test_a_statement_is_given_up_in_time_and_the_next_reader_is_told_at_once(
    older: PostgresHistory, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "STATEMENT_MS", 100)
    async with sql.transaction():
        await sql.execute("LOCK TABLE prices IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailableError, match="SQLSTATE 57014"):
            await older.read_page(None, END, 0, 1)
        monkeypatch.setattr(older, "_url", None)  # nobody is asked
        with pytest.raises(StoreUnavailableError, match="SQLSTATE 57014"):
            await older.read_page(None, END, 0, 1)


async def test_a_database_that_is_not_there_is_unavailable_and_then_found(
    stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "REST_S", 0.0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://u@127.0.0.1:{nobody.getsockname()[1]}/d"
        older = PostgresHistory(lambda: url)
        with pytest.raises(StoreUnavailableError):
            await older.find(ROWS[0].id)
    url = stored  # as a mounted Secret changes
    assert await older.find(ROWS[0].id) is not None
    await older.aclose()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await older.find(ROWS[0].id)


async def test_reading_can_change_nothing(older: PostgresHistory, sql: asyncpg.Connection) -> None:
    async def spoil(connection: Any) -> None:
        await connection.execute("DELETE FROM prices")

    with pytest.raises(StoreUnavailableError, match="25006"):  # read_only_sql_transaction
        await older._read(spoil)
    assert await sql.fetchval("SELECT count(*) FROM prices") == len(ROWS)


async def test_epochs_are_read_by_their_hash(older: PostgresHistory) -> None:
    assert await older.read_epochs() == (NETWORK.document,)
