"""`gossip-price verify` over a real table and over JSON: what it finds, says and returns."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gossip_price.adapters.postgres.store import PostgresStore
from gossip_price.cli import run
from gossip_price.core.price import format_price
from gossip_price.core.types import StoredRow
from gossip_price.network.document import NetworkFile
from networks import SampleNetwork, make_network

FIRST = make_network(4)
SECOND = FIRST.follow(start_index=10, members=5)
ROWS = [*FIRST.rows(10), *SECOND.rows(5)]
STRANGER = make_network(4, seed="stranger")


@pytest.fixture
async def stored(postgres_url: str) -> str:
    """A database with two epochs and fifteen prices."""
    await fill(postgres_url, [FIRST, SECOND], ROWS)
    return postgres_url


async def fill(url: str, networks: list[SampleNetwork], rows: list[StoredRow]) -> None:
    up = asyncio.Event()
    store = PostgresStore(lambda: url, dice=lambda: 0.0)
    store.set_epochs([network.document for network in networks])
    await store.start(lambda _: up.set(), pytest.fail)
    await asyncio.wait_for(up.wait(), 10)
    await store.insert(rows)
    await store.aclose()


async def verify(*words: str) -> int:
    """Run the command as a process would, outside of the test's own loop."""
    return await asyncio.to_thread(run, ["verify", *words])


def to_hash(network: SampleNetwork) -> str:
    return "0x" + network.document.hash.hex()


async def test_a_true_table_is_proven_relative_to_its_own_epochs(
    stored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await verify("--database", stored) == 0
    said = capsys.readouterr().out
    signatures = sum(len(row.signatures) for row in ROWS)
    assert f"15 rows, {signatures} signatures, 2 epochs" in said
    assert "2027-01-16 00:00:00 to 2027-01-16 00:03:30 UTC" in said
    assert "all proven" in said
    assert "relative to the epochs found there" in said
    assert to_hash(SECOND) in said


async def test_an_empty_table_is_proven_and_says_that_it_is_empty(
    postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await verify("--database", postgres_url, "--trust", to_hash(FIRST)) == 0
    assert "there are no prices" in capsys.readouterr().out


async def test_the_newest_trusted_hash_proves_all_and_an_older_one_not_what_came_later(
    stored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await verify("--database", stored, "--trust", to_hash(SECOND)) == 0
    assert "relative" not in capsys.readouterr().out
    assert await verify("--database", stored, "--trust", to_hash(FIRST), "--all") == 1
    said = capsys.readouterr().out
    assert said.count("epoch_untrusted") == 5
    assert "5 false rows" in said


async def test_a_network_file_or_a_document_is_trusted(stored: str, tmp_path: Path) -> None:
    file = tmp_path / "network.json"
    file.write_bytes(NetworkFile((FIRST.document, SECOND.document)).encode())
    assert await verify("--database", stored, "--network", str(file)) == 0
    file.write_bytes(SECOND.document.canonical)
    assert await verify("--database", stored, "--network", str(file)) == 0
    file.write_bytes(STRANGER.document.canonical)
    assert await verify("--database", stored, "--network", str(file)) == 1


TAMPERINGS = {
    "another price": ("price = price + 0.00000001", "column_mismatch"),
    "a price of ten times the scale": ("price = price * 10", "column_mismatch"),
    "another first signer": (
        f"first_signer = '{STRANGER.document.members[0].address}'",
        "column_mismatch",
    ),
    "another round": ("round = round + 15", "column_mismatch"),
    "another time": ("observed_time = observed_time + interval '1 us'", "column_mismatch"),
    "no time at all": ("observed_time = 'infinity'", "column_mismatch"),
    "another number of decimals": ("decimals = 7", "column_mismatch"),
    "another pair": ("pair = 'BTC-USD'", "report_malformed"),
    "another epoch's hash": (f"epoch = '{to_hash(SECOND)}'", "column_mismatch"),
    "an unknown epoch's hash": (f"epoch = '{to_hash(STRANGER)}'", "epoch_unknown"),
    "another report": ("report = set_byte(report, 159, 0)", "column_mismatch"),
    "another report with its price": (
        f"report = set_byte(report, 159, 0), price = {(ROWS[3].report.price & ~0xFF) / 10**8:.8f}",
        "id_mismatch",
    ),
    "a signature less": ("sign_data = sign_data - 1", "signers_few"),
    "no signature": ("sign_data = '[]'", "proposer_missing"),
    "a signature twice": ("sign_data = sign_data || (sign_data -> 0)", "signer_twice"),
    "a signature of nobody": (
        "sign_data = jsonb_set(sign_data, '{0,signature}', to_jsonb('0x' || repeat('0', 130)))",
        "signature_invalid",
    ),
    "signers changed about": (
        "sign_data = jsonb_set(sign_data, '{0,signer}', sign_data #> '{1,signer}')",
        "signature_invalid",
    ),
    "a signature in another shape": ("sign_data = '[{\"signer\": []}]'", "signatures_malformed"),
    "a gigantic signature set": (
        "sign_data = to_jsonb(array_fill('x'::text, ARRAY[100000]))",
        "signatures_malformed",
    ),
    "another id": (f"id = '0x{'ab' * 32}'", "id_mismatch"),
}


@pytest.mark.parametrize("what", TAMPERINGS)
async def test_what_was_tampered_with_is_found_and_named(
    stored: str, sql: asyncpg.Connection, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    change, reason = TAMPERINGS[what]
    id_ = "0x" + ROWS[3].id.hex()
    await sql.execute(f"UPDATE prices SET {change} WHERE id = '{id_}'")  # noqa: S608  the table above
    if what == "another id":
        id_ = "0x" + "ab" * 32

    assert await verify("--database", stored) == 1
    said = capsys.readouterr().out
    assert f"NOT PROVEN {id_}" in said
    assert reason in said

    assert await verify("--database", stored, "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["failed"]) == (15, 1)
    assert result["failures"][0]["id"] == id_


async def test_a_forged_epoch_proves_nothing_to_who_trusts_a_true_one(
    stored: str, sql: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    # Somebody with the database makes a network of the same id, and prices that it proves.
    forged = make_network(4, seed="forged", network_id=FIRST.document.network_id)
    await fill(stored, [FIRST, SECOND, forged], forged.rows(1))
    assert await verify("--database", stored) == 0
    assert await verify("--database", stored, "--trust", to_hash(SECOND)) == 1
    assert "epoch_untrusted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("document = replace(document, '\"minimumSigners\":3', '\"minimumSigners\":4')", "false"),
        ("document = 'no document'", "false"),
        (f"hash = '0x{'cd' * 32}'", "unknown"),
    ],
)
async def test_an_epoch_that_was_tampered_with_proves_none_of_its_prices(
    stored: str,
    sql: asyncpg.Connection,
    capsys: pytest.CaptureFixture[str],
    change: str,
    reason: str,
) -> None:
    await sql.execute(f"UPDATE epochs SET {change} WHERE epoch = 1")  # noqa: S608  the table above
    assert await verify("--database", stored, "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert result["failed"] == 10
    assert {failure["reason"] for failure in result["failures"]} == {f"epoch_{reason}"}


async def test_since_leaves_out_what_began_before(
    stored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for since, rows in (
        ("2027-01-16T00:02:30Z", 5),
        ("2027-01-16T00:02:30.5", 4),
        ("2027-01-16T01:02:30+01:00", 5),
        ("2027-01-17", 0),
    ):
        assert await verify("--database", stored, "--since", since, "--json") == 0
        assert json.loads(capsys.readouterr().out)["rows"] == rows


async def test_a_wrong_call_or_a_missing_database_is_not_checked(
    empty_url: str, stored: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, ...]] = [
        ("--database", empty_url),
        ("--database", f"postgresql://postgres@/d?host={tmp_path}"),
        ("--database", "mysql://h/d"),
        ("--database", stored, "--trust", "0x12"),
        ("--database", stored, "--trust", to_hash(STRANGER)),
        ("--database", stored, "--network", str(tmp_path / "missing")),
        ("--database", stored, "--since", "yesterday"),
        (str(tmp_path / "missing"),),
        (),
    ]
    for words in calls:
        assert await verify(*words) == 2, words
        assert "could not check" in capsys.readouterr().err
        assert await verify(*words, "--json") == 2
        assert json.loads(capsys.readouterr().out)["proven"] is None
    with pytest.raises(SystemExit) as caught:
        await verify("--database", stored, "file")
    assert caught.value.code == 2


def to_json(network: SampleNetwork, row: StoredRow) -> dict[str, Any]:
    return format_price(row.report, row.signatures, network.document)


PRICES = [to_json(FIRST, row) for row in FIRST.rows(3)] + [to_json(SECOND, SECOND.rows(1)[0])]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (json.dumps(PRICES[0]), 1),
        (json.dumps(PRICES[0], indent=2), 1),
        ("\n".join(map(json.dumps, PRICES)), 4),
        ("\n\n".join(map(json.dumps, PRICES)) + "\n", 4),
        (json.dumps({"prices": PRICES, "next": None}), 4),
        (json.dumps({"prices": PRICES, "next": "x"}, indent=1), 4),
        (json.dumps({"prices": [], "next": None}), 0),
    ],
)
def test_json_prices_prove_themselves_by_the_documents_they_carry(
    text: str,
    rows: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text)
    assert run(["verify", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert run(["verify", "-", "--json", *(("--trust", to_hash(SECOND)) if rows == 4 else ())]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows


def test_json_prices_of_an_epoch_that_nobody_vouched_for_are_not_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prices.json"
    file.write_text("\n".join(map(json.dumps, PRICES)))
    assert run(["verify", str(file), "--trust", to_hash(FIRST)]) == 1
    assert f"NOT PROVEN {PRICES[3]['id']}" in capsys.readouterr().out
    assert run(["verify", str(file), "--trust", to_hash(STRANGER)]) == 1


def test_a_false_json_price_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prices.json"
    false = json.loads(json.dumps(PRICES[0]))
    false["report"]["price"] = "250000000009"
    file.write_text("\n".join(map(json.dumps, [PRICES[1], false, PRICES[2]])))
    assert run(["verify", str(file)]) == 1
    assert "id_mismatch" in capsys.readouterr().out
    without = {name: value for name, value in PRICES[0].items() if name != "document"}
    file.write_text(json.dumps(without))
    assert run(["verify", str(file)]) == 1
    assert "epoch_unknown" in capsys.readouterr().out
    network = tmp_path / "network.json"
    network.write_bytes(FIRST.document.canonical)
    assert run(["verify", str(file), "--network", str(network)]) == 0


@pytest.mark.parametrize("text", ["{", "[1]", '{"prices": 1}', '{"prices": [1]}', "{}", "\xff"])
def test_what_is_no_price_could_not_be_checked(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text, encoding="latin-1")
    assert run(["verify", str(file)]) == 2
    assert str(file) in capsys.readouterr().err
