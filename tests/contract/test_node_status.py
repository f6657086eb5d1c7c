"""What a node's real handler says is read by the operator's real reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import pytest

from gossip_price.adapters.http import make_app, make_status_routes
from gossip_price.adapters.status import Self, StatusBoard
from gossip_price.core.events import Note, NoteKind
from gossip_price.network.epochs import EpochChain
from gossip_price_operator.health import HealthError, parse_health
from gossip_price_operator.observed import LastPrice
from networks import make_network

NETWORK = make_network(4)
DOCUMENT = NETWORK.document
PEERS = [member.peer_id for member in DOCUMENT.members]
PAIR = DOCUMENT.pairs[0].pair
ROUND = DOCUMENT.start + DOCUMENT.interval
PRICE: dict[str, Any] = {
    "pair": PAIR,
    "price": 200_050_000_000,
    "decimals": 8,
    "count": 4,
    "id": bytes(32),
}


ME = Self(False, PEERS[0], DOCUMENT.members[0].address, "0.1.0")


def make_board(problems: Mapping[str, str] = {}, me: Self = ME) -> StatusBoard:
    return StatusBoard(
        me,
        get_chain=lambda: EpochChain([DOCUMENT]),
        get_peers=lambda: frozenset({*PEERS[1:], "16Uiu2stranger"}),
        find_problems=lambda: problems,
        wall_s=lambda: ROUND + 40,
    )


async def read(board: StatusBoard) -> bytes:
    transport = httpx.ASGITransport(make_app(make_status_routes(board.tell)))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        answer = await client.get("/api/v1/status")
    assert answer.status_code == 200
    return answer.content


async def test_the_operator_reads_what_a_node_that_has_just_started_says() -> None:
    health = parse_health(await read(make_board({"peers": "not connected to any peer"})))
    assert not health.ready
    assert health.problems == {"peers": "not connected to any peer"}
    assert (health.known_epoch, health.proven_epoch) == (DOCUMENT.epoch, None)
    assert (health.prices, health.settled_round, health.store_up) == ((), None, None)


async def test_the_operator_reads_what_a_node_at_work_says() -> None:
    board = make_board()
    for kind in (NoteKind.PROVEN, NoteKind.SETTLED):
        board.observe(Note(kind, round=ROUND, **PRICE))
    board.observe(Note(NoteKind.STORE_UP, id=bytes(32)))
    health = parse_health(await read(board))
    assert health.ready
    assert health.prices == (LastPrice(PAIR, "2000.50000000", ROUND, 4, ROUND + 40),)
    assert (health.proven_epoch, health.settled_round, health.store_up) == (1, ROUND, True)
    assert (health.peers, PEERS[0] in (health.peer_ids or ())) == (4, False)
    assert health.store_problem is None
    board.observe(Note(NoteKind.STORE_DOWN, reason="SQLSTATE 28P01: password"))
    health = parse_health(await read(board))
    assert (health.store_up, health.store_problem) == (False, "SQLSTATE 28P01: password")


@pytest.mark.parametrize(
    ("me", "role"),
    [
        (Self(False, PEERS[0], DOCUMENT.members[0].address, "0.1.0"), "member"),
        (Self(False, PEERS[0], "0x" + 40 * "0", "0.1.0"), "listener"),
        (Self(False, PEERS[0], None, "0.1.0"), "listener"),
        (Self(True, PEERS[0], None, "0.1.0"), "bootstrap"),
    ],
)
async def test_a_role_is_that_of_the_newest_epoch(me: Self, role: str) -> None:
    assert json.loads(await read(make_board(me=me)))["role"] == role


async def test_a_price_that_settles_late_does_not_turn_the_newest_back() -> None:
    board = make_board()
    board.observe(Note(NoteKind.SETTLED, round=ROUND, **PRICE))
    board.observe(Note(NoteKind.SETTLED, round=DOCUMENT.start, **PRICE | {"price": 1}))
    assert parse_health(await read(board)).prices[0].round == ROUND


async def test_a_newer_nodes_further_fields_are_no_matter() -> None:
    said = json.loads(await read(make_board())) | {"mood": "good"}
    assert parse_health(json.dumps(said).encode()).ready


@pytest.mark.parametrize("field", ["epoch", "problems", "peers", "prices", "database"])
async def test_an_answer_without_what_we_rely_on_counts_for_nothing(field: str) -> None:
    said = json.loads(await read(make_board()))
    del said[field]
    with pytest.raises(HealthError, match=field):
        parse_health(json.dumps(said).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"role": 1}', b"\xff", msgspec.json.encode("x")])
def test_what_is_no_status_is_an_error_and_no_health(raw: bytes) -> None:
    with pytest.raises(HealthError):
        parse_health(raw)
