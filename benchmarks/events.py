"""What listeners cost: a real network on this machine, and 1 and then 200 of them on one node.

    make bench-events                          200 listeners, 60 s each
    make bench-events ARGS='--listeners 50 --seconds 30'

Lag is from the moment at which the node saw what an event tells (`at` in it) to the moment at which
a listener has it, on the same clock. Ratios are comparable between machines; times are not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

from live_network import LiveNetwork, find_free_ports

_SAMPLE: Final = re.compile(r"^(process_\w+) ([0-9.e+-]+)$", re.MULTILINE)


@dataclass
class Heard:
    """What all listeners of a phase heard."""

    lags_ms: list[float] = field(default_factory=list)
    #: How many heard each event, by its id.
    counts: dict[str, int] = field(default_factory=dict)


def scrape(port: int) -> dict[str, float]:
    """Return the node's own process metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return {name: float(value) for name, value in _SAMPLE.findall(answer.read().decode())}


async def listen(port: int, heard: Heard, ready: asyncio.Semaphore) -> None:
    """Listen until cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nhost: node\r\n\r\n")
    id_ = ""
    try:
        while line := await reader.readline():
            if line.startswith(b"id: "):
                if not id_:
                    ready.release()
                id_ = line[4:].strip().decode()
            elif line.startswith(b"data: "):
                at = datetime.fromisoformat(json.loads(line[6:])["at"]).timestamp()
                heard.lags_ms.append((time.time() - at) * 1000)
                heard.counts[id_] = heard.counts.get(id_, 0) + 1
    finally:
        writer.close()


async def measure(port: int, count: int, seconds: float) -> tuple[Heard, float, float]:
    """Return what `count` listeners heard, the node's CPU in % of a core, and its RSS in MB."""
    heard, ready = Heard(), asyncio.Semaphore(0)
    listeners = [asyncio.create_task(listen(port, heard, ready)) for _ in range(count)]
    for _ in listeners:
        await ready.acquire()
    heard.lags_ms.clear()
    before, began = scrape(port), time.monotonic()
    await asyncio.sleep(seconds)
    after, took = scrape(port), time.monotonic() - began
    for listener in listeners:
        if listener.done():
            raise SystemExit(f"a listener was cut off: {listener.exception()}")
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    return heard, 100 * cpu / took, after["process_resident_memory_bytes"] / 1e6


def get_lag(heard: Heard, share: float) -> float:
    """Return the lag in ms that this share of all deliveries did not exceed."""
    lags = sorted(heard.lags_ms)
    return lags[min(len(lags) - 1, int(len(lags) * share))]


def run(options: argparse.Namespace) -> None:
    """Run the network and print the figures."""
    with tempfile.TemporaryDirectory(prefix="gp-bench-") as folder:
        port = find_free_ports(options.nodes + 1)
        arguments = (
            "--nodes", str(options.nodes), "--interval", f"{options.interval}s",
            "--settle", "10s", "--data", str(Path(folder) / "data"), "--port", str(port),
        )  # fmt: skip
        with LiveNetwork(*arguments, port=port) as network:
            network.wait_for_stored(3)
            shown = port + 1
            _, cpu_none, rss_none = asyncio.run(measure(shown, 0, options.seconds))
            one, cpu_one, _ = asyncio.run(measure(shown, 1, options.seconds))
            many, cpu_many, rss_many = asyncio.run(
                measure(shown, options.listeners, options.seconds)
            )
            network.stop()
    count = options.listeners
    events = max(1, len(many.counts))
    missed = sum(count - heard for heard in many.counts.values())
    deliveries = len(many.lags_ms)
    extra_ms = (cpu_many - cpu_none) / 100 * options.seconds * 1000
    figures = {
        "nodes, interval, listeners": f"{options.nodes}, {options.interval} s, {count}",
        "events, deliveries in the last phase": f"{events}, {deliveries}",
        "deliveries not there yet at its end": f"{missed} ({missed / (events * count):.2%})",
        "RSS without / with, MB": f"{rss_none:.0f} / {rss_many:.0f}",
        "RSS ratio": f"{rss_many / rss_none:.2f}",
        "KB a listener": f"{(rss_many - rss_none) * 1000 / count:.0f}",
        "CPU none / one / all, % of a core": f"{cpu_none:.1f} / {cpu_one:.1f} / {cpu_many:.1f}",
        "CPU µs a delivery": f"{extra_ms * 1000 / max(1, deliveries):.0f}",
        "lag of one, ms, p50 / p99": f"{get_lag(one, 0.5):.0f} / {get_lag(one, 0.99):.0f}",
        "lag of all, ms, p50 / p99": f"{get_lag(many, 0.5):.0f} / {get_lag(many, 0.99):.0f}",
        "lag ratio, p50 / p99": (
            f"{get_lag(many, 0.5) / get_lag(one, 0.5):.1f} / "
            f"{get_lag(many, 0.99) / get_lag(one, 0.99):.1f}"
        ),
    }
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--interval", type=int, default=5)
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    run(parser.parse_args())
