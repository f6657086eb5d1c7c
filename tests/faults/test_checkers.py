"""Every checker can fail on what a real network leaves behind: a fault planted in good evidence."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from faults.fault_network import get_told
from faults.history import History, judge, make_measured, to_row
from faults.island import Island
from faults.recorder import Fact, Facts, Recorder
from faults.table import TableRow, execute, read_table
from faults.watched import Eye, WatchedTurns
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from gossip_price.core import events as ev
from gossip_price.core.types import Entry, Now, Report, Signature
from gossip_price.core.wire import Envelope, encode
from gossip_price.simulator.checkers.bounds import measure
from networks import SampleNetwork


class Evidence(NamedTuple):
    """What a quiet island has left, and the keys to forge with."""

    history: History
    network: SampleNetwork
    island: Island


@pytest.fixture(scope="module")
def evidence(postgres: EmbeddedPostgres, template: str) -> Iterator[Evidence]:
    with tempfile.TemporaryDirectory(prefix="gp-f-") as folder:
        island = Island(Path(folder), postgres, template)
        try:
            for node in island.journals:
                island.begin(node)
            island.wait_for_told("stored", 6)
            island.calm_down()
            assert not island.finish().violations
            yield Evidence(island.get_history(), island.network, island)
        finally:
            island.close()


def _tamper(*statements: str) -> Callable[[Evidence], History]:
    def plant(evidence: Evidence) -> History:
        assert evidence.history.rows
        return replace(evidence.history, rows=read_table(evidence.island.url, *statements))

    return plant


def _add_facts(history: History, *facts: Fact) -> History:
    ordered = sorted([*history.facts, *facts], key=lambda fact: fact.ns)
    return replace(history, facts=ordered)


def _find(history: History, kind: str) -> Fact:
    return next(fact for fact in history.facts if fact.kind == kind)


def forge_second_report(evidence: Evidence) -> Report:
    """Return another report of a round that was proven: same round, another price."""
    first = evidence.history.rows[0].row.claim
    return Report(*first._replace(price=first.price + 1))


def plant_second_signatures(evidence: Evidence, count: int) -> History:
    report = forge_second_report(evidence)
    signatures = tuple(
        Signature(member, evidence.network.sign(report, member)) for member in range(count)
    )
    data = encode(Envelope(1, (Entry(report, signatures),)))
    last = [fact for fact in evidence.history.facts if fact.kind == "heard"][-1]
    sent = last._replace(kind="published", values=(data,), node=0)
    return _add_facts(evidence.history, last._replace(values=("somebody", data)), sent)


def plant_second_vote(evidence: Evidence) -> History:
    """In a copy of node 0's journal, as if its key had not been unique."""
    report = forge_second_report(evidence)
    copy = evidence.island.place / "forged.sqlite"
    for ending in ("", "-wal"):
        source = Path(f"{evidence.history.journals[0]}{ending}")
        if source.exists():
            shutil.copyfile(source, f"{copy}{ending}")
    with sqlite3.connect(copy) as connection:
        connection.execute(
            "INSERT INTO votes VALUES (?, ?, ?, ?)",
            ("forged", evidence.network.compute_id(report), report.round,
             msgspec.msgpack.encode(report)),
        )  # fmt: skip
    connection.close()
    return replace(evidence.history, journals={**evidence.history.journals, 0: copy})


def forget_a_vote(evidence: Evidence) -> History:
    """As if a signature had left before its vote was synced, and the disk had lost it."""
    history = plant_second_vote(evidence)
    with sqlite3.connect(history.journals[0]) as connection:
        connection.execute("DELETE FROM votes")
    connection.close()
    return history


def plant_second_row(evidence: Evidence) -> History:
    report = forge_second_report(evidence)
    row = evidence.network.row(report)
    first = evidence.history.rows[0]
    plain = to_row([row.id, [getattr(report, name) for name in first.row.claim._fields],
                    row.signatures])  # fmt: skip
    return replace(evidence.history, rows=[*evidence.history.rows, first._replace(row=plain)])


def write_too_early(evidence: Evidence) -> History:
    """The write that came first comes right after its vote instead."""
    history = evidence.history
    write = _find(history, "asked_to_write")
    proven = next(
        fact for fact in get_told(history.facts, "proven", write.node)
        if fact.values[3] == write.values[0][0][0]
    )  # fmt: skip
    moved = write._replace(ns=proven.ns + 1, wall_ms=proven.wall_ms, mono_ms=proven.mono_ms)
    return _add_facts(history, moved)


def settle_too_late(evidence: Evidence) -> History:
    """A node has told of it three turns later."""
    history = evidence.history
    told = get_told(history.facts, "settled")[0]
    turns = [fact for fact in history.facts if fact.kind == "turned" and fact.node == told.node]
    turn = [fact for fact in turns if fact.ns > told.ns][2]
    moved = told._replace(ns=turn.ns + 1, wall_ms=turn.wall_ms, mono_ms=turn.mono_ms)
    kept = [fact for fact in history.facts if fact is not told]
    return _add_facts(replace(history, facts=kept), moved)


def write_without_signatures(evidence: Evidence) -> History:
    """Where the true row stands already: the table shows nothing of it."""
    write = _find(evidence.history, "asked_to_write")
    rows = [[id_, claim, []] for id_, claim, _ in write.values[0]]
    return _add_facts(evidence.history, write._replace(ns=write.ns + 1, values=(rows,)))


def remember_no_proof(evidence: Evidence) -> History:
    """A message's first signatures, and not the proposer's."""
    kept = _find(evidence.history, "kept")
    id_, claim, signatures = kept.values
    addresses = evidence.network.document.addresses
    others = [one for one in signatures if addresses[one[0]] != claim[-1]]
    return _add_facts(evidence.history, kept._replace(ns=kept.ns + 1, values=(id_, claim, others)))


def repeat_a_message(evidence: Evidence) -> History:
    sent = next(
        fact
        for fact in evidence.history.facts
        if fact.kind == "published" and msgspec.msgpack.decode(fact.values[0])[1]
    )
    return _add_facts(evidence.history, sent._replace(ns=sent.ns + 1))


def cut_off_an_honest_member(evidence: Evidence) -> History:
    heard = _find(evidence.history, "heard")
    cut = heard._replace(kind="penalized", values=(heard.values[0], "a whim"))
    return _add_facts(evidence.history, cut)


def hoard(evidence: Evidence) -> History:
    measured = _find(evidence.history, "measured")
    lengths = dict(measured.values[0]) | {"Presence._others": 1_000}
    return _add_facts(evidence.history, measured._replace(values=(list(lengths.items()), ())))


def hold_for_no_reason(evidence: Evidence) -> History:
    measured = _find(evidence.history, "measured")
    forgotten = ["still holds 0badcafe, which is settled and waits for nothing"]
    return _add_facts(evidence.history, measured._replace(values=(measured.values[0], forgotten)))


def ask_before_writing(evidence: Evidence) -> History:
    """A real SELECT, by a real connection through the proxy."""
    island = evidence.island
    execute(island.proxy.get_url(island.database), "SELECT count(*) FROM prices")
    return replace(evidence.history, statements=[list(t) for t in island.proxy.statements])


def keep_silent(evidence: Evidence) -> History:
    """Nobody ever said anything, and nobody says that something went wrong."""
    kept = [fact for fact in evidence.history.facts if fact.kind not in ("published", "heard")]
    return replace(evidence.history, facts=kept, disturbances=[])


PLANTED: dict[str, tuple[str, Callable[[Evidence], History]]] = {
    "a price changed in the signed bytes": (
        "proof",
        _tamper("UPDATE prices SET report = set_byte(report, 159, 1)"),
    ),
    "a price changed beside the signed bytes": (
        "columns",
        _tamper("UPDATE prices SET price = price + 1"),
    ),
    "signatures taken away": ("proof", _tamper("UPDATE prices SET sign_data = sign_data - 0 - 0")),
    "one signer counted three times": (
        "proof",
        _tamper(
            "UPDATE prices SET sign_data ="
            " jsonb_build_array(sign_data->0, sign_data->0, sign_data->0)"
        ),
    ),
    "one signer named twice": (
        "proof",
        _tamper("UPDATE prices SET sign_data = sign_data || (sign_data->0)"),
    ),
    "the proposer's signature taken away": (
        "proof",
        _tamper(
            "UPDATE prices SET sign_data = (SELECT jsonb_agg(item) FROM"
            " jsonb_array_elements(sign_data) AS item WHERE item->>'signer' <> first_signer)"
        ),
    ),
    "a time changed beside the signed bytes": (
        "columns",
        _tamper("UPDATE prices SET observed_time = observed_time + interval '1 second'"),
    ),
    "a row written that proves nothing": ("proof", write_without_signatures),
    "a proof remembered that is none": ("proof", remember_no_proof),
    "a row deleted (keeping)": ("keeping", _tamper("DELETE FROM prices")),
    "a row deleted (journals)": ("journals", _tamper("DELETE FROM prices")),
    "a second vote in a journal": ("journals", plant_second_vote),
    "a vote lost by a disk": ("journals", forget_a_vote),
    "a second signature heard": ("messages", lambda e: plant_second_signatures(e, 1)),
    "a second proven report heard": ("messages", lambda e: plant_second_signatures(e, 3)),
    "a second proven report sent": ("votes", lambda e: plant_second_signatures(e, 3)),
    "a second row of a round": ("keeping", plant_second_row),
    "a row that no node has sent": ("columns", plant_second_row),
    "a row written too early": ("settling", write_too_early),
    "a report settled too late": ("settling", settle_too_late),
    "a report sent twice": ("cost", repeat_a_message),
    "an honest member cut off": ("blame", cut_off_an_honest_member),
    "a map that grows": ("bounds", hoard),
    "a report that is held for no reason": ("bounds", hold_for_no_reason),
    "a SELECT on the write path": ("statements", ask_before_writing),
    "rounds that nobody proved": ("liveness", keep_silent),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_by_its_checker(fault: str, evidence: Evidence) -> None:
    checker, plant = PLANTED[fault]
    verdict = judge(plant(evidence))
    assert checker in {violation.checker for violation in verdict.violations}, f"{fault}: {verdict}"


def test_lengths_come_back_as_they_were_measured() -> None:
    lengths = {"OpenRounds._rounds": 3, "Outbox._ids": 2, "Writing._heap": 1}
    assert dict(measure(make_measured(lengths))) == lengths


def test_a_row_is_read_as_it_was_recorded(evidence: Evidence) -> None:
    """The table's bytes and the statement's rows are the same content, by two ways."""
    asked = {
        plain[0]: to_row(plain)
        for fact in evidence.history.facts
        if fact.kind == "asked_to_write"
        for plain in fact.values[0]
    }
    rows: list[TableRow] = evidence.history.rows
    assert all(asked[row.row.id].claim == row.row.claim for row in rows)


def test_what_a_turn_takes_is_recorded_at_the_turns_own_time(place: Path) -> None:
    """A busy machine writes facts down late; the node judged by the time its turn began with."""

    class LateClock:
        def now(self) -> Now:
            return Now(9_000, 9_000)

    class IdleMachine:
        def step(self, event: ev.Event, now: Now) -> list[ev.Effect]:
            return []

    eye = Eye(Recorder(place, 0, 1), LateClock())
    turns = WatchedTurns(IdleMachine(), None, None)
    turns.eye = eye
    eye.tell("began")
    turns.take([ev.Received("peer", b"data")], Now(1_000, 2_000))
    eye.tell("inserted", [])
    told = {fact.kind: (fact.wall_ms, fact.mono_ms) for fact in Facts(place).read()}
    assert told["heard"] == (1_000, 2_000)
    assert told["began"] == told["inserted"] == (9_000, 9_000)
