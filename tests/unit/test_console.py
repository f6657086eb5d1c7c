"""The live log: several nodes' JSON lines become one readable story."""

from __future__ import annotations

import io
import json
from datetime import UTC
from typing import Any

import pytest
from rich.console import Console

from gossip_price.adapters.console import REMEMBERED_MAX, REPEAT_S, JsonLog, LiveLog

ROUND = 1_700_000_100  # 22:15:00 UTC
ADDRESSES = [f"0x{number}{'a' * 39}" for number in (1, 2, 3, 4)]
NAMES = {address: f"node-{number}" for number, address in enumerate(ADDRESSES, 1)}
ID = "0x" + "11" * 32
OTHER = "0x" + "22" * 32


class Terminal:
    """A log, the clock it looks at, and what it has printed."""

    def __init__(self, *, tty: bool = False, labels: dict[str, str] | None = None) -> None:
        self.now = float(ROUND)
        self.file = io.StringIO()
        console = Console(file=self.file, force_terminal=tty, width=40, highlight=False)
        self.log = LiveLog(console, NAMES, labels or {}, lambda: self.now, UTC)

    def read(self, name: str, event: str, **fields: Any) -> None:
        line = {"ts": "2023-11-14T22:15:00.1Z", "level": "info", "event": event, **fields}
        self.log.read(name, json.dumps(line))

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()

    @property
    def said(self) -> list[str]:
        """The lines without the time they begin with."""
        return [line.removeprefix("22:15:00  ") for line in self.lines]


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def report(id_: str = ID, **fields: Any) -> dict[str, Any]:
    return {"pair": "ETH-USD", "round": ROUND, "id": id_, "price": "3012.45", **fields}


def test_a_round_is_told_once_however_many_nodes_report_it(terminal: Terminal) -> None:
    terminal.read("node-2", "proposed", **report(member=ADDRESSES[1]))
    for name in NAMES.values():
        for count in (1, 2, 3, 4):
            terminal.read(name, "cosigned", **report(count=count, needed=3))
            if count == 3:
                terminal.read(name, "proven", **report(count=3, needed=3))
    for name in NAMES.values():
        terminal.read(name, "settled", **report(ms=30_120))
    terminal.read("node-1", "stored", **report(member=ADDRESSES[0], count=4))
    terminal.read("node-3", "stored", **report(member=ADDRESSES[2], count=4))
    assert terminal.lines == [
        f"22:15:00  ETH-USD  round 22:15:00  {chapter}"
        for chapter in (
            "proposed 3012.45 by node-2",
            "co-signed 2/3",
            "proven 3/3",
            "co-signed 4/4",
            "settled after 30.1 s",
            "stored by node-1, 4 signatures",
        )
    ]


def test_what_was_finished_before_we_began_is_no_news(terminal: Terminal) -> None:
    """A node that starts again tells how what it finds in its journal went on."""
    terminal.read("node-2", "settled", **report(ms=5_000))
    terminal.read("node-2", "cosigned", **report(count=4, needed=3))
    terminal.read("node-3", "cosigned", **report(count=4, needed=3))
    assert terminal.lines == []
    terminal.read("node-2", "stored", **report(member=ADDRESSES[1]))
    assert terminal.said == ["ETH-USD  round 22:15:00  stored by node-2, 4 signatures"]


def test_a_node_whose_line_comes_late_does_not_hide_what_is_news(terminal: Terminal) -> None:
    terminal.read("node-3", "cosigned", **report(count=4, needed=3))
    terminal.read("node-2", "proposed", **report(member=ADDRESSES[1]))
    terminal.read("node-2", "settled", **report(ms=5_000))
    assert terminal.said[-1] == "ETH-USD  round 22:15:00  settled after 5.0 s"


def test_a_child_goes_by_the_same_name_wherever_it_is_named() -> None:
    terminal = Terminal(labels={"node-4": "node-4 (member 0)"})
    terminal.log.read("node-4", "Killed")
    terminal.read("node-4", "rejected", reason="too long")
    terminal.read("node-4", "store_down", level="warning", reason="refused")
    assert [line.partition(")")[0] for line in terminal.said] == ["node-4 (member 0"] * 3
    terminal.read("node-1", "proposed", **report(member=ADDRESSES[3]))
    assert terminal.said[-1].endswith("proposed 3012.45 by node-4 (member 0)")


def test_two_reports_of_one_round_are_told_apart(terminal: Terminal) -> None:
    terminal.read("node-2", "proposed", **report(member=ADDRESSES[1]))
    terminal.read("node-3", "proposed", **report(OTHER, member=ADDRESSES[2], price="3013.00"))
    terminal.read("node-1", "proven", **report(OTHER, price="3013.00", count=3, needed=3))
    assert terminal.said[-1] == "ETH-USD  round 22:15:00  proven 3/3  (3013.00 by node-3)"


@pytest.mark.parametrize(
    ("price", "shown"),
    [("3012.45000000", "3012.45"), ("0.00001200", "0.000012"), ("7.00", "7.00"), ("70", "70")],
)
def test_a_price_is_shown_without_idle_zeros(terminal: Terminal, price: str, shown: str) -> None:
    terminal.read("node-2", "proposed", **report(member=ADDRESSES[1], price=price))
    assert terminal.said == [f"ETH-USD  round 22:15:00  proposed {shown} by node-2"]


def test_a_member_that_is_not_ours_goes_by_its_short_address(terminal: Terminal) -> None:
    terminal.read("node-1", "proposed", **report(member="0x" + "ab" * 20))
    assert terminal.said == ["ETH-USD  round 22:15:00  proposed 3012.45 by 0xabab…abab"]


@pytest.mark.parametrize(
    "event", ["observed", "signed", "receipt", "published", "ignored", "something_new"]
)
def test_what_is_of_no_use_to_people_is_not_shown(terminal: Terminal, event: str) -> None:
    terminal.read("node-1", event, **report(count=1, needed=3))
    assert terminal.lines == []


def test_a_database_that_is_away_is_told_at_its_start_and_its_end(terminal: Terminal) -> None:
    for name in NAMES.values():
        terminal.read(name, "store_up")
    for name in NAMES.values():
        terminal.read(name, "store_down", level="warning", reason="connection refused")
    for name in NAMES.values():
        terminal.read(name, "store_up")
    assert terminal.said == [
        "node-1: no database (connection refused); prices wait in the journals",
        "the database answers every node again",
    ]


def test_a_lost_round_is_told_once(terminal: Terminal) -> None:
    for name in NAMES.values():
        terminal.read(name, "round_lost", pair="ETH-USD", round=ROUND, reason="votes split")
    assert terminal.said == ["ETH-USD  round 22:15:00  lost: votes split"]


def test_a_warning_is_not_repeated_within_a_minute(terminal: Terminal) -> None:
    terminal.read("node-1", "not_observed", pair="ETH-USD", reason="timeout")
    terminal.read("node-1", "not_observed", pair="ETH-USD", reason="timeout")
    assert terminal.said == ["node-1: has no price of its own (timeout)"]
    terminal.now += REPEAT_S
    terminal.read("node-1", "not_observed", pair="ETH-USD", reason="timeout")
    assert len(terminal.lines) == 2


def test_warnings_that_we_do_not_know_are_shown_with_their_fields(terminal: Terminal) -> None:
    terminal.read("node-1", "disk almost full", level="warning", free=12, ts="x")
    terminal.read("node-1", "crash", level="error", exception="Traceback\n  boom")
    assert terminal.said == [
        "node-1: disk almost full free=12",
        "node-1: crash",
        "node-1 | Traceback",
        "node-1 |   boom",
    ]


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "{not json", "[1]", "17"])
def test_what_is_no_json_object_is_shown_as_it_is(terminal: Terminal, line: str) -> None:
    terminal.log.read("node-4", line)
    assert terminal.said == [f"node-4 | {line}"]


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ID},
        {"id": ID, "round": "soon"},
        {"id": 7, "round": 7, "count": "many", "price": None},
        {"round": ROUND},
        {"level": 3},
    ],
)
def test_fields_of_another_shape_never_stop_the_log(
    terminal: Terminal, fields: dict[str, Any]
) -> None:
    for event in ("proposed", "cosigned", "proven", "settled", "stored", "round_lost", "store_up"):
        terminal.read("node-1", event, **fields)


def test_a_stranger_cannot_steer_the_terminal(terminal: Terminal) -> None:
    terminal.read("node-1", "rejected", reason="\x1b[2J\x07[bold]hi[/bold]\r\n")
    terminal.log.read("node-1", "\x1b]0;owned\x07")
    assert terminal.said == [
        "node-1: rejected a message (�[2J�[bold]hi[/bold]��)",
        "node-1 | �]0;owned�",
    ]


def test_the_file_is_plain_and_the_terminal_has_colours() -> None:
    plain, coloured = Terminal(), Terminal(tty=True)
    for terminal in (plain, coloured):
        terminal.log.say("died", "node-1 died", style="yellow")
    assert plain.lines == ["22:15:00  node-1 died"]
    assert "\x1b[" in coloured.lines[0]


def test_a_long_line_is_not_wrapped(terminal: Terminal) -> None:
    terminal.log.say("note", "x" * 200)
    assert len(terminal.lines) == 1


def test_memory_is_bounded(terminal: Terminal) -> None:
    for number in range(REMEMBERED_MAX + 10):
        round_ = ROUND + number
        terminal.read("node-1", "proposed", **report(f"0x{number:064x}") | {"round": round_})
        terminal.read("node-1", "not_observed", reason=str(number))
    log = terminal.log
    assert len(log._stories) == len(log._rounds) == len(log._said) == REMEMBERED_MAX


def test_json_passes_lines_through_with_their_node() -> None:
    written: list[str] = []
    log = JsonLog(written.append, lambda: ROUND + 0.5)
    log.read("node-1", '{"event": "proven", "count": 3}')
    log.read("node-2", "Traceback")
    log.read("node-2", "")
    log.say("child_died", "node-1 died", style="red", child="node-1", how="exit code 1")
    assert [json.loads(line) for line in written] == [
        {"node": "node-1", "event": "proven", "count": 3},
        {
            "node": "node-2",
            "ts": "2023-11-14T22:15:00.500Z",
            "level": "info",
            "event": "output",
            "line": "Traceback",
        },
        {
            "node": "up",
            "ts": "2023-11-14T22:15:00.500Z",
            "level": "info",
            "event": "child_died",
            "child": "node-1",
            "how": "exit code 1",
        },
    ]
    assert all(line.endswith("\n") for line in written)


def test_what_the_banner_has_said_for_all_is_not_said_again_by_each(terminal: Terminal) -> None:
    terminal.read("node-1", "simulated_prices", level="warning", detail="no market prices")
    assert terminal.lines == []
