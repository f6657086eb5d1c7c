"""What a network costs: a real one on this machine for a while, and its figures for each row.

    make bench                          4 nodes, Rounds, every 5 s, for 120 s
    make bench ARGS='--nodes 10 --mode EveryNode --seconds 180'

Counts and ratios are comparable between runs; times and CPU are noisy, and one run is one run.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Final

import asyncpg

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from gossip_price.cli.modes import add_mode
from gossip_price.network.document import Mode
from live_network import LiveNetwork, find_free_ports

_SAMPLE: Final = re.compile(r"^(\w+)(?:\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)
_STATEMENT: Final = re.compile(
    r"LOG:  (?:statement|execute [^:]*):\s*(\w+)(?:\s+INTO (\w+))?", re.I
)


def scrape(port: int) -> dict[str, float]:
    """Return a node's metrics, summed over their labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    sums: dict[str, float] = {}
    for name, value in _SAMPLE.findall(text):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums


async def read_rows(url: str) -> list[tuple[int, float]]:
    """Return (signers, seconds between last signature and row) of every stored price."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT jsonb_array_length(sign_data),"
            " extract(epoch FROM created_time - lastsigned_time)::float8 FROM prices"
        )
        return [(row[0], row[1]) for row in rows]
    finally:
        await connection.close()


def count_statements(log: str) -> tuple[int, int, int]:
    """Return (INSERTs into prices, SELECTs, all statements) in the server's log."""
    found = [(verb.upper(), table) for verb, table in _STATEMENT.findall(log)]
    inserts = sum(verb == "INSERT" and table == "prices" for verb, table in found)
    return inserts, sum(verb == "SELECT" for verb, _ in found), len(found)


def run(options: argparse.Namespace) -> None:
    """Run the network and print its figures."""
    with tempfile.TemporaryDirectory(prefix="gp-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", settings={"log_statement": "all"})
        url = server.start()
        try:
            port = find_free_ports(options.nodes + 1)
            arguments = (
                "--nodes", str(options.nodes), "--mode", options.mode.value,
                "--interval", f"{options.interval}s", "--settle", "30s", "--feed", "simulated",
                "--database", url, "--data", str(Path(folder) / "data"), "--port", str(port),
            )  # fmt: skip
            with LiveNetwork(*arguments, port=port) as network:
                network.wait_for_stored(1)
                ports = [port + number for number in range(1, options.nodes + 1)]
                before, began = [scrape(each) for each in ports], time.monotonic()
                stored, log_at = len(asyncio.run(read_rows(url))), len(server.log.read_text())
                network.process_wait(options.seconds)
                after, took = [scrape(each) for each in ports], time.monotonic() - began
                # The log first: reading the rows is a SELECT of our own.
                statements = count_statements(server.log.read_text()[log_at:])
                rows = asyncio.run(read_rows(url))
                network.stop()
        finally:
            server.stop()
    fresh = len(rows) - stored
    if not fresh:
        raise SystemExit("no price was stored in this time: give it more --seconds")

    def spent(name: str) -> float:
        pairs = zip(before, after, strict=True)
        return sum(late.get(name, 0) - early.get(name, 0) for early, late in pairs)

    waits = sorted(wait for _, wait in rows)
    signers = statistics.mean(count for count, _ in rows)
    cpu_ms = spent("process_cpu_seconds_total") * 1000
    resident = max(late["process_resident_memory_bytes"] for late in after) / 1e6
    published = spent("gossip_price_entries_published_total") / fresh
    messages = spent("gossip_price_messages_published_total") / took
    figures = {
        "nodes, mode, interval": f"{options.nodes}, {options.mode.value}, {options.interval} s",
        "rows stored, signers in the mean": f"{fresh} in {took:.0f} s, {signers:.1f}",
        "publications of each report": f"{published:.2f}",
        "messages published a second, all": f"{messages:.2f}",
        "INSERT / SELECT / all statements a row": " / ".join(
            f"{n / fresh:.2f}" for n in statements
        ),
        "CPU ms a row, all nodes": f"{cpu_ms / fresh:.0f}",
        "CPU of a node, % of a core": f"{cpu_ms / took / 10 / options.nodes:.2f}",
        "RSS of the largest node, MB": f"{resident:.0f}",
        "last signature → row, s, p50 / max": f"{waits[len(waits) // 2]:.1f} / {waits[-1]:.1f}",
    }
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description="Measure a real network on this machine.")
    parser.add_argument("--nodes", type=int, default=4)
    add_mode(parser, Mode.ROUNDS.value)
    parser.set_defaults(mode=Mode.ROUNDS)
    parser.add_argument("--interval", type=int, default=5, help="seconds")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to measure")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
