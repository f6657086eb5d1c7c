"""What one node of a running network shows of its rounds: a simulated network, its real notes."""

from __future__ import annotations

from crafted import get_ranked
from gossip_price.adapters.live import EventRing, LiveBoard, PresenceWatch
from gossip_price.adapters.live.rounds import RoundBook
from gossip_price.core.events import Note, NoteKind
from gossip_price.network.keys import format_address
from networks import PAIR, START, make_network
from shown_world import ShownWorld
from world import PRICE, World

NETWORK = make_network(4)
MEMBERS = [format_address(address) for address in NETWORK.document.addresses]


async def test_a_round_goes_from_waiting_to_stored() -> None:
    world = ShownWorld(NETWORK, fetch_ms=900, latency_ms=200)
    world.fetch_ms_by_member[0] = 100
    # One that somebody else proposes, so that it is seen before.
    begin = NETWORK.round(next(n for n in range(1, 9) if get_ranked(NETWORK, n)[0] != 0))
    states: list[str] = []
    for tenths in range(430):
        world.run_until_ms(begin * 1000 + tenths * 100)
        (seen,) = [one for one in await world.ask() if one["round"] == begin]
        states += [] if states[-1:] == [seen["state"]] else [seen["state"]]
    assert states == ["waiting", "observed", "proposed", "proven", "settled", "stored"]


async def test_a_proven_round_names_its_signers_and_when_it_settles() -> None:
    world = ShownWorld(NETWORK)
    world.run_until(START + 5)
    (seen,) = await world.ask(limit=1)
    assert (seen["pair"], seen["round"], seen["state"]) == (PAIR, START, "proven")
    assert seen["time"] == "2027-01-16T00:00:00Z"
    (proposal,) = seen["proposals"]
    assert proposal["price"] == f"{PRICE // 10**8}.{PRICE % 10**8:08}"
    assert sorted(proposal["signers"]) == sorted(MEMBERS)
    assert proposal["proposer"] in MEMBERS
    assert proposal["needed"] == 3
    assert proposal["settlesAt"] > proposal["provenAt"] > seen["time"][:-1]
    assert (proposal["settledAt"], proposal["storedAt"]) == (None, None)
    world.run_until(START + 40)
    (seen,) = [one for one in await world.ask() if one["round"] == START]
    (proposal,) = seen["proposals"]
    assert proposal["storedAt"] > proposal["settledAt"] >= proposal["settlesAt"]


async def test_a_round_that_nobody_saw_is_lost_with_the_reason() -> None:
    world = ShownWorld(NETWORK, price=lambda member, unix_s: None)
    world.run_until(START + 120)
    rounds = await world.ask(limit=100)
    lost = {one["round"]: one["reason"] for one in rounds if one["state"] == "lost"}
    assert lost[START] == "no_proposal"
    assert world.list_told("lost")[0]["reason"] == "no_proposal"


async def test_every_signature_is_told_once_and_in_order() -> None:
    world = ShownWorld(NETWORK)
    world.run_until(START + 40)
    first = [(name, data) for name, data in world.told if data.get("round") == START]
    names = [name for name, _ in first]
    assert names == [
        "observation", "proposal", "signature", "signature", "signature", "proven", "signature",
        "settled", "stored",
    ] or sorted(names) == sorted([
        "observation", "proposal", *["signature"] * 4, "proven", "settled", "stored",
    ])  # fmt: skip
    signers = [data["member"] for name, data in first if name == "signature"]
    assert sorted(signers) == sorted(MEMBERS)
    counts = [data["signers"] for name, data in first if name == "signature"]
    assert counts == [1, 2, 3, 4]
    assert {data["id"] for name, data in first if "id" in data} == {first[-1][1]["id"]}
    assert all(data["at"] >= data["time"][:-1] for _, data in first)


async def test_what_others_saw_is_learnt_from_their_heartbeats() -> None:
    world = ShownWorld(NETWORK, price=lambda member, unix_s: PRICE + member)
    world.run_until(START + 12)
    machine = world.nodes[0].turns.machine
    assert world.board is not None
    watch = PresenceWatch(
        world.board,
        count_changes=lambda: machine.presence_changes,
        list_seen=machine.list_seen,
    )
    watch.look()
    (seen,) = await world.ask(limit=1)
    assert [one["member"] for one in seen["observations"]] == MEMBERS
    assert len({one["price"] for one in seen["observations"]}) == 4
    assert len(world.list_told("network")) >= 1
    before = len(world.told)
    watch.look()  # nothing has come since
    assert len(world.told) == before


async def test_a_node_that_has_just_started_shows_what_its_earlier_life_had_proven() -> None:
    world = ShownWorld(NETWORK)
    world.run_until(START + 10)
    world.board = None
    world.restart(0)
    world.run_until(START + 45)
    (seen,) = [one for one in await world.ask(limit=100) if one["round"] == START]
    (proposal,) = seen["proposals"]
    assert sorted(proposal["signers"]) == sorted(MEMBERS)
    assert (proposal["provenAt"], proposal["settledAt"] is None) == (None, False)


def make_board(wall_s: int) -> tuple[LiveBoard, EventRing]:
    ring = EventRing(1)
    world = World(NETWORK)
    board = LiveBoard(
        NETWORK.document.addresses[0],
        ring,
        get_chain=lambda: world.chain,
        find_settled=lambda id_: None,
        wall_ms=lambda: wall_s * 1000,
    )
    return board, ring


def test_a_node_that_catches_up_a_week_does_not_tell_of_each_round() -> None:
    board, ring = make_board(START + 7 * 86_400)
    for index in range(1_000):
        report = NETWORK.report(index)
        board.observe(
            Note(
                NoteKind.PROVEN,
                pair=PAIR,
                round=report.round,
                id=index.to_bytes(32, "big"),
                proposer=report.proposer,
                price=report.price,
                decimals=8,
            )
        )
    assert ring.last == 0


def test_rounds_and_pairs_that_no_epoch_has_are_not_shown() -> None:
    board, ring = make_board(START + 15)
    for pair, start in ((PAIR, START + 1), ("NO-PAIR", START), (PAIR, START + 900), (PAIR, 0)):
        board.add_observation(bytes(20), pair, start, 1)
    assert ring.last == 0
    board.add_observation(bytes(20), PAIR, START, 1)
    assert ring.last == 1


def test_the_oldest_round_makes_room_and_never_comes_back() -> None:
    book = RoundBook(size=3)
    for start in (30, 15, 45, 60):
        book.add(NETWORK.document, PAIR, start)
    assert [seen.start for seen in book] == [60, 45, 30]
    assert book.add(NETWORK.document, PAIR, 15) is None
