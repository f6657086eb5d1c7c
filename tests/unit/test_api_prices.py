"""Prices over HTTP: pages, filters, proofs, and what is said when something cannot be had."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_node import ApiNode, connect, make_history_row, make_note
from gossip_price.adapters.archive import PAGE_MAX
from gossip_price.cli import verify
from gossip_price.core.events import NoteKind
from gossip_price.core.limits import JOURNAL_AGE_S
from gossip_price.network.document import PairTerms
from gossip_price.network.epochs import EpochChain
from gossip_price.network.keys import format_address
from networks import PAIR, START, TERMS, make_network

NETWORK = make_network(4)
ROWS = NETWORK.rows(12)
URL = "/api/v1/prices"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ApiNode]:
    node = ApiNode(NETWORK, tmp_path)
    yield node
    node.journal.close()


@pytest.fixture
def client(node: ApiNode) -> httpx.AsyncClient:
    return connect(node.make_app())


def client_of(node: ApiNode) -> httpx.AsyncClient:
    return connect(node.make_app())


async def read_all(client: httpx.AsyncClient, **parameters: Any) -> list[list[str]]:
    """Return the ids of every page."""
    pages = []
    while True:
        answer = (await client.get(URL, params=parameters)).json()
        pages.append([price["id"] for price in answer["prices"]])
        if answer["next"] is None:
            return pages
        parameters["cursor"] = answer["next"]


def join(pages: list[list[str]]) -> list[str]:
    return [id_ for page in pages for id_ in page]


def hex_ids(*rows: Any) -> list[str]:
    return ["0x" + row.id.hex() for row in rows]


def newest_first(*rows: Any) -> list[str]:
    ordered = sorted(rows, key=lambda row: (row.report.round, row.id), reverse=True)
    return hex_ids(*ordered)


async def test_prices_come_newest_first_page_by_page(
    node: ApiNode, client: httpx.AsyncClient
) -> None:
    node.settle(*ROWS)
    pages = await read_all(client, limit=5)
    assert [len(page) for page in pages] == [5, 5, 2]
    assert join(pages) == newest_first(*ROWS)


async def test_rows_added_between_pages_make_none_repeat_and_none_missing(
    node: ApiNode, client: httpx.AsyncClient
) -> None:
    node.settle(*ROWS[:4], stored=True)
    node.wall_ms += 60_000
    node.restart()
    node.settle(*ROWS[4:8])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    later = list(ROWS[8:])
    while True:
        answer = (await client_of(node).get(URL, params={"limit": 1, **cursor})).json()
        seen += [price["id"] for price in answer["prices"]]
        if later:
            node.settle(later.pop(0))
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    assert seen == newest_first(*ROWS[:8])


async def test_many_prices_of_one_round_are_paged_by_their_ids(tmp_path: Path) -> None:
    network = make_network(4, mode="EveryNode", minimum_signers=3)
    rows = [network.row(network.report(0, 100 + member, member)) for member in range(4)]
    node = ApiNode(network, tmp_path)
    node.settle(*rows)
    pages = await read_all(client_of(node), limit=3)
    assert join(pages) == newest_first(*rows)
    node.journal.close()


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (3, None, ROWS[3:]),
        (None, 3, ROWS[:3]),
        (2, 5, ROWS[2:5]),
        (12, None, []),
        (5, 5, []),
    ],
)
async def test_from_is_included_and_to_is_not(
    node: ApiNode, client: httpx.AsyncClient, begin: int | None, end: int | None, expected: Any
) -> None:
    node.settle(*ROWS)
    given = {"from": begin, "to": end}
    times = {
        name: f"2027-01-16T00:{index // 4:02}:{index % 4 * 15:02}Z"
        for name, index in given.items()
        if index is not None
    }
    assert START == 1_800_057_600  # 2027-01-16, as the times above have it
    (page,) = await read_all(client, **times)
    assert page == newest_first(*expected)


async def test_a_zone_other_than_utc_is_understood(
    node: ApiNode, client: httpx.AsyncClient
) -> None:
    node.settle(*ROWS)
    (page,) = await read_all(client, to="2027-01-16T02:00:30+02:00")
    assert page == newest_first(*ROWS[:2])


async def test_a_pair_s_prices_are_its_own_from_journal_and_table(tmp_path: Path) -> None:
    network = make_network(4, pairs=(TERMS, PairTerms("BTC-USD", 2, 1, 10**12)))
    rows = [
        network.row(network.report(index, 100_000, index % 4, pair=pair))
        for index in range(6)
        for pair in (PAIR, "BTC-USD")
    ]
    node = ApiNode(network, tmp_path)
    node.settle(*rows[:6], stored=True)
    node.wall_ms += 60_000
    node.restart()
    node.settle(*rows[6:])
    bitcoin = [row for row in rows if row.report.pair == "BTC-USD"]
    assert join(await read_all(client_of(node), pair="BTC-USD", limit=2)) == newest_first(*bitcoin)
    both = join(await read_all(client_of(node), limit=5))
    assert both == newest_first(*rows)
    answer = await client_of(node).get(URL + "/latest")
    assert (answer.status_code, answer.json()["parameter"]) == (400, "pair")
    node.journal.close()


async def test_prices_are_text_and_times_have_a_zone(
    node: ApiNode, client: httpx.AsyncClient
) -> None:
    node.settle(ROWS[1])
    price = (await client.get(URL + "/latest", params={"pair": PAIR})).json()
    assert price["price"] == "2500.00000001"
    assert price["report"]["price"] == "250000000001"
    assert price["time"] == price["observedAt"] == "2027-01-16T00:00:15Z"
    assert (price["state"], price["storedAt"]) == ("settled", None)
    assert price["local"]["lastSignedAt"] == "2027-01-16T00:00:16.250Z"


async def test_what_is_stored_says_so_and_when(node: ApiNode, client: httpx.AsyncClient) -> None:
    node.settle(ROWS[0], stored=True)
    price = (await client.get(URL + "/latest")).json()
    assert (price["state"], price["storedAt"]) == ("stored", "2027-01-16T00:00:00.000Z")
    node.restart()
    price = (await client_of(node).get(f"{URL}/{hex_ids(ROWS[0])[0]}")).json()
    # The journal remembers that, and not when.
    assert (price["state"], price["storedAt"]) == ("stored", None)


async def test_the_newest_price_is_the_newest_settled_one(
    node: ApiNode, client: httpx.AsyncClient
) -> None:
    assert (await client.get(URL + "/latest")).status_code == 404
    node.settle(*ROWS[:3])
    node.prove(ROWS[3])
    assert (await client.get(URL + "/latest")).json()["id"] == hex_ids(ROWS[2])[0]
    answer = await client.get(f"{URL}/{hex_ids(ROWS[3])[0]}")
    assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")


async def test_what_an_earlier_life_had_proven_is_shown_once_it_has_settled(node: ApiNode) -> None:
    node.prove(ROWS[0])
    node.restart()
    assert await read_all(client_of(node)) == [[]]
    node.settle(ROWS[0])
    assert await read_all(client_of(node)) == [hex_ids(ROWS[0])]


async def test_recent_prices_ask_no_database(node: ApiNode, client: httpx.AsyncClient) -> None:
    node.settle(*ROWS, stored=True)
    await client.get(URL + "/latest")
    await client.get(f"{URL}/{hex_ids(ROWS[5])[0]}")
    await client.get(URL, params={"limit": 3})
    await client.get(URL, params={"from": "2027-01-16T00:00:00Z"})
    assert node.table.reads == 0


async def test_with_the_database_away_recent_prices_answer_and_older_ones_are_refused(
    tmp_path: Path,
) -> None:
    node = ApiNode(NETWORK, tmp_path)
    node.wall_ms = NETWORK.round(6) * 1000  # its journal is born in the middle
    node.journal.close()
    (tmp_path / "journal.db").unlink()
    node.start()
    node.table.add(*ROWS[:6])
    node.settle(*ROWS[6:], stored=True)
    node.wall_ms += 60_000
    node.restart()
    assert join(await read_all(client_of(node), limit=4)) == newest_first(*ROWS)
    node.table.is_up = False
    client = client_of(node)
    page = (await client.get(URL, params={"limit": 4})).json()
    assert [price["id"] for price in page["prices"]] == newest_first(*ROWS)[:4]
    page = (await client.get(URL, params={"limit": 4, "cursor": page["next"]})).json()
    assert [price["id"] for price in page["prices"]] == newest_first(*ROWS)[4:6]
    refused = await client.get(URL, params={"limit": 4, "cursor": page["next"]})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    said = "prices before 2027-01-16T00:01:30Z are in the database, and connection refused"
    assert refused.json()["detail"] == said
    assert (await client.get(f"{URL}/{hex_ids(ROWS[8])[0]}")).status_code == 200
    assert (await client.get(f"{URL}/{hex_ids(ROWS[0])[0]}")).status_code == 503
    node.table.is_up = True
    page = (await client.get(URL, params={"cursor": page["next"]})).json()
    assert [price["id"] for price in page["prices"]] == newest_first(*ROWS[:6])
    node.journal.close()


async def test_a_journal_older_than_it_keeps_is_not_whole(node: ApiNode) -> None:
    node.settle(*ROWS)
    node.wall_ms += (JOURNAL_AGE_S + 3600) * 1000
    node.restart()
    node.table.is_up = False
    assert (await client_of(node).get(URL)).status_code == 503


async def test_prices_settled_while_the_journal_takes_no_records_come_from_memory(
    node: ApiNode, client: httpx.AsyncClient
) -> None:
    node.settle(*ROWS[:3], stored=True)
    node.journal.write = lambda records: None  # type: ignore[method-assign]  # a full disk
    node.settle(*ROWS[3:5])
    assert await read_all(client) == [newest_first(*ROWS[:5])]
    node.journal.close()  # and now it cannot be read either
    assert await read_all(client) == [newest_first(*ROWS[:5])]
    price = (await client.get(f"{URL}/{hex_ids(ROWS[4])[0]}")).json()
    assert price["verified"] is True


async def test_a_big_network_s_pages_are_shorter(tmp_path: Path) -> None:
    network = make_network(60)
    node = ApiNode(network, tmp_path)
    few = [network.row(network.report(index), (0, 1)) for index in range(40)]
    node.settle(*few)
    page = (await client_of(node).get(URL, params={"limit": PAGE_MAX})).json()
    assert len(page["prices"]) == 2048 // 60
    node.journal.close()


def check(path: Path, *options: str) -> int:
    parser = argparse.ArgumentParser()
    verify.configure(parser)
    return verify.run(parser.parse_args([str(path), *options]))


@pytest.mark.parametrize("where", ["journal", "table"])
async def test_a_price_is_an_export_that_verify_takes(
    node: ApiNode, tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if where == "journal":
        node.settle(ROWS[0])
    else:
        node.table.add(ROWS[0])
    raw = (await client_of(node).get(f"{URL}/{hex_ids(ROWS[0])[0]}")).content
    export = tmp_path / "price.json"
    export.write_bytes(raw)
    assert check(export, "--trust", "0x" + NETWORK.document.hash.hex()) == verify.PROVEN
    assert "all proven" in capsys.readouterr().out
    export.write_bytes(raw.replace(b'"price":"250000000000"', b'"price":"260000000000"'))
    assert check(export) == verify.UNPROVEN


async def test_a_page_is_an_export_that_verify_takes(
    node: ApiNode, client: httpx.AsyncClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node.settle(*ROWS)
    export = tmp_path / "prices.json"
    export.write_bytes((await client.get(URL)).content)
    assert check(export) == verify.PROVEN
    assert "12 rows" in capsys.readouterr().out


async def test_verified_is_said_only_of_what_proves_itself_now(
    node: ApiNode, tmp_path: Path
) -> None:
    node.settle(ROWS[0])
    (id_,) = hex_ids(ROWS[0])
    assert (await client_of(node).get(f"{URL}/{id_}")).json()["verified"] is True
    node.journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        (entry,) = connection.execute("SELECT entry FROM proven").fetchone()
        spoilt = entry.replace(ROWS[0].signatures[0][1][:32], bytes(31) + b"\1")
        connection.execute("UPDATE proven SET entry = ?", (spoilt,))
    connection.close()
    node.start()
    node.observe(make_note(NoteKind.SETTLED, ROWS[0]))
    assert (await client_of(node).get(f"{URL}/{id_}")).status_code == 404
    node.table.add(ROWS[0])
    assert (await client_of(node).get(f"{URL}/{id_}")).json()["verified"] is True


FALSE_ROWS: list[tuple[dict[str, object], str]] = [
    ({"price": "1"}, "column_mismatch"),
    ({"signatures": "[]"}, "proposer_missing"),
    ({"signatures": "{"}, "signatures_malformed"),
    ({"report": b"x"}, "report_malformed"),
    ({"epoch": "0x"}, "epoch_malformed"),
    ({"epoch": "0x" + "ab" * 32}, "epoch_unknown"),
    ({"pair": None}, "report_malformed"),
]


@pytest.mark.parametrize(("changes", "reason"), FALSE_ROWS)
async def test_a_row_that_proves_nothing_is_refused_and_left_out_of_pages(
    node: ApiNode, changes: dict[str, object], reason: str
) -> None:
    node.table.add(*ROWS[:3])
    node.table.add(ROWS[1], **changes)
    node.wall_ms += 120_000
    node.restart()
    answer = await client_of(node).get(f"{URL}/{hex_ids(ROWS[1])[0]}")
    assert answer.status_code == 502
    assert reason in answer.json()["detail"]
    page = (await client_of(node).get(URL)).json()
    assert [price["id"] for price in page["prices"]] == hex_ids(ROWS[2], ROWS[0])
    assert (page["unproven"], page["next"]) == (1, None)
    pages = await read_all(client_of(node), limit=1)
    assert join(pages) == hex_ids(ROWS[2], ROWS[0])
    node.table.add(ROWS[2], **changes)
    latest = (await client_of(node).get(URL + "/latest")).json()
    assert latest["id"] == hex_ids(ROWS[0])[0]


async def test_a_table_full_of_false_rows_is_not_searched_without_end(node: ApiNode) -> None:
    rows = NETWORK.rows(400)
    node.table.add(*rows, signatures="[]")
    node.wall_ms = NETWORK.round(500) * 1000
    node.restart()
    answer = await client_of(node).get(URL + "/latest")
    assert answer.status_code == 502
    assert node.table.reads <= 5


async def test_late_signatures_that_are_good_are_part_of_a_price(node: ApiNode) -> None:
    row = NETWORK.row(ROWS[0].report, (0, 1, 2))
    late = [
        {"signer": format_address(NETWORK.document.addresses[member]), "signature": "0x" + one}
        for member, one in ((3, NETWORK.sign(row.report, 3).hex()), (2, "00" * 65))
    ]
    node.table.rows[row.id] = make_history_row(row, late=json.dumps(late))
    price = (await client_of(node).get(f"{URL}/{hex_ids(row)[0]}")).json()
    signers = [one["signer"] for one in price["signatures"]]
    assert signers == [format_address(address) for address in NETWORK.document.addresses]


async def test_rows_of_epochs_before_ours_are_proven_by_the_chain_and_forged_ones_are_not(
    tmp_path: Path,
) -> None:
    later = NETWORK.follow(start_index=20)
    node = ApiNode(later, tmp_path, chain=EpochChain([later.document]))
    node.wall_ms = later.round(10) * 1000
    node.restart()
    forged = make_network(4, seed="mallory", network_id=NETWORK.document.network_id)
    node.table.add(ROWS[0], *forged.rows(1, first=1))
    answer = await client_of(node).get(f"{URL}/{hex_ids(ROWS[0])[0]}")
    assert "epoch_unknown" in answer.json()["detail"]
    node.table.epochs = [forged.document, NETWORK.document]
    page = (await client_of(node).get(URL)).json()
    assert [price["id"] for price in page["prices"]] == hex_ids(ROWS[0])
    answer = await client_of(node).get(f"{URL}/{hex_ids(*forged.rows(1, first=1))[0]}")
    assert "epoch_untrusted" in answer.json()["detail"]
    node.journal.close()


BAD: list[tuple[str, str, str]] = [
    ("?pair=ETH-EUR", "pair", "allowed: ETH-USD"),
    ("?pair=", "pair", "'' given"),
    ("?from=2027-01-16", "from", "RFC 3339 with a zone"),
    ("?from=2027-01-16T00:00:00", "from", "RFC 3339 with a zone"),
    ("?to=2027-01-16T00:00:00+01:00", "to", "%2B"),
    ("?to=2027-02-30T00:00:00Z", "to", "RFC 3339"),
    (
        "?from=2027-01-17T00:00:00Z&to=2027-01-16T00:00:00Z",
        "from",
        "'2027-01-17T00:00:00Z' given, and to: '2027-01-16T00:00:00Z', allowed: from not later",
    ),
    ("?limit=0", "limit", f"1 to {PAGE_MAX}"),
    ("?limit=501", "limit", f"1 to {PAGE_MAX}"),
    ("?limit=ten", "limit", "'ten' given"),
    ("?limit=1&limit=2", "limit", "given twice"),
    ("?cursor=1", "cursor", "`next` of the page before"),
    ("?cursor=99999999999999999999-" + "00" * 32, "cursor", "`next`"),
    ("?page=2", "page", "allowed: pair, from, to, limit, cursor"),
    ("/latest?pair=X", "pair", "allowed: ETH-USD"),
    ("/latest?limit=1", "limit", "allowed: pair"),
    ("/0x12", "id", "0x and 64 hex digits"),
    ("/0x" + "AB" * 32, "id", "lower case"),
    ("/0x" + "ab" * 32 + "?pair=ETH-USD", "pair", "allowed: none"),
]


@pytest.mark.parametrize(("query", "parameter", "said"), BAD)
async def test_a_bad_parameter_is_named(
    client: httpx.AsyncClient, query: str, parameter: str, said: str
) -> None:
    answer = await client.get(URL + query)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["parameter"] == parameter
    assert problem["detail"].startswith(parameter + ":")
    assert said in problem["detail"]


async def test_an_unknown_id_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{URL}/0x{'ab' * 32}")
    assert answer.status_code == 404
    assert answer.json()["detail"] == f"no settled price has the id 0x{'ab' * 32}"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_prices_are_only_read(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, URL)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
