"""`gossip-price status`: what it prints of networks that are well or not, and its exit codes."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gossip_price.adapters.http.network_view import NetworkFacts, describe_network
from gossip_price.adapters.overview.answers import ANSWER_BYTES_MAX
from gossip_price.cli import run
from gossip_price.cli.status import DEGRADED, HEALTHY, UNREACHABLE
from gossip_price.network.keys import format_address
from gossip_price.ports import Connection
from networks import PAIR, START, make_network
from world import World

NETWORK = make_network(4)
NAMES = [format_address(address) for address in NETWORK.document.addresses]
SHORT = [f"{name[:6]}…{name[-4:]}" for name in NAMES]
Answers = dict[str, dict[str, Any]]
Change = Callable[[dict[str, Any], dict[str, Any]], object]


def describe(world: World) -> Answers:
    node = world.nodes[0]
    now = world.now(node)
    peers = NETWORK.document.members
    facts = NetworkFacts(
        now=now,
        document=NETWORK.document,
        me=node.signer.address,
        presences=node.turns.machine.describe_presence(now),
        connections=[Connection(one.peer_id, False, START * 1000, 2.4) for one in peers[1:]],
    )
    price = {
        "pair": PAIR,
        "round": START,
        "price": "250000000000",
        "decimals": 8,
        "signers": 4,
        "time": START + 32,
        "id": "0x" + "11" * 32,
    }
    status = {"prices": [price], "database": {"reachable": True}}
    return {"/api/v1/network": describe_network(facts), "/api/v1/status": status}


def make_answers(*, is_one_stopped: bool = False) -> Answers:
    world = World(NETWORK)
    world.run_until(START + 40)
    if is_one_stopped:
        world.kill(3)
        world.run_until(START + 70)
    return describe(world)


HEALTHY_ANSWERS = make_answers()
STOPPED_ANSWERS = make_answers(is_one_stopped=True)


class Node:
    """An HTTP server that answers as told: (code, body) by path."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the library's name
                code, body = node.answers.get(self.path, (404, b"{}"))
                self.send_response(code)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def tell(self, answers: Answers) -> None:
        self.answers = {path: (200, json.dumps(body).encode()) for path, body in answers.items()}


@pytest.fixture
def node() -> Iterator[Node]:
    served = Node()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def ask(node: Node, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = run(["status", "--url", node.url, *more])
    return code, capsys.readouterr().out


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_a_healthy_network_is_shown_whole(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.tell(HEALTHY_ANSWERS)
    code, out = ask(node, capsys)
    assert code == HEALTHY
    assert "quorum  4 of 4 members there, 3 must sign: margin +1" in out
    assert "rounds  every 15 s, Rounds, settled after 30 s" in out
    assert f"seen by member 0 at {node.url}" in out
    assert out.count("this node") == 1
    assert all(name in out for name in SHORT)
    assert out.count("alive") == 4
    assert "2 ms" in out
    assert f"{PAIR}  2500.00000000  4 signers, round of 2027-01-16" in out
    assert "SIMULATED" not in out
    assert out.endswith("healthy\n")
    assert "\x1b" not in out  # no colours where there is no terminal


def test_a_stopped_member_stands_out(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.tell(STOPPED_ANSWERS)
    code, out = ask(node, capsys)
    assert code == DEGRADED
    assert "3 of 4 members there, 3 must sign: margin +0" in out
    rows = [line for line in out.splitlines() if "has heard" in line]
    heard = [row.split()[3:] for row in rows]
    assert [row[3].endswith("!") for row in heard[:3]] == [True] * 3
    assert heard[0][0] == "·"
    assert f"member 3 ({SHORT[3]}) is silent for 3" in out
    assert out.splitlines()[-2] == "degraded"


def test_json_has_health_reasons_and_both_answers(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.tell(STOPPED_ANSWERS)
    code, out = ask(node, capsys, "--json")
    told = json.loads(out)
    assert code == DEGRADED
    assert told["health"] == "degraded"
    assert len(told["reasons"]) == 1
    assert told["network"] == STOPPED_ANSWERS["/api/v1/network"]
    assert told["status"] == STOPPED_ANSWERS["/api/v1/status"]
    node.tell(HEALTHY_ANSWERS)
    code, out = ask(node, capsys, "--json")
    assert (code, json.loads(out)["health"], json.loads(out)["reasons"]) == (HEALTHY, "healthy", [])


def change_member(index: int, **fields: Any) -> Change:
    return lambda network, status: network["members"][index].update(fields)


#: What is changed in a healthy network's answers, and the words of the reason that follows.
DEGRADED_BY: dict[str, tuple[Change, str]] = {
    "not ready": (
        lambda network, status: network["problems"].update(clock="behind"),
        "this node is not ready: clock: behind",
    ),
    "no database here": (
        lambda network, status: status["database"].update(reachable=False),
        "does not reach its database",
    ),
    "no quorum": (
        lambda network, status: network["quorum"].update(alive=2, margin=-1),
        "no quorum: 2 members are there, 3 must sign",
    ),
    "silent": (change_member(1, state="silent", silentMs=61_000), "is silent for 61 s"),
    "never heard": (change_member(1, state="never"), "was never heard"),
    "isolated": (
        lambda network, status: network["isolated"].append(NAMES[2]),
        f"member 2 ({SHORT[2]}) is isolated",
    ),
    "deaf": (
        lambda network, status: network["deaf"].append(NAMES[2]),
        f"member 2 ({SHORT[2]}) is deaf",
    ),
    "a clock": (
        change_member(1, clockOffsetMs=-60_000),
        f"the clock of member 1 ({SHORT[1]}) is off by -60.0 s",
    ),
    "no database anywhere": (
        lambda network, status: [one.update(database=False) for one in network["members"]],
        "no member has a database",
    ),
    "no price": (
        lambda network, status: status["prices"].clear(),
        f"{PAIR}: this node knows of no settled price yet",
    ),
    "an old price": (
        lambda network, status: status["prices"][0].update(round=START - 60),
        f"{PAIR}: the newest settled price is 100 s old, allowed: 75 s",
    ),
}


@pytest.mark.parametrize("case", DEGRADED_BY)
def test_each_reason_makes_it_degraded(
    case: str, node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = DEGRADED_BY[case]
    answers = copy.deepcopy(HEALTHY_ANSWERS)
    change(answers["/api/v1/network"], answers["/api/v1/status"])
    node.tell(answers)
    code, out = ask(node, capsys, "--json")
    assert code == DEGRADED
    (reason,) = json.loads(out)["reasons"]
    assert words in reason
    assert ask(node, capsys)[0] == DEGRADED


#: What is unusual and no trouble.
NO_TROUBLE: dict[str, Change] = {
    "late": change_member(1, state="late"),
    "a clock within the skew": change_member(1, clockOffsetMs=4_900),
    "one member without a database": change_member(1, database=False),
    "simulated": lambda network, status: network.update(simulated=True),
    "not connected directly": change_member(1, connected=False),
    "no database configured here": lambda network, status: status["database"].update(
        reachable=None
    ),
    "no member to spare": lambda network, status: network["quorum"].update(margin=0),
    "an unknown field": lambda network, status: network.update(later={"more": 1}),
}


@pytest.mark.parametrize("case", NO_TROUBLE)
def test_what_is_no_trouble_leaves_it_healthy(
    case: str, node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = copy.deepcopy(HEALTHY_ANSWERS)
    NO_TROUBLE[case](answers["/api/v1/network"], answers["/api/v1/status"])
    node.tell(answers)
    code, out = ask(node, capsys)
    assert code == HEALTHY
    assert ("SIMULATED" in out) == (case == "simulated")


def tell_as_bootstrap(node: Node, connections: list[Connection]) -> None:
    facts = NetworkFacts(
        now=World(NETWORK).now(World(NETWORK).nodes[0]),
        document=NETWORK.document,
        me=None,
        is_bootstrap=True,
        is_simulated=None,
        connections=connections,
    )
    status = {"prices": [], "database": {"reachable": None}}
    node.tell({"/api/v1/network": describe_network(facts), "/api/v1/status": status})


def test_a_bootstrap_without_members_can_introduce_nobody(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_as_bootstrap(node, [Connection("a listener", True, START * 1000)])
    code, out = ask(node, capsys)
    assert code == DEGRADED
    assert "no member is connected to this bootstrap" in out


def test_a_bootstrap_shows_the_roster_and_judges_no_prices(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_as_bootstrap(node, [Connection(NETWORK.document.members[0].peer_id, True, START * 1000)])
    code, out = ask(node, capsys)
    assert code == HEALTHY
    assert "seen by bootstrap" in out
    assert "quorum" not in out
    assert "has heard" not in out
    assert "none yet" not in out
    assert not any(head in out for head in ("state", "last seen", "clock", "peers  db", "version"))
    assert "a bootstrap hears none, and does not know whether they are simulated" in out


def test_a_stranger_steers_no_terminal(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    answers = copy.deepcopy(HEALTHY_ANSWERS)
    answers["/api/v1/network"]["members"][1]["version"] = "\x1b]0;pwned\x07[red]x"
    answers["/api/v1/network"]["problems"]["clock"] = "\x1b[2J"
    node.tell(answers)
    _, out = ask(node, capsys)
    assert "\x1b" not in out
    assert "[red]x" in out


@pytest.mark.parametrize(
    ("code", "body", "words"),
    [
        (404, b"{}", "HTTP 404"),
        (429, b"{}", "HTTP 429"),
        (200, b"<html>", "not as a node of gossip-price"),
        (200, b"{}", "not as a node of gossip-price"),
        (200, b"[" * 100_000, "not as a node of gossip-price"),
        (200, b" " * (ANSWER_BYTES_MAX + 1), f"more than {ANSWER_BYTES_MAX} bytes"),
    ],
    ids=["not found", "too fast", "no JSON", "other JSON", "deep JSON", "too much"],
)
def test_what_is_no_answer_is_unreachable(
    code: int, body: bytes, words: str, node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.tell(HEALTHY_ANSWERS)
    node.answers["/api/v1/network"] = code, body
    assert run(["status", "--url", node.url]) == UNREACHABLE
    assert words in capsys.readouterr().err
    exit_code, out = ask(node, capsys, "--json")
    assert exit_code == UNREACHABLE
    assert json.loads(out)["health"] == "unreachable"
    assert words in json.loads(out)["reasons"][0]


NOT_RUNNING = "Connection refused; is the node running? --url names another"
NO_ADDRESS = "--url takes a node's HTTP address, as http://127.0.0.1:8081"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", NOT_RUNNING),
        ("127.0.0.1:1", NOT_RUNNING),
        ("localhost:1/", NOT_RUNNING),
        ("no url", NO_ADDRESS),
        ("ftp://x", NO_ADDRESS),
        ("http://[::bad", NO_ADDRESS),
        ("", NO_ADDRESS),
    ],
)
def test_whoever_cannot_be_asked_is_unreachable(
    url: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--url", url]) == UNREACHABLE
    said = capsys.readouterr().err
    assert words in said
    assert ("is the node running" in said) != (NO_ADDRESS in said)
    assert "Errno" not in said


def test_an_address_may_go_without_its_scheme(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.tell(HEALTHY_ANSWERS)
    assert run(["status", "--url", node.url.removeprefix("http://")]) == HEALTHY
    assert f"seen by member 0 at {node.url}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("offset_ms", "shown"), [(-49, "+0.0 s"), (0, "+0.0 s"), (-51, "-0.1 s"), (1_400, "+1.4 s")]
)
def test_no_clock_is_off_by_minus_nothing(
    offset_ms: int, shown: str, node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = copy.deepcopy(HEALTHY_ANSWERS)
    for member in answers["/api/v1/network"]["members"]:
        member["clockOffsetMs"] = offset_ms
    node.tell(answers)
    _, out = ask(node, capsys)
    assert out.count(f" {shown} ") == 4
