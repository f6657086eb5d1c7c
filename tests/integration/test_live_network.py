"""The main promise, end to end: `gossip-price up` with real processes, libp2p and Postgres.

Rounds of five seconds, settled after four; prices from the simulated feed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from live_network import LiveNetwork, find_free_ports, run_command

ROUND_S = 5
QUICK = ("--interval", f"{ROUND_S}s", "--settle", "4s")


def read_rows(url: str) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch(
                "SELECT id, pair, round, price, source, jsonb_array_length(sign_data) AS signers,"
                " extract(epoch FROM created_time - lastsigned_time)::float8 AS waited"
                " FROM prices ORDER BY round"
            )
            return [dict(row) for row in rows]
        finally:
            await connection.close()

    return asyncio.run(read())


def start_postgres(folder: Path) -> tuple[EmbeddedPostgres, str]:
    server = EmbeddedPostgres(folder)
    return server, server.start()


def test_prices_flow_through_kills_and_every_row_is_proven(place: Path) -> None:
    """A node and the bootstrap are killed while prices flow; then Ctrl-C, and a second start."""
    server, url = start_postgres(place / "postgres")
    port = find_free_ports(5)
    options = (*QUICK, "--port", str(port), "--data", str(place / "data"), "--database", url)
    network_file = str(place / "data" / "network.json")
    try:
        with LiveNetwork(*options, port=port) as network:
            early = network.wait_for_stored(3)
            export = network.get(3, f"/api/v1/prices/{early[0]}").decode()
            proof = run_command("verify", "-", "--network", network_file, stdin=export)
            assert proof.returncode == 0, proof.stdout + proof.stderr
            told = network.wait_until_healthy()
            assert [member["state"] for member in told["network"]["members"]] == ["alive"] * 4
            assert told["network"]["connections"]["members"] == 3
            assert told["status"]["prices"]

            before = network.mark()
            network.find_node(2).send_signal(signal.SIGKILL)
            network.find_node(0).send_signal(signal.SIGKILL)
            network.wait_for_stored(3, after=before)
            # The killed node is back, in the network, and signs.
            address = network.get_member(2)
            network.wait_for(
                lambda events: any(
                    event["event"] == "cosigned" and event["member"] == address
                    for event in events[network.restarted_after(before, "node-2") :]
                ),
                "signature of the node that was killed",
            )
            network.wait_until_healthy()

            children = network.get_children()
            assert network.stop() == 0
            assert [child for child in children if child.is_running()] == []

        rows = read_rows(url)
        assert len({row["id"] for row in rows}) == len(rows) >= 6
        assert all(row["signers"] >= 3 for row in rows)
        assert all(row["waited"] >= 4 for row in rows)
        assert all("simulated" in str(row["source"]) for row in rows)
        rounds = [row["round"] for row in rows]
        assert len(set(rounds)) == len(rounds), "a round has two proven prices"
        proof = run_command("verify", "--database", url, "--network", network_file)
        assert proof.returncode == 0, proof.stdout + proof.stderr

        with LiveNetwork(*options, port=port) as network:
            network.wait_for_stored(1)
            # Prices of the life before, whoever is asked, each once.
            for index in (1, 2):
                listed = network.list_prices(index, limit=3)
                assert {row["id"] for row in rows} <= set(listed)
                assert len(set(listed)) == len(listed)
            assert network.stop(signal.SIGTERM) == 0
        assert len(read_rows(url)) > len(rows)
    finally:
        server.stop()


def test_what_is_proven_while_the_database_is_away_is_stored_when_it_is_back(
    place: Path,
) -> None:
    """The database is down at the start and in the middle; every proven price is stored once."""
    server, url = start_postgres(place / "postgres")
    port = find_free_ports(5)
    options = (*QUICK, "--port", str(port), "--data", str(place / "data"), "--database", url)
    try:
        with LiveNetwork(*options, "--mode", "EveryNode", port=port) as network:
            network.wait_for_stored(4)

            server.stop()
            network.wait_for_event("store_down")
            before = network.mark()
            network.wait_for(
                lambda events: len(network.get_ids("settled", events[before:])) >= 8,
                "settled prices while the database is away",
            )
            waiting = network.get_ids("settled", events=network.events[before:])
            # What a node has seen settle it shows; the log does not say which node told of it.
            pages = [json.loads(network.get(n, "/api/v1/prices?limit=500")) for n in range(1, 5)]
            assert waiting <= {price["id"] for page in pages for price in page["prices"]}
            server.start()
            waiting = network.get_ids("settled")
            network.wait_for(
                lambda events: waiting <= network.get_ids("stored", events),
                "all that was settled meanwhile stored",
            )
            downs = [event for event in network.events if event["event"] == "store_down"]
            assert len(downs) <= 2 * 4, "the outage is told at its start and end, not each second"
            # Let the round under way come to its end, so that nothing is cut in half.
            settled = network.get_ids("settled")
            network.wait_for(
                lambda events: settled <= network.get_ids("stored", events), "everything stored"
            )
            network.stop()
        stored = {row["id"] for row in read_rows(url)}
        assert settled <= stored
        proof = run_command("verify", "--database", url, "--json")
        assert proof.returncode == 0, proof.stdout + proof.stderr
    finally:
        server.stop()


def test_up_takes_the_example_file_and_leaves_nothing_behind(place: Path) -> None:
    """Embedded Postgres, the example resource, and an end by SIGKILL of the supervisor itself."""
    example = Path(__file__).parents[2] / "examples" / "network.yaml"
    port = find_free_ports(5)
    with LiveNetwork(
        "-f", str(example), *QUICK, "--port", str(port), "--data", str(place / "data"), port=port
    ) as network:
        network.wait_for_stored(1)
        children = network.get_children()
        assert len(children) >= 6
        os.kill(network.process.pid, signal.SIGKILL)
        network.process.wait()
        _gone, alive = psutil.wait_procs(children, timeout=60)
        assert not alive, f"outlived the supervisor: {alive}"
