"""The database: who writes, who waits, and what happens while it is away or refuses."""

from __future__ import annotations

from crafted import carries_receipts, get_ranked, get_writers, make_receipt, pack
from gossip_price.core.events import NoteKind, StoreDown, StoreUp
from gossip_price.core.limits import POISON_RETRY_MS, RECEIPT_TRUST_MS
from gossip_price.core.wire import decode
from networks import START, make_network
from world import PRICE, STORE, World


def test_while_the_first_writer_lives_each_row_costs_one_statement() -> None:
    world = World(make_network(7), latency_ms=100)
    world.run_rounds(8)
    assert len(world.get_rows()) == 8
    assert world.table.statements == 8


def test_the_writer_is_the_first_of_the_rounds_order_and_says_so_in_a_receipt() -> None:
    network = make_network(4)
    world = World(network)
    world.run_rounds(4)
    expected = [get_writers(network, network.round(index), range(4))[0] for index in range(4)]
    assert world.server.writers == expected
    writer = world.nodes[expected[0]]
    (receipt, *_) = [
        decode(data).receipts[0] for data in writer.published if carries_receipts(data)
    ]
    assert receipt.store == STORE
    assert receipt.ids == (world.get_rows()[0].id,)


def test_where_the_first_writer_dies_the_next_takes_over_after_a_step() -> None:
    network = make_network(4)
    first, second, *_ = get_writers(network, network.round(0), range(4))
    world = World(network)
    world.run_until(START + 30)
    world.kill(first)
    world.run_until(START + 40)
    row = next(row for row in world.get_rows() if row.report.round == START)
    assert world.server.writers[0] == second
    assert 3_000 <= world.table.written_ms[row.id] - row.last_signed_ms - 30_500 <= 3_100
    assert world.table.statements == 1


def test_who_has_been_silent_for_long_is_no_writer_any_more() -> None:
    network = make_network(4)
    world = World(network)
    world.run_until(START + 40)
    world.kill(3)
    world.run_until(START + 300)
    assert world.get_writers_known_to(0) == {1, 2}
    late = [row for row in world.get_rows() if row.report.round >= START + 235]
    assert late
    for row in late:
        assert world.table.written_ms[row.id] - row.last_signed_ms < 31_000


def test_who_has_no_database_or_another_one_is_no_writer() -> None:
    world = World(make_network(4))
    world.run_until(START + 40)
    assert world.get_writers_known_to(0) == {1, 2, 3}
    world.give(2, StoreDown("gone"))
    world.give_store(3, b"T" * 32)
    world.run_until(START + 50)
    assert world.get_writers_known_to(0) == {1}


def test_with_the_store_down_from_the_start_nothing_is_lost_and_no_herd_comes() -> None:
    network = make_network(7)
    world = World(network, store_up=False)
    world.run_until(START + 300)
    assert world.get_rows() == []
    before = {node.index: len(node.journal.proven) for node in world.nodes}
    world.server.start()
    world.run_until(START + 304)
    waiting = [index for index in range(20) if network.round(index) + 31 <= START + 299]
    assert len(waiting) == 18
    stored = {row.report.round for row in world.get_rows()}
    assert stored >= {network.round(index) for index in waiting}
    # One statement for the backlog, and one for each row that settled meanwhile.
    assert world.table.statements <= 2
    assert all(before.values())


def test_when_the_store_goes_away_and_returns_everything_is_stored_once() -> None:
    network = make_network(4)
    world = World(network)
    world.run_until(START + 100)
    world.server.stop()
    world.run_until(START + 200)
    world.server.start()
    statements = world.table.statements
    world.run_until(START + 260)
    rounds = [row.report.round for row in world.get_rows()]
    assert rounds == [network.round(index) for index in range(len(rounds))]
    assert len(rounds) >= 15
    # Rows of six rounds waited (one statement), four more settled meanwhile.
    assert world.table.statements - statements <= 7


def test_an_outage_is_told_once_at_its_start_and_once_at_its_end() -> None:
    world = World(make_network(4))
    world.run_until(START + 60)
    world.table.up = False  # found out by the next writer, whose connection tells it as well
    world.run_until(START + 90)
    for node in world.nodes:
        world.give(node.index, StoreDown("stopped"))
    world.run_until(START + 95)
    for node in world.nodes:
        world.give(node.index, StoreDown("stopped"))
    world.run_until(START + 100)
    world.server.start()
    world.run_until(START + 110)
    for node in world.nodes:
        assert node.get_reasons(NoteKind.STORE_DOWN) == ["stopped"]
        assert len(node.get_notes(NoteKind.STORE_UP)) == 2


def test_who_reconnects_late_believes_the_receipts_that_came_meanwhile() -> None:
    network = make_network(4)
    world = World(network, store_up=False)
    world.run_until(START + 120)
    world.table.up = True
    for index, after_s in enumerate((0, 5, 9, 13)):
        world.give(index, StoreUp(STORE), after_ms=after_s * 1000)
    world.run_until(START + 160)
    backlog = {row.id for row in world.get_rows() if row.report.round < START + 80}
    told = [
        node.index
        for node in world.nodes
        for note in node.get_notes(NoteKind.STORED)
        if note.id in backlog
    ]
    assert len(backlog) == 6
    assert set(told) == {0}
    assert world.table.statements <= 5


def test_a_lying_receipt_only_delays() -> None:
    network = make_network(4)
    liar = 3
    honest = [0, 1, 2]
    world = World(network, alive=honest, start_s=START - 10)
    world.run_until(START + 10)
    proven = [record.id for record in world.nodes[0].journal.proven.values()]
    receipt = make_receipt(network, liar, proven)
    world.send(liar, pack(receipts=[receipt]))
    world.run_until(START + 120)
    lied_about = [row for row in world.get_rows() if row.report.round == START]
    assert lied_about == []
    assert len(world.get_rows()) >= 4
    world.run_until(START + 120 + RECEIPT_TRUST_MS // 1000)
    assert world.get_rows()[0].report.round == START
    assert all(node.penalized == [] for node in world.nodes)


def test_a_lying_receipt_delays_no_longer_over_a_restart() -> None:
    network = make_network(4)
    world = World(network, alive=[0, 1, 2], start_s=START - 10)
    while not all(node.get_notes(NoteKind.SETTLED) for node in world.nodes[:3]):
        world.run_until_ms(world.true_ms + 50)
    proven = [record.id for record in world.nodes[0].journal.proven.values()]
    # While it is settled and gathers for its batch, so that the journals take note of the receipt.
    world.send(3, pack(receipts=[make_receipt(network, 3, proven[:1])]))
    world.run_until_ms(world.true_ms + 50)
    for node in world.nodes[:3]:
        assert not node.journal.stored[proven[0]].confirmed
        world.kill(node.index)
        world.restart(node.index)
        assert node.turns.machine.unstored == 1
    world.run_until(START + 60 + RECEIPT_TRUST_MS // 1000)
    assert proven[0] in world.table.rows


def test_what_a_node_has_stored_itself_is_confirmed_in_its_journal() -> None:
    """Without that the journal forgets none of it, ever."""
    world = World(make_network(4))
    world.run_until(START + 40)
    (row,) = world.get_rows()
    (writer,) = [node for node in world.nodes if node.get_notes(NoteKind.STORED)]
    assert writer.journal.stored[row.id].confirmed


def test_a_lying_receipt_for_another_store_is_nothing() -> None:
    network = make_network(4)
    world = World(network, alive=[0, 1, 2])
    world.run_until(START + 10)
    proven = [record.id for record in world.nodes[0].journal.proven.values()]
    world.send(3, pack(receipts=[make_receipt(network, 3, proven, store=b"x" * 32)]))
    world.run_until(START + 11)
    assert not any(node.get_notes(NoteKind.RECEIPT) for node in world.nodes)
    world.run_until(START + 40)
    (row,) = world.get_rows()
    assert 30_000 <= world.table.written_ms[row.id] - row.last_signed_ms <= 31_000


def test_receipts_heard_in_an_outage_count_only_if_the_same_store_returns() -> None:
    network = make_network(4)
    world = World(network, alive=[0, 1, 2], store_up=False)
    world.run_until(START + 40)
    proven = [record.id for record in world.nodes[0].journal.proven.values()]
    world.send(3, pack(receipts=[make_receipt(network, 3, proven, store=b"x" * 32)]))
    world.run_until(START + 60)
    world.server.start()
    world.run_until(START + 64)
    assert world.get_rows()[0].report.round == START


def test_a_new_database_gets_what_a_receipt_placed_in_the_old_one() -> None:
    network = make_network(4)
    world = World(network)
    world.run_until(START + 60)
    assert world.get_rows()
    old, world.table.rows = world.table.rows, {}
    for node in world.nodes:
        world.give(node.index, StoreDown("failover"))
        world.give(node.index, StoreUp(b"T" * 32), after_ms=1_000)
    world.run_until(START + 80)
    # Its writer believes that it wrote them; the others know that it was elsewhere.
    assert set(old) <= set(world.table.rows)


def test_a_poison_row_is_found_by_halving_and_keeps_no_other_from_the_table() -> None:
    network = make_network(4)
    world = World(network, store_up=False)
    world.run_until(START + 150)
    settled = world.nodes[0].get_notes(NoteKind.SETTLED)
    poison = settled[3].id
    world.table.poison.add(poison)
    world.server.start()
    world.run_until(START + 165)
    assert {note.id for note in settled} - {poison} <= set(world.table.rows)
    alarms = [note for node in world.nodes for note in node.get_notes(NoteKind.POISON)]
    assert {note.id for note in alarms} == {poison}
    assert {note.reason for note in alarms} == {"poison"}
    world.table.poison.clear()
    world.run_until(START + 165 + POISON_RETRY_MS // 1000 + 20)
    assert poison in world.table.rows
    rounds = [row.report.round for row in world.get_rows()]
    assert len(rounds) == len(set(rounds))


def test_a_liar_alone_at_the_database_cannot_make_others_store_less_than_a_quorum() -> None:
    network = make_network(4)
    first = get_ranked(network, 0)[0]
    world = World(network, alive=[first])
    world.run_until(START + 2)
    report = next(iter(world.nodes[first].journal.votes.values())).report
    others = [index for index in range(4) if index != first]
    world.send(others[0], pack(network.entry(report, (first, others[0]))))
    world.run_until(START + 120)
    assert world.get_rows() == []
    assert report.price == PRICE


def test_closing_stores_what_is_settled_and_leaves_the_rest_to_the_others() -> None:
    network = make_network(4)
    world = World(network, store_up=False)
    world.run_until(START + 80)
    settled = {note.id for note in world.nodes[2].get_notes(NoteKind.SETTLED)}
    assert len(settled) == 4
    world.table.up = True
    world.give(2, StoreUp(STORE))
    world.close(2)
    world.run_until(START + 81)
    assert set(world.table.rows) == settled
    assert world.nodes[2].turns.machine.is_drained()
    signed = len(world.nodes[2].get_notes(NoteKind.SIGNED))
    world.run_until(START + 200)
    assert set(world.table.rows) == settled
    assert len(world.nodes[2].get_notes(NoteKind.SIGNED)) == signed


def test_a_node_that_does_not_leave_is_not_drained() -> None:
    world = World(make_network(4))
    world.run_until(START + 14)
    assert not world.nodes[0].turns.machine.is_drained()
