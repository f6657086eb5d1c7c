"""What `/api/v1/network` says, of networks that are well and of some that are not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gossip_price.adapters.http.network_view import NetworkFacts, describe_network
from gossip_price.adapters.rfc3339 import format_ms, format_s
from gossip_price.core.testimony import Seen
from gossip_price.network.document import INTEGER_MAX
from gossip_price.network.keys import format_address
from gossip_price.ports import Connection
from networks import PAIR, START, make_network
from world import World

NETWORK = make_network(4)
DOCUMENT = NETWORK.document
NAMES = [format_address(address) for address in DOCUMENT.addresses]


def make_facts(world: World, index: int, **changes: Any) -> NetworkFacts:
    node = world.nodes[index]
    now = world.now(node)
    connections = [
        Connection(member.peer_id, is_inbound=place > 1, since_ms=START * 1000, ping_ms=1.26)
        for place, member in enumerate(DOCUMENT.members)
        if place != index
    ]
    facts: dict[str, Any] = {
        "now": now,
        "document": DOCUMENT,
        "me": node.signer.address,
        "presences": node.turns.machine.describe_presence(now),
        "connections": connections,
    }
    return NetworkFacts(**facts | changes)


def test_a_healthy_network_whole() -> None:
    world = World(NETWORK)
    world.run_until(START + 41.25)
    told = describe_network(make_facts(world, 0, connections=[Connection("listener", True, 5)]))
    assert json.loads(json.dumps(told)) == told
    member = told["members"][1]
    heard = told["matrix"]["rows"][1]["heard"]
    assert heard[1] is None
    assert all(count > 5 for place, count in enumerate(heard) if place != 1)
    assert 0 < member["silentMs"] <= 10_100
    assert abs(member["clockOffsetMs"]) < 2_000
    assert member == {
        "index": 1,
        "address": NAMES[1],
        "peerId": DOCUMENT.members[1].peer_id,
        "me": False,
        "connected": False,
        "version": "test",
        "boot": format_ms(START * 1000 - 20_000),
        "lastSeen": member["lastSeen"],
        "silentMs": member["silentMs"],
        "state": "alive",
        "clockOffsetMs": member["clockOffsetMs"],
        "peers": [0, 2, 3],
        "observations": [{"pair": PAIR, "round": START + 30, "price": "2500.00000000"}],
        "database": True,
    }
    del told["members"], told["matrix"]
    assert told == {
        "now": format_ms(START * 1000 + 41_250),
        "networkId": DOCUMENT.network_id,
        "me": NAMES[0],
        "role": "member",
        "simulated": False,
        "epoch": {"number": 1, "hash": "0x" + DOCUMENT.hash.hex(), "start": format_s(START)},
        "mode": "Rounds",
        "interval": 15,
        "minimumSigners": 3,
        "settle": DOCUMENT.settle,
        "skew": DOCUMENT.skew,
        "pairs": [{"pair": PAIR, "decimals": 8}],
        "isolated": [],
        "deaf": [],
        "connections": {
            "peers": 1,
            "members": 0,
            "inbound": 1,
            "outbound": 0,
            "list": [
                {
                    "peerId": "listener",
                    "member": None,
                    "direction": "inbound",
                    "since": "1970-01-01T00:00:00.005Z",
                    "pingMs": None,
                }
            ],
        },
        "quorum": {"alive": 4, "needed": 3, "margin": 1},
        "problems": {},
    }


def test_a_stopped_member_stands_out() -> None:
    world = World(NETWORK)
    world.run_until(START + 40)
    world.kill(3)
    world.run_until(START + 75)
    told = describe_network(make_facts(world, 0))
    assert told["isolated"] == [NAMES[3]]
    assert told["quorum"] == {"alive": 3, "needed": 3, "margin": 0}
    assert told["members"][3]["state"] == "silent"
    assert told["members"][3]["clockOffsetMs"] is None
    assert [row["hears"][3] for row in told["matrix"]["rows"]] == [False, False, False, None]
    assert told["connections"]["list"][0] == {
        "peerId": DOCUMENT.members[1].peer_id,
        "member": 1,
        "direction": "outbound",
        "since": format_s(START)[:-1] + ".000Z",  # type: ignore[index]  # it is a text
        "pingMs": 1.3,
    }


def test_who_never_came_has_no_facts() -> None:
    world = World(NETWORK, alive=[0, 1, 2])
    world.run_until(START + 60)
    member = describe_network(make_facts(world, 0))["members"][3]
    assert member["state"] == "never"
    empty = ("version", "boot", "lastSeen", "silentMs", "clockOffsetMs", "peers", "database")
    assert {name: member[name] for name in empty} == dict.fromkeys(empty)
    assert member["observations"] == []


def test_a_bootstrap_knows_the_roster_and_its_connections_alone() -> None:
    world = World(NETWORK)
    facts = make_facts(world, 1, me=None, is_bootstrap=True, presences=())
    told = describe_network(facts)
    assert told["role"] == "bootstrap"
    assert [member["address"] for member in told["members"]] == NAMES
    assert {member["state"] for member in told["members"]} == {None}
    assert [member["connected"] for member in told["members"]] == [True, False, True, True]
    assert told["quorum"] == {"alive": None, "needed": 3, "margin": None}
    assert told["matrix"] == {"members": [], "rows": []}


def test_a_listener_says_so() -> None:
    world = World(NETWORK)
    listener = world.add_listener(b"l" * 32)
    world.run_until(START + 40)
    told = describe_network(make_facts(world, listener.index, is_simulated=True))
    assert told["role"] == "listener"
    assert told["simulated"] is True
    assert not any(member["me"] for member in told["members"])


def test_what_a_liar_says_breaks_nothing() -> None:
    world = World(NETWORK)
    world.run_until(START + 40)
    facts = make_facts(world, 0)
    liar = msgspec.structs.replace(
        facts.presences[2],
        boot=INTEGER_MAX,
        clock_ms=INTEGER_MAX,
        version="\x1b[31m<script>" * 4,
        observed=(Seen(PAIR, INTEGER_MAX - INTEGER_MAX % 15, 1), Seen("OLD-USD", START, 1)),
    )
    presences = [*facts.presences[:2], liar, facts.presences[3]]
    told = describe_network(make_facts(world, 0, presences=presences))
    assert told["members"][2]["boot"] is None
    assert told["members"][2]["observations"] == [
        {"pair": PAIR, "round": INTEGER_MAX - INTEGER_MAX % 15, "price": "0.00000001"}
    ]
    assert abs(told["members"][1]["clockOffsetMs"]) < 2_000
    json.dumps(told)


def test_problems_are_told_and_cut() -> None:
    told = describe_network(make_facts(World(NETWORK), 0, problems={"clock": "x" * 900}))
    assert told["problems"] == {"clock": "x" * 500}


@pytest.mark.parametrize("unix_ms", [-1, 253_402_300_800_000, INTEGER_MAX])
def test_a_time_beyond_the_calendar_is_none(unix_ms: int) -> None:
    assert format_ms(unix_ms) is None
    assert format_s(unix_ms // 1000) is None


def test_times_have_a_z() -> None:
    assert format_s(0) == "1970-01-01T00:00:00Z"
    assert format_ms(253_402_300_799_999) == "9999-12-31T23:59:59.999Z"
