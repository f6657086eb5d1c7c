"""The live page on real nodes: `gossip-price up` with its processes, libp2p and Postgres.

One story, for a network takes a while to begin: prices come and are proven in the browser, a
member stops and stands out, the page's own node is killed, and the page comes back with it.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from live_network import DEADLINE_S, LiveNetwork, find_free_ports
from page.chromium import OpenPage

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATIENCE_MS = 1000 * DEADLINE_S


@pytest.fixture
def network() -> Iterator[LiveNetwork]:
    port = find_free_ports(5)
    with tempfile.TemporaryDirectory(prefix="gp-page-") as folder:
        options = ("--interval", "5s", "--settle", "4s", "--data", str(Path(folder) / "data"))
        with LiveNetwork(*options, "--port", str(port), port=port) as network:
            yield network


async def expect_another_price(page: Page) -> None:
    """Wait until the newest price is of another round than now."""
    shown = page.locator("#price-facts time")
    await expect(shown).not_to_have_attribute(
        "datetime", await shown.get_attribute("datetime") or ""
    )


async def test_the_page_shows_a_real_network_through_good_and_bad(
    network: LiveNetwork, open_page: OpenPage, complaints: list[str]
) -> None:
    expect.set_options(timeout=PATIENCE_MS)
    await asyncio.to_thread(network.wait_for_event, "proven")
    bootstrap = await open_page(f"http://127.0.0.1:{network.port}/")
    await expect(bootstrap.locator("#notices")).to_contain_text("This is the bootstrap node.")
    page = await open_page(f"http://127.0.0.1:{network.port + 1}/")

    # A price arrives without a reload, and the browser proves it.
    stored = await asyncio.to_thread(network.wait_for_stored, 1)
    row = page.locator(f"[data-verify='{stored[0]}']")
    await row.click()
    await expect(row).to_have_text("Proven")
    await expect(page.locator("#notices")).to_contain_text("Simulated prices.")
    await expect(page.locator("#matrix-verdict")).to_have_text("Everybody hears everybody.")
    await expect(page.locator("#members tbody tr")).to_have_count(4)
    await expect_another_price(page)
    # Before the first price was stored, the database was not there yet to be asked for older ones.
    assert all("503" in text for text in complaints), complaints
    complaints.clear()

    # A member stops, as a machine does that hangs.
    stopped = network.find_node(3)
    stopped.send_signal(signal.SIGSTOP)
    address = network.get_member(3)
    short = f"{address[:6]}…{address[-4:]}"
    try:
        await expect(page.locator("#matrix-verdict")).to_contain_text(f"({short}) is silent.")
        await expect(page.locator("#notices")).to_contain_text("No margin left.")
    finally:
        stopped.send_signal(signal.SIGCONT)
    assert complaints == []

    # The node that serves the page is killed; `up` starts it again.
    network.find_node(1).send_signal(signal.SIGKILL)
    await expect(page.locator("#link")).to_contain_text("Not connected")
    await expect(page.locator("#link")).to_contain_text("Live")
    await expect_another_price(page)
    assert all("net::ERR_" in text for text in complaints), complaints
    complaints.clear()
