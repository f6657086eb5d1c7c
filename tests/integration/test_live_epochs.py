"""A running network grows and shrinks, 4 → 5 → 4 members, while prices flow: real processes.

Rounds of five seconds, settled after four. People do it as the README tells them: keys, then
`gossip-price network next`, once for each epoch.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from live_network import DEADLINE_S, LiveNetwork, find_free_ports, make_environment, run_command

ROUND_S = 5
NODES = ("node-1", "node-2", "node-3", "node-4")


@contextmanager
def run_fifth(network: LiveNetwork, keys: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node that `up` knows nothing of, with keys of its own, beside those that it runs."""
    own = {
        "GP_CONNECTIONADDR": "/ip4/127.0.0.1/tcp/0",
        "GP_HTTPADDR": f"127.0.0.1:{port}",
        "GP_IDENTITYKEY_FILE": str(keys / "identity.key"),
        "GP_SIGNINGKEY_FILE": str(keys / "signing.key"),
        "GP_JOURNAL_FILE": str(keys / "journal.sqlite"),
    }
    theirs = {
        name: value
        for name, value in network.find_node(1).environ().items()
        if name.startswith("GP_")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gossip_price", "node"],
        env=make_environment() | theirs | own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def wait_until_entered(network: LiveNetwork, epoch: int) -> int:
    """Wait until all four nodes have entered the epoch; return its first round."""

    def find(events: list[dict[str, Any]]) -> int:
        entered = {
            event["node"]: event["round"]
            for event in events
            if event["event"] == "epoch_entered" and event["epoch"] == epoch
        }
        return min(entered.values()) if set(NODES) <= entered.keys() else 0

    found: int = network.wait_for(find, f"entry of epoch {epoch}")
    return found


def wait_until_cut(port: int) -> None:
    """Wait until a node says that nobody is connected to it any more."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                pass
        except urllib.error.HTTPError as error:
            if b"not connected to any peer" in error.read():
                return
        time.sleep(0.2)
    pytest.fail("the removed member still has connections")


def read_rounds(url: str) -> list[tuple[int, str, list[str]]]:
    """Return (round, epoch, signers) of each row, by round."""

    async def read() -> list[tuple[int, str, list[str]]]:
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch("SELECT round, epoch, sign_data FROM prices ORDER BY 1")
        finally:
            await connection.close()
        return [
            (row["round"], row["epoch"], [one["signer"] for one in json.loads(row["sign_data"])])
            for row in rows
        ]

    return asyncio.run(read())


def test_four_become_five_and_four_again_and_no_round_is_lost(place: Path) -> None:
    server = EmbeddedPostgres(place / "postgres")
    try:
        grow_and_shrink(place, server.start())
    finally:
        server.stop()


def grow_and_shrink(place: Path, url: str) -> None:
    keys, data = place / "fifth", place / "data"
    made = run_command("keys", "new", "--folder", str(keys), "--json")
    assert made.returncode == 0, made.stderr
    member = json.loads(made.stdout)
    port = find_free_ports(6)
    file = str(data / "network.json")
    options = ("--interval", f"{ROUND_S}s", "--settle", "4s", "--port", str(port))
    with LiveNetwork(*options, "--data", str(data), "--database", url, port=port) as network:
        network.wait_for_stored(2)
        change = ("network", "next", file, "--proven", "--lead", "12s")
        grown = run_command(*change, "--add", f"{member['address']},{member['peerId']}")
        assert grown.returncode == 0, grown.stdout + grown.stderr
        with run_fifth(network, keys, port + 5):
            first = wait_until_entered(network, 2)
            network.wait_for(
                lambda events: any(
                    event["event"] == "cosigned" and event["member"] == member["address"]
                    for event in events
                ),
                "signature of the fifth member",
            )
            shrunk = run_command(*change, "--remove", member["address"])
            assert shrunk.returncode == 0, shrunk.stdout + shrunk.stderr
            last = wait_until_entered(network, 3)
            wait_until_cut(port + 5)
            before = network.mark()
            network.wait_for_stored(2, after=before)
        assert not [event for event in network.events if event["event"] == "rejected"]
        assert network.stop() == 0

    rows = read_rounds(url)
    rounds = [round_ for round_, _, _ in rows]
    assert rounds == list(range(rounds[0], rounds[-1] + 1, ROUND_S)), "a round is missing"
    epochs = {round_: epoch for round_, epoch, _ in rows}
    assert [len(set(epochs.values())), first < last] == [3, True]
    for round_, _, signers in rows:
        is_of_five = first <= round_ < last
        assert len(set(signers)) >= (4 if is_of_five else 3)
        assert is_of_five or member["address"] not in signers
    assert any(member["address"] in signers for _, _, signers in rows)
    proof = run_command("verify", "--database", url, "--network", file)
    assert proof.returncode == 0, proof.stdout + proof.stderr
