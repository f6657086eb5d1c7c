"""The live page in a real Chromium, on a fake node that does what a test says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from fake_bootstrap import FakeBootstrap
from fake_node import FakeNode
from page.chromium import PATIENCE_MS, OpenPage

expect.set_options(timeout=PATIENCE_MS)
pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
GOLDEN = Path(__file__).parents[1] / "golden" / "reports.json"
MARKUP = '<img id="injected" src="x" onerror="alert(1)">'


async def expect_text(page: Page, selector: str, text: str) -> None:
    await expect(page.locator(selector)).to_contain_text(text)


# What it says at first sight


async def test_it_tells_the_newest_price_its_age_and_its_signers(
    node: FakeNode, open_page: OpenPage
) -> None:
    newest = node.prices[0]
    page = await open_page(node.url)
    await expect(page.locator("#price data")).to_have_attribute("value", newest["price"])
    await expect_text(page, "#price-facts", "ETH-USD observed")
    await expect_text(page, "#price-facts", "ago, round 17:19:15 UTC, stored")
    await expect_text(page, "#price-signers", "Signed by 4 of 4 members, 3 are needed")
    await expect(page.locator("#price-signers li")).to_have_count(4)
    await expect_text(page, "#link", "Live")
    await expect(page.locator("#notices > *")).to_have_count(0)
    assert newest["price"].startswith((await page.title()).split(" ")[0].replace(",", ""))


async def test_it_asks_nobody_but_its_node(node: FakeNode, open_page: OpenPage) -> None:
    page = await open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(node.url)
    await page.locator("[data-verify]").first.click()
    await expect_text(page, ".proof", "Proven")
    assert len(asked) > 10
    assert {url.split("/")[2] for url in asked} == {node.address}


async def test_a_network_without_a_price_says_what_it_waits_for(
    node: FakeNode, open_page: OpenPage
) -> None:
    node.prices.clear()
    node.rounds.clear()
    page = await open_page(node.url)
    await expect_text(page, "#price", "No price yet")
    await expect_text(page, "#price-facts", "once 3 members have signed")


# What happens arrives


async def test_a_round_is_told_as_it_happens(node: FakeNode, open_page: OpenPage) -> None:
    page = await open_page(node.url)
    await expect_text(page, "#link", "Live")
    record = node.begin_round(node.round_index)
    for member in range(4):
        node.observe(record, member)
    await expect_text(page, "#now-time", "17:20:00 UTC")
    await expect(page.locator("#now-chips .observed")).to_have_count(4)
    report = node.propose(record, 1)
    await expect_text(page, "#now-stage", "1 of 4 have signed, 3 needed")
    await expect_text(page, "#now-chips .signed", "1proposed")
    node.sign(record, 0)
    await expect_text(page, "#now-stage", "2 of 4 have signed, 3 needed")
    node.sign(record, 3)
    await expect_text(page, "#now-stage", "Quorum: 3 of 4 have signed")
    await expect(page.locator("#now-meter")).to_have_attribute(
        "data-words", re.compile("^settles in [0-9]+\u00a0s$")
    )
    await expect(page.locator("#now-chips .observed")).to_have_text("2observed2,944.1619")
    price = node.store(record, report)
    await expect_text(page, "#now-stage", "Stored, signed by 3 of 4")
    await expect(page.locator("#price data")).to_have_attribute("value", price["price"])
    await expect_text(page, "#prices tbody tr >> nth=0", "17:20:00")


async def test_a_round_without_a_price_says_why(node: FakeNode, open_page: OpenPage) -> None:
    page = await open_page(node.url)
    await expect_text(page, "#link", "Live")
    node.lose(node.begin_round(node.round_index), "votes split between two proposals")
    await expect_text(page, "#now-stage", "No price: votes split between two proposals")


async def test_it_comes_back_after_its_node_did(
    node: FakeNode, open_page: OpenPage, complaints: list[str]
) -> None:
    page = await open_page(node.url)
    await expect_text(page, "#link", "Live")
    address = node.address
    await node.stop()
    await expect_text(page, "#link", "Not connected")
    await expect_text(page, "#notices", "The connection to this node is lost.")
    await expect_text(page, "#notices", "What stands here is from 17:2")
    price = node.add_price(node.round_index)
    await node.start(address)
    await expect_text(page, "#link", "Live")
    await expect(page.locator("#price data")).to_have_attribute("value", price["price"])
    await expect(page.locator("#notices > *")).to_have_count(0)
    assert all("net::ERR_" in text for text in complaints), complaints
    complaints.clear()


async def test_another_pair_can_be_chosen(node: FakeNode, open_page: OpenPage) -> None:
    node.pairs = [*node.pairs, {"pair": "BTC-USD", "decimals": 2}]
    page = await open_page(node.url)
    await expect_text(page, "#price-facts", "ETH-USD")
    await page.get_by_label("Pair").select_option("BTC-USD")
    await expect_text(page, "#price", "No price yet")
    await expect(page).to_have_url(node.url + "#BTC-USD")
    await page.reload()
    await expect(page.get_by_label("Pair")).to_have_value("BTC-USD")
    other = await open_page(node.url + "#%")
    await expect(other.get_by_label("Pair")).to_have_value("ETH-USD")


# Proofs


async def test_a_price_is_proven_in_the_browser(node: FakeNode, open_page: OpenPage) -> None:
    page = await open_page(node.url)
    button = page.locator("[data-verify]").first
    await button.focus()
    await page.keyboard.press("Enter")
    await expect_text(page, ".proof", "Proven in your browser")
    await expect_text(page, ".proof", node.prices[0]["id"])
    await expect_text(page, ".proof", "0x" + node.document.hash.hex())
    await expect_text(page, ".proof", "It came from this node")
    for signature in node.prices[0]["signatures"]:
        await expect_text(page, ".proof .signed", signature["signer"])
    await expect(button).to_be_focused()
    await expect(button).to_have_text("Proven")


async def test_the_newest_is_proven_where_it_stands(node: FakeNode, open_page: OpenPage) -> None:
    page = await open_page(node.url)
    await page.get_by_role("button", name="Verify in your browser").click()
    await expect_text(page, "#newest-verdict", "Proven: 4 signatures recovered, 3 needed")


async def test_only_the_document_that_the_reader_trusts_counts(
    node: FakeNode, open_page: OpenPage
) -> None:
    page = await open_page(node.url)
    trusted = page.get_by_label("The document hash that you trust (optional)")
    await trusted.fill("0x" + "ab" * 32)
    await page.locator("[data-verify]").first.click()
    await expect_text(page, ".proof", "NOT PROVEN")
    await expect_text(page, ".proof", "epoch_untrusted")
    await trusted.fill("0x" + node.document.hash.hex())
    await page.locator("[data-verify]").first.click()
    await expect_text(page, ".proof", "It is one that you trust.")


GREEN = ":is(.headline, .proofs) [data-good=true]"
HASH_LABEL = "The document hash that you trust (optional)"


@pytest.mark.parametrize(
    "text",
    [
        "0x12",
        "12",
        "0x" + "ab" * 31,
        "0x" + "ab" * 33,
        "0x" + "ag" * 32,
        "{true} and more",
        "{two}",
    ],
)
async def test_what_is_no_hash_proves_nothing_and_says_so_at_the_field(
    node: FakeNode, open_page: OpenPage, text: str
) -> None:
    true = "0x" + node.document.hash.hex()
    page = await open_page(node.url)
    await page.locator("[data-verify]").nth(1).click()
    await expect(page.locator("[data-verify][data-good=true]")).to_have_count(1)
    field = page.get_by_label(HASH_LABEL)
    await expect(field).to_have_attribute("aria-invalid", "false")
    await field.fill(text.format(true=true, two=true + true))
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_accessible_description(re.compile("0x and 64 hex digits.*empty"))
    await page.get_by_role("button", name="Verify all of these").click()
    await expect_text(page, "#verify-summary", "Nothing was checked: “The document hash that you")
    await expect_text(page, "#verify-summary", "correct it, or empty the field")
    await page.locator("[data-verify]").first.click()
    await expect(page.locator("[data-verify]").first).to_have_text("Not checked")
    await page.get_by_role("button", name="Verify in your browser").click()
    await expect_text(page, "#newest-verdict", "Not checked: “The document hash that you trust”")
    await expect(page.locator(GREEN)).to_have_count(0)
    await field.fill(f" {true.upper().replace('0X', '0x')}, 0x{'ab' * 32} ")
    await expect(field).to_have_attribute("aria-invalid", "false")
    await expect(page.locator("#trusted-problem")).to_be_empty()
    await page.get_by_role("button", name="Verify all of these").click()
    await expect_text(page, "#verify-summary", "by the document that you trust")


async def test_a_sum_is_never_by_another_hash_than_its_verdicts(
    node: FakeNode, open_page: OpenPage
) -> None:
    page = await open_page(node.url)
    await expect(page.locator("[data-verify]")).to_have_count(12)
    # Change the field in the pause after the first four.
    await page.evaluate(
        """() => new Promise((resolve) => {
          const summary = document.getElementById("verify-summary");
          const field = document.getElementById("trusted");
          new MutationObserver((_, observer) => {
            if (!summary.textContent.startsWith("Checked 4 of")) return;
            observer.disconnect();
            field.value = "0x12";
            field.dispatchEvent(new Event("input"));
            setTimeout(resolve, 500);
          }).observe(summary, { childList: true, characterData: true, subtree: true });
          document.getElementById("verify-all").click();
        })"""
    )
    await expect(page.locator("#verify-summary")).to_be_empty()
    await expect(page.locator(GREEN)).to_have_count(0)


async def test_whatever_is_tampered_with_is_not_proven(node: FakeNode, open_page: OpenPage) -> None:
    prices = node.prices
    signatures = [price["signatures"] for price in prices]
    prices[0]["report"]["price"] = str(int(prices[0]["report"]["price"]) + 1)
    prices[1]["price"] = "9" + prices[1]["price"][1:]
    prices[2]["id"] = prices[3]["id"][:-1] + "0"
    signatures[3][1]["signature"] = signatures[4][1]["signature"]
    del signatures[4][2:]
    signatures[5][:] = [
        one for one in signatures[5] if one["signer"] != prices[5]["report"]["proposer"]
    ]
    signatures[6][0] = signatures[6][1]
    prices[7]["document"] = prices[7]["document"] | {"minimumSigners": 1, "mode": "EveryNode"}
    high = FakeNode(5).prices[0]["signatures"][0]
    signatures[8].append(high | {"signer": node.addresses[0]})
    prices[9]["pair"] = "BTC-USD"
    prices[10]["time"] = prices[10]["time"].replace("Z", "+01:00")
    prices[11]["observedAt"] = None
    page = await open_page(node.url)
    await expect(page.locator("[data-verify]")).to_have_count(12)
    await page.get_by_role("button", name="Verify all of these").click()
    await expect_text(page, "#verify-summary", "12 of 12 prices are NOT PROVEN")
    reasons = await page.locator(".proof[data-good=false] p code").all_inner_texts()
    assert reasons == [
        "column_mismatch",
        "column_mismatch",
        "id_mismatch",
        "signature_invalid",
        "signers_few",
        "proposer_missing",
        "signer_twice",
        "epoch_mismatch",
        "signature_invalid",
        "column_mismatch",
        "column_mismatch",
        "column_mismatch",
    ]
    await expect(page.locator("[data-verify][data-good=true]")).to_have_count(0)


def settle_newest(node: FakeNode) -> Callable[[], None]:
    """Let the newest price be settled and no more; return what stores it."""
    stored = node.prices[0]
    node.prices[0] = stored | {"state": "settled", "storedAt": None}

    def store() -> None:
        node.prices[0] = stored
        node.emit("stored", {"pair": node.pair, "round": stored["report"]["round"]})

    return store


async def test_who_presses_while_a_price_is_stored_presses_its_button(
    node: FakeNode, open_page: OpenPage
) -> None:
    store = settle_newest(node)
    page = await open_page(node.url)
    row = page.locator(f"tr[data-key='{node.prices[0]['id']}']")
    await expect(row).to_contain_text("settled")
    await row.locator("button").hover()
    await page.mouse.down()
    store()
    await expect(row).to_contain_text("stored")
    await page.mouse.up()
    await expect(row.locator("button")).to_have_text("Proven")


async def test_what_is_proven_stays_so_when_it_is_stored(
    node: FakeNode, open_page: OpenPage
) -> None:
    store = settle_newest(node)
    page = await open_page(node.url)
    row = page.locator(f"tr[data-key='{node.prices[0]['id']}']")
    await row.locator("button").click()
    await expect(row.locator("button")).to_have_text("Proven")
    store()
    await expect(row).to_contain_text("stored")
    await expect(row.locator("button")).to_have_text("Proven")
    await expect_text(page, ".proof", "Proven in your browser")


async def test_what_changes_while_it_is_verified_is_not_proven_by_what_it_was(
    node: FakeNode, open_page: OpenPage
) -> None:
    price = node.prices[0]
    page = await open_page(node.url)
    row = page.locator(f"tr[data-key='{price['id']}']")
    may_load = asyncio.Event()

    async def delay(route: Route) -> None:
        await may_load.wait()
        await route.continue_()

    await page.route("**/verify.js", delay)
    async with page.expect_request("**/verify.js"):
        await row.locator("button").click()
    node.prices[0] = price | {"price": "9" + price["price"]}
    node.emit("stored", {"pair": node.pair, "round": price["report"]["round"]})
    await expect(row.locator(".amount")).to_have_attribute("title", node.prices[0]["price"])
    may_load.set()
    await expect(row.locator("button")).to_have_text("Not proven")


async def test_a_price_that_could_not_be_checked_is_not_called_false(
    node: FakeNode, open_page: OpenPage, complaints: list[str]
) -> None:
    page = await open_page(node.url)
    await page.route("**/verify.js", lambda route: route.abort())
    await expect(page.locator("[data-verify]")).to_have_count(12)
    await page.get_by_role("button", name="Verify all of these").click()
    await expect_text(page, "#verify-summary", "Nothing was checked: what verifies did not load")
    await page.locator("[data-verify]").first.click()
    await expect(page.locator("[data-verify]").first).to_have_text("Not checked")
    assert all("net::ERR_FAILED" in text for text in complaints), complaints
    complaints.clear()


async def test_its_ids_and_signers_are_those_of_the_protocol_s_vectors(
    node: FakeNode, open_page: OpenPage
) -> None:
    vectors = json.loads(GOLDEN.read_text())
    page = await open_page(node.url)
    found = await page.evaluate(
        """async (vectors) => {
          const { computeId, recover } = await import("/page/verify.js");
          const { bytesToHex, hexToBytes } = await import("/page/vendor/noble-hashes/utils.js");
          const toBytes = (hex) => hexToBytes(hex.slice(2));
          return vectors.map(({ report, networkId, signatures }) => {
            const id = computeId(report, networkId);
            const signers = signatures.map((one) => recover(id, toBytes(one.signature)));
            return ["0x" + bytesToHex(id), signers];
          });
        }""",
        vectors,
    )
    assert found == [[v["id"], [one["signer"] for one in v["signatures"]]] for v in vectors]


async def test_older_prices_come_on_demand_or_say_why_not(
    node: FakeNode, open_page: OpenPage, complaints: list[str]
) -> None:
    for index in range(150):
        node.add_price(node.round_index + index)
    node.older_problem = "older prices are in the database, which does not answer"
    page = await open_page(node.url)
    older = page.get_by_role("button", name="Show older ones")
    await older.click()
    await expect(page.locator("#prices tbody tr")).to_have_count(100)
    await expect_text(page, "#older-problem", "which does not answer")
    assert all("503" in text for text in complaints), complaints
    complaints.clear()
    node.older_problem = None
    await older.click()
    await expect(page.locator("#prices tbody tr")).to_have_count(200)


# What is wrong stands out


async def test_a_stopped_member_stands_out(node: FakeNode, open_page: OpenPage) -> None:
    page = await open_page(node.url)
    await expect_text(page, "#matrix-verdict", "Everybody hears everybody.")
    node.silence(3)
    name = f"3 ({node.addresses[3][:6]}…{node.addresses[3][-4:]})"
    await expect_text(page, "#matrix-verdict", f"{name} is silent.")
    ago = "3\u00a0min 15\u00a0s ago"
    await expect_text(page, "#notices", f"Member {name} is silent. Last heard {ago}.")
    await expect_text(page, "#members [data-member='3']", ago)
    # It is counted on, and a screen reader is not told each time.
    await expect(page.get_by_text(f"Last heard {ago}.")).to_have_attribute("aria-live", "off")
    await expect(page.locator(".matrix thead th.lost")).to_have_text("3")
    await expect(page.locator(".matrix td.lost")).to_have_count(3)
    await expect_text(page, "#members [data-member='3']", "silent")
    await expect_text(page, "#notices", "No margin left.")


async def test_an_isolated_and_a_deaf_member_stand_out(node: FakeNode, open_page: OpenPage) -> None:
    node.isolated, node.deaf = [2], [1]
    page = await open_page(node.url)
    await expect_text(page, "#matrix-verdict", "is isolated: most of the others do not hear it.")
    await expect(page.locator(".matrix thead th.lost")).to_have_text("2")
    await expect_text(page, ".matrix tr.deaf", "deaf")
    await expect_text(page, "#notices", "is deaf.")


async def test_trouble_is_said_plainly(node: FakeNode, open_page: OpenPage) -> None:
    node.simulated = True
    node.database = False
    node.unproven = 2
    node.problems = {"clock": "2.4 s ahead of the members' median"}
    node.silence(2)
    node.silence(3)
    page = await open_page(node.url)
    for text in (
        "Out of quorum. This node hears 2 of 4 members, and 3 must sign",
        "Simulated prices. A random walk",
        "This node cannot reach its database.",
        "2 of the newest rows are left out here",
        "clock: 2.4 s ahead of the members' median",
    ):
        await expect_text(page, "#notices", text)
    await expect(page.locator("#notices > *").first).to_contain_text("Out of quorum")


async def test_what_others_send_is_text_and_never_markup(
    node: FakeNode, open_page: OpenPage
) -> None:
    node.versions[2] = MARKUP
    node.problems = {MARKUP: MARKUP}
    node.pairs = [*node.pairs, {"pair": MARKUP, "decimals": 2}]
    record = node.begin_round(node.round_index)
    node.lose(record, MARKUP)
    page = await open_page(node.url)
    await expect(page.locator("#members [data-member='2'] .version")).to_have_text(MARKUP)
    await expect(page.locator("#pair option").nth(1)).to_have_text(MARKUP)
    await expect(page.locator("#now-stage")).to_have_text(f"No price: {MARKUP}")
    await expect_text(page, "#notices", MARKUP)
    assert await page.locator("#injected").count() == 0


async def test_the_browser_itself_refuses_to_make_html_of_text(
    node: FakeNode, open_page: OpenPage, complaints: list[str]
) -> None:
    page = await open_page(node.url)
    refused = await page.evaluate(
        """() => {
          try { document.body.innerHTML = "<b>x</b>"; } catch (error) { return error.name; }
        }"""
    )
    assert refused == "TypeError"
    assert len(complaints) == 1
    assert "TrustedHTML" in complaints.pop()


async def test_a_bootstrap_shows_what_it_knows_and_leads_nowhere_else(
    bootstrap: FakeBootstrap, open_page: OpenPage
) -> None:
    page = await open_page(bootstrap.url)
    await expect_text(page, "#notices", "This is the bootstrap node.")
    heads = page.locator("#members thead th")
    await expect(heads).to_have_text(["Member", "State"])
    await expect(page.locator("#members td")).to_have_count(8)
    await expect(page.locator("#members [data-member='3']")).to_contain_text("not connected")
    shown = await page.locator("footer a:visible").all()
    assert len(shown) == 3
    for link in shown:
        answer = await page.request.get(bootstrap.url + (await link.get_attribute("href") or ""))
        assert answer.ok, answer.url


async def test_the_docs_page_complains_of_nothing_and_breaks_no_name(
    bootstrap: FakeBootstrap, open_page: OpenPage
) -> None:
    for width in (1280, 360):
        viewport = {"width": width, "height": 740}
        page = await open_page(bootstrap.url + "docs/", viewport=viewport)
        await expect(page).to_have_url(bootstrap.url + "docs")
        line_heights = await page.evaluate(
            """[...document.querySelectorAll("td:first-child code")].map(
              (one) => [one.textContent, one.getClientRects().length])"""
        )
        assert len(line_heights) > 50
        assert [name for name, lines in line_heights if lines != 1] == []
        assert await page.evaluate("document.documentElement.scrollWidth") == width


# For everybody


async def show_nothing_yet(node: FakeNode, page: Page) -> None:
    node.prices.clear()
    node.rounds.clear()
    await page.reload()
    await expect_text(page, "#price", "No price yet")


async def show_one_proof(node: FakeNode, page: Page) -> None:
    await page.locator("[data-verify]").first.click()
    await expect_text(page, ".proof", "Proven")


async def distrust(node: FakeNode, page: Page) -> None:
    await page.get_by_label(HASH_LABEL).fill("0x" + "ab" * 32)
    await page.get_by_role("button", name="Verify in your browser").click()
    await expect_text(page, "#newest-verdict", "NOT PROVEN: it stands on the document 0x")
    await page.get_by_role("button", name="Verify all of these").click()
    await expect_text(page, "#verify-summary", "12 of 12 prices are NOT PROVEN")


async def mistype(node: FakeNode, page: Page) -> None:
    await page.get_by_label(HASH_LABEL).fill("0x12")
    await page.get_by_role("button", name="Verify in your browser").click()
    await expect_text(page, "#newest-verdict", "Not checked")
    await page.get_by_role("button", name="Verify all of these").click()
    await expect_text(page, "#verify-summary", "Nothing was checked")


async def be_in_trouble(node: FakeNode, page: Page) -> None:
    node.database = False
    node.unproven = 2
    node.problems = {"p" * 60: "x" * 200}
    node.pairs = [*node.pairs, {"pair": "ABCDEFGHIJKL-ABCDEFGHIJKL", "decimals": 2}]
    node.lose(node.begin_round(node.round_index), "r" * 200)
    for member in (2, 3):
        node.silence(member)
    await page.reload()
    await expect_text(page, "#notices", "Out of quorum")


async def lose_the_node(node: FakeNode, page: Page) -> None:
    await node.stop()
    await expect_text(page, "#link", "Not connected")


STATES: dict[str, Callable[[FakeNode, Page], Awaitable[None]]] = {
    "no price yet": show_nothing_yet,
    "a proof": show_one_proof,
    "a foreign hash": distrust,
    "no hash": mistype,
    "trouble": be_in_trouble,
    "no connection": lose_the_node,
}
#: What reaches beyond the inner width of the card that it stands in, unless it may scroll there.
OVERFLOWING = """() => {
  const end = (card) =>
    card.getBoundingClientRect().right - parseFloat(getComputedStyle(card).paddingRight);
  return [...document.querySelectorAll(".card *:not(.scroll *, .chart, .chart *)")]
    .filter((one) => one.getClientRects().length > 0 && !one.closest(".hidden, thead"))
    .filter((one) => one.getBoundingClientRect().right > end(one.closest(".card")) + 0.5)
    .map((one) => one.outerHTML.slice(0, 120));
}"""


async def expect_all_in_its_place(page: Page) -> None:
    for width in (360, 1280):
        await page.set_viewport_size({"width": width, "height": 740})
        assert await page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [
            width,
            width,
        ]
        assert await page.evaluate(OVERFLOWING) == []


@pytest.mark.parametrize(
    ("node", "shown"),
    [*((4, shown) for shown in STATES), (30, "a foreign hash")],
    indirect=["node"],
)
async def test_nothing_is_wider_than_its_place(
    node: FakeNode, open_page: OpenPage, complaints: list[str], shown: str
) -> None:
    node.simulated = True
    node.versions[1] = "1.2.3+" + "x" * 80
    node.silence(1)
    page = await open_page(node.url, viewport={"width": 360, "height": 740})
    await expect(page.locator("[data-verify]")).to_have_count(12)
    await STATES[shown](node, page)
    await expect_all_in_its_place(page)
    if shown == "no connection":
        complaints.clear()


async def test_nothing_of_a_bootstrap_is_wider_than_its_place(
    bootstrap: FakeBootstrap, open_page: OpenPage
) -> None:
    page = await open_page(bootstrap.url)
    await expect(page.locator("#members td")).to_have_count(8)
    await expect_all_in_its_place(page)


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 360)])
async def test_axe_finds_no_fault(
    node: FakeNode, open_page: OpenPage, theme: str, width: int
) -> None:
    node.simulated = True
    node.isolated, node.deaf = [2], [1]
    node.silence(3)
    node.prices[1]["price"] = "1.00"
    record = node.begin_round(node.round_index)
    node.observe(record, 0)
    node.propose(record, 1)
    page = await open_page(node.url, color_scheme=theme, viewport={"width": width, "height": 900})
    await expect(page.locator("[data-verify]")).to_have_count(12)
    await page.get_by_role("button", name="Verify all of these").click()
    await expect_text(page, "#verify-summary", "1 of 12 prices")
    await page.locator("[data-verify]").first.click()
    await expect(page.locator(".proof")).to_have_count(2)
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run({ resultTypes: ['violations'] })")
    assert [
        (one["id"], one["impact"], [node["html"] for node in one["nodes"]][:3])
        for one in found["violations"]
    ] == []


async def test_the_keyboard_reaches_everything_in_order(
    node: FakeNode, open_page: OpenPage
) -> None:
    page = await open_page(node.url)
    await expect(page.locator("[data-verify]")).to_have_count(12)
    reached = []
    for _ in range(9):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate(
                "document.activeElement.id || document.activeElement.className"
                " || document.activeElement.textContent"
            )
        )
    assert reached == [
        "skip", "pair", "theme", "verify-newest", "matrix", "verify-all", "trusted", "Verify",
        "Verify",
    ]  # fmt: skip


async def test_the_chosen_theme_is_kept(node: FakeNode, open_page: OpenPage) -> None:
    page = await open_page(node.url, color_scheme="light")
    read = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(read)
    button = page.get_by_role("button", name="Theme")
    await button.click()
    await button.click()
    await expect(button).to_have_text("Theme: dark")
    dark = await page.evaluate(read)
    assert dark != light
    await page.reload()
    assert await page.evaluate(read) == dark
