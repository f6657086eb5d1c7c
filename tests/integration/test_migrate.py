"""Bringing a database to this version's schema."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest

from gossip_price.adapters.postgres.migrate import migrate
from gossip_price.adapters.postgres.schema import SCHEMA_NEEDED
from gossip_price.cli import run

MIGRATIONS = sorted(
    (Path(__file__).parents[2] / "node/gossip_price/adapters/postgres/migrations/versions").glob(
        "r*.py"
    )
)


async def test_however_many_start_it_at_once_it_runs_once(empty_url: str) -> None:
    done = await asyncio.gather(*(migrate(empty_url) for _ in range(6)))
    assert sorted(str(migration.before) for migration in done) == [SCHEMA_NEEDED] * 5 + ["None"]
    assert {migration.after for migration in done} == {SCHEMA_NEEDED}
    assert len({migration.store_id for migration in done}) == 1


async def test_two_databases_have_two_names(empty_url: str, postgres_url: str) -> None:
    assert (await migrate(empty_url)).store_id != (await migrate(postgres_url)).store_id


async def test_a_newer_schema_is_left_alone(postgres_url: str, sql: asyncpg.Connection) -> None:
    await sql.execute("UPDATE alembic_version SET version_num = '9999'")
    done = await migrate(postgres_url)
    assert (done.before, done.after) == ("9999", "9999")


async def test_what_fails_changes_nothing(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    await connection.execute("CREATE TABLE meta (somebody text)")
    code = await asyncio.to_thread(run, ["migrate", "--database", empty_url])
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert code == 1
    assert [table["tablename"] for table in tables] == ["meta"]


async def test_every_table_and_column_says_what_it_is(sql: asyncpg.Connection) -> None:
    silent = await sql.fetch(
        """
        SELECT c.relname, a.attname FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
          AND c.relname <> 'alembic_version' AND col_description(c.oid, a.attnum) IS NULL
        UNION ALL
        SELECT relname, NULL FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
          AND obj_description(oid) IS NULL
        """
    )
    assert silent == []


@pytest.mark.parametrize("module", MIGRATIONS, ids=lambda path: path.stem)
def test_a_revision_only_expands(module: Path) -> None:
    text = module.read_text()
    assert re.search(r"\b(DROP|RENAME|TRUNCATE|DELETE FROM|ALTER COLUMN)\b", text) is None
    assert "def downgrade" not in text


def test_the_newest_revision_is_what_nodes_know_of() -> None:
    assert f"r{SCHEMA_NEEDED}" <= MIGRATIONS[-1].stem
    assert [path.stem[:5] for path in MIGRATIONS] == [
        f"r{number:04}" for number in range(1, len(MIGRATIONS) + 1)
    ]


async def test_the_command_says_what_it_did(
    empty_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GP_DATABASEURL", empty_url.replace("postgresql://", "postgres://"))
    assert await asyncio.to_thread(run, ["migrate"]) == 0
    assert f"made the schema, revision {SCHEMA_NEEDED}" in capsys.readouterr().out
    assert await asyncio.to_thread(run, ["migrate"]) == 0
    assert "already" in capsys.readouterr().out


async def test_the_command_reads_a_mounted_url(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "url"
    secret.write_text(postgres_url + "\n")
    monkeypatch.delenv("GP_DATABASEURL", raising=False)
    monkeypatch.setenv("GP_DATABASEURL_FILE", str(secret))
    assert await asyncio.to_thread(run, ["migrate"]) == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "no database: give --database URL, GP_DATABASEURL or GP_DATABASEURL_FILE"),
        ("", "the database URL is empty"),
        ("mysql://h/d", "the database URL does not begin with postgresql://"),
        (
            "postgresql://postgres@/d?host=/nowhere",
            "no Postgres answers at the socket in /nowhere (No such file or directory): start it",
        ),
    ],
)
def test_the_command_tells_what_it_cannot_use(
    url: str | None, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GP_DATABASEURL", raising=False)
    monkeypatch.delenv("GP_DATABASEURL_FILE", raising=False)
    assert run(["migrate", *(() if url is None else ("--database", url))]) == 2
    assert f"gossip-price migrate: {said}" in capsys.readouterr().err
