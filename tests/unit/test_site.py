"""What a process shows over HTTP, put together: what a node tells right after its start."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api_node import ApiNode, connect
from gossip_price.adapters.http import make_app
from gossip_price.adapters.status import Self
from gossip_price.site import NodeSite, Surroundings
from networks import PAIR, make_network

NETWORK = make_network(4)
ROWS = NETWORK.rows(4)
SETTLE_S = NETWORK.document.settle


def make_site(node: ApiNode) -> NodeSite:
    transport: Any = SimpleNamespace(get_peers=tuple, get_connections=tuple)
    machine: Any = SimpleNamespace(me=bytes(20), find_settled=node.find_settled, list_seen=tuple)
    return NodeSite(
        Surroundings(
            Self(False, "16Uiu2", None, "0.1.0"),
            get_chain=lambda: node.chain,
            transport=transport,
            find_problems=dict,
        ),
        machine=machine,
        journal=node.journal,
        remembered=node.journal.load(),
        database_url=lambda: pytest.fail("nobody asks the database"),
        is_simulated=False,
    )


async def tell_prices(site: NodeSite) -> list[dict[str, Any]]:
    answer = await connect(make_app(site.routes)).get("/api/v1/status")
    await site.aclose()
    prices: list[dict[str, Any]] = answer.json()["prices"]
    return prices


async def test_a_restarted_node_tells_the_newest_price_that_its_journal_has_settled(
    tmp_path: Path,
) -> None:
    node = ApiNode(NETWORK, tmp_path)
    node.settle(*ROWS[:3], stored=True)
    node.prove(ROWS[3])
    node.restart()
    (price,) = await tell_prices(make_site(node))
    row = ROWS[2]
    assert price == {
        "pair": PAIR,
        "round": row.report.round,
        "price": str(row.report.price),
        "decimals": 8,
        "signers": len(row.signatures),
        "time": row.last_signed_ms // 1000 + SETTLE_S,
        "id": "0x" + row.id.hex(),
    }
    node.journal.close()


async def test_a_node_without_a_past_tells_of_no_price(tmp_path: Path) -> None:
    node = ApiNode(NETWORK, tmp_path)
    assert await tell_prices(make_site(node)) == []
    node.journal.close()
