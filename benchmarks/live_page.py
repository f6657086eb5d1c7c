"""What the live page weighs, and how soon it shows: `make bench-page`.

A real Chromium with an empty cache on the fake node of the page's tests: as it is here, and as on
a phone (a slow line of 1.6 Mbit/s and 150 ms, a processor four times slower).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "node")]

from playwright.async_api import Browser, CDPSession, expect

from fake_node import FakeNode
from page.chromium import launch_chromium

VISITS = 5
#: Chromium's own "slow 4G": bytes a second, milliseconds.
SLOW_LINE = {"offline": False, "latency": 150, "downloadThroughput": 200_000}
SLOW_LINE |= {"uploadThroughput": 93_750}
SLOW_PROCESSOR = {"rate": 4}

READ = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
  files: performance.getEntriesByType("resource").filter((one) => !one.name.includes("/api/")),
})"""


class Visit(NamedTuple):
    """One visit: requests and bytes of files, milliseconds to the first paint and to the price."""

    requests: int
    kilobytes: float
    paint_ms: float
    price_ms: float


async def visit(browser: Browser, url: str, *, is_slow: bool) -> Visit:
    """Visit once, with nothing cached."""
    context = await browser.new_context(viewport={"width": 1200, "height": 900})
    page = await context.new_page()
    session: CDPSession = await context.new_cdp_session(page)
    if is_slow:
        await session.send("Network.enable")
        await session.send("Network.emulateNetworkConditions", SLOW_LINE)
        await session.send("Emulation.setCPUThrottlingRate", SLOW_PROCESSOR)
    await page.goto(url)
    await expect(page.locator("#price data")).to_be_visible(timeout=60_000)
    price_ms = await page.evaluate("performance.now()")
    read = await page.evaluate(READ)
    files = read["files"]
    index = await page.evaluate("performance.getEntriesByType('navigation')[0].transferSize")
    kilobytes = (index + sum(one["transferSize"] for one in files)) / 1000
    await context.close()
    return Visit(1 + len(files), kilobytes, read["paint"], price_ms)


async def main() -> None:
    """Print a table."""
    node = await FakeNode().start()
    async with launch_chromium() as browser:
        print("|  | requests | kB | first paint | price shown |")
        print("|---|---|---|---|---|")
        for name, is_slow in (("here", False), ("slow line and processor", True)):
            visits = [await visit(browser, node.url, is_slow=is_slow) for _ in range(VISITS)]
            middle = Visit(*(median(values) for values in zip(*visits, strict=True)))
            print(
                f"| {name} | {middle.requests:.0f} | {middle.kilobytes:.0f} |"
                f" {middle.paint_ms:.0f} ms | {middle.price_ms:.0f} ms |"
            )
    await node.stop()


asyncio.run(main())
