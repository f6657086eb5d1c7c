"""Row 14: the live page of a node in the cluster, in a browser, through `kubectl port-forward`.

And the network's conditions beside what its nodes say themselves of peers and prices.
"""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Final

from playwright.async_api import Page, expect

from e2e.api import Object
from e2e.artefacts import FOLDER
from e2e.network import Network
from e2e.port_forward import PortForward
from e2e.waiting import eventually
from page.chromium import launch_chromium, open_pages

#: Rounds of fifteen seconds; a lost one is no fault of the page.
PATIENCE_MS: Final = 90_000


async def test_a_browser_sees_the_price_flow_and_proves_it(standing: Network) -> None:
    pod = standing.find_node_pods()[0]["metadata"]["name"]
    forward = PortForward(standing.cluster, standing.namespace, f"pod/{pod}", 8080)
    expect.set_options(timeout=PATIENCE_MS)
    complaints: list[str] = []
    async with launch_chromium() as browser, open_pages(browser, complaints) as open_page:
        page = await open_page(f"http://127.0.0.1:{await asyncio.to_thread(forward.open)}/")
        await expect(page.locator("#link")).to_contain_text("Live")
        await expect(page.locator("#members tbody tr")).to_have_count(4)
        await expect(page.locator("#notices")).to_contain_text("Simulated prices.")
        await expect(page.locator("#matrix-verdict")).to_have_text("Everybody hears everybody.")

        # The next price arrives without a reload, is stored, and the browser proves it.
        before = await read_round(page)
        await expect(page.locator("#price-facts time")).not_to_have_attribute("datetime", before)
        await expect(page.locator("#price-facts")).to_contain_text("stored")
        assert await read_round(page) > before
        newest = await page.locator("[data-verify]").first.get_attribute("data-verify")
        button = page.locator(f"[data-verify='{newest}']")  # which stays that of this price
        await button.click()
        await expect(button).to_have_text("Proven")
        FOLDER.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=FOLDER / "live-page.png", full_page=True)
    assert complaints == []


async def read_round(page: Page) -> str:
    shown = page.locator("#price-facts time")
    await expect(shown).to_be_visible()
    return await shown.get_attribute("datetime") or ""


def test_the_conditions_say_of_peers_and_prices_what_the_nodes_say(standing: Network) -> None:
    pods = [pod["metadata"]["name"] for pod in standing.find_node_pods().values()]
    networks = [ask(standing, pod, "network") for pod in pods]
    assert all(network["connections"]["members"] > 0 for network in networks)
    assert all(network["problems"] == {} for network in networks)
    assert [network["quorum"]["alive"] for network in networks] == [len(pods)] * len(pods)
    connected = standing.wait_condition("PeersConnected", "True")
    assert connected["reason"] == "Connected"

    flowing = standing.wait_condition("PricesFlowing", "True")
    assert flowing["reason"] == "Flowing"
    told: Object = standing.get()["status"]["lastPrice"]

    def find_told() -> Object | None:
        # Settled where the operator read it, it settles on every node, and is stored.
        listed = ask(standing, pods[0], "prices?limit=50")["prices"]
        rounds = {int(price["report"]["round"]): price for price in listed}
        found = rounds.get(told["round"])
        return found if found and found["state"] == "stored" else None

    price = eventually("the node lists the operator's last price as stored", find_told)
    assert price["report"]["pair"] == told["pair"]
    assert Decimal(price["price"]) == Decimal(told["price"])
    assert len(price["signatures"]) >= told["signers"]
    proven = ask(standing, pods[-1], f"prices/{price['id']}")
    assert proven["verified"] is True


def ask(network: Network, pod: str, what: str) -> Object:
    """Return what a node's API answers."""
    answer: Object = json.loads(network.ask(pod, f"/api/v1/{what}"))
    return answer
