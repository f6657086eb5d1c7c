"""Draw the live page as the README shows it: `make screenshots`.

The node is the fake of the page's tests, at a fixed moment, so that two runs draw the same but
for the seconds that they took.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "node")]

from PIL import Image
from playwright.async_api import Browser, Page, expect

from fake_node import INTERVAL_S, INTO_ROUND_MS, UNSETTLED, FakeNode
from page.chromium import launch_chromium

WIDE = {"width": 1200, "height": 1240}
TALL = WIDE | {"height": 1360}
NARROW = {"width": 360, "height": 1240}


async def begin_round(node: FakeNode, page: Page) -> None:
    """Let a round go half its way."""
    record = node.begin_round(node.round_index)
    for member in range(4):
        node.observe(record, member)
    node.propose(record, 1)
    node.sign(record, 2)
    await expect(page.locator("#now-stage")).to_contain_text("2 of 4 have signed")


async def reach_quorum(node: FakeNode, page: Page) -> None:
    """Let the quorum sign, and the reader verify what the page shows."""
    await begin_round(node, page)
    node.sign(node.rounds[0], 0)
    await expect(page.locator("#now-stage")).to_contain_text("Quorum")
    await page.get_by_role("button", name="Verify in your browser").click()
    await expect(page.locator("#newest-verdict")).to_contain_text("Proven")


async def lose_a_member(node: FakeNode, page: Page) -> None:
    """Let a member be silent, and let somebody have changed a row of the table."""
    gone = node.addresses[3]
    for missed in node.rounds[:UNSETTLED]:
        missed["observations"] = [seen for seen in missed["observations"] if seen["member"] != gone]
        for proposal in missed["proposals"]:
            proposal["signers"].remove(gone)
    node.silence(3, UNSETTLED * 1000 * INTERVAL_S + INTO_ROUND_MS)
    await page.reload()
    await expect(page.locator("[data-verify]")).to_have_count(12)
    record = node.begin_round(node.round_index)
    for member in range(3):
        node.observe(record, member)
    node.propose(record, 0)
    node.sign(record, 2)
    await expect(page.locator("#matrix-verdict")).to_contain_text("is silent")


async def prove(node: FakeNode, page: Page) -> None:
    """Let the reader verify all, one of which somebody has changed."""
    await page.get_by_role("button", name="Verify all of these").click()
    await expect(page.locator("#verify-summary")).to_contain_text("NOT PROVEN")
    await page.locator("[data-verify]").first.click()
    await expect(page.locator(".proof")).to_have_count(2)


class Picture(NamedTuple):
    """One PNG: what happens before it is taken, in which theme, and of which part of the page."""

    name: str
    act: Callable[[FakeNode, Page], Awaitable[None]]
    theme: str = "light"
    size: dict[str, int] = WIDE
    part: str | None = None


PICTURES = (
    Picture("light", begin_round),
    Picture("dark", reach_quorum, theme="dark"),
    Picture("narrow", reach_quorum, size=NARROW),
    Picture("node-down", lose_a_member, size=TALL),
    Picture("proof", prove, part=".proofs"),
)


async def draw(browser: Browser, picture: Picture, folder: Path) -> None:
    """Draw one picture into `folder`."""
    node = FakeNode()
    node.prices[2]["report"]["price"] = str(int(node.prices[2]["report"]["price"]) + 10**6)
    await node.start()
    options: dict[str, Any] = {"viewport": picture.size, "color_scheme": picture.theme}
    context = await browser.new_context(reduced_motion="reduce", **options)
    page = await context.new_page()
    await page.goto(node.url)
    await expect(page.locator("[data-verify]")).to_have_count(12)
    await picture.act(node, page)
    await page.evaluate("document.fonts.ready")
    target = page if picture.part is None else page.locator(picture.part)
    path = folder / f"live-page-{picture.name}.png"
    save_small(await target.screenshot(), path)
    print(f"{path}: {path.stat().st_size // 1000} kB")
    await context.close()
    await node.stop()


def save_small(png: bytes, path: Path) -> None:
    """Write the picture with 256 colours: no eye sees it, and it is a third of the size."""
    with Image.open(io.BytesIO(png)) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(path, optimize=True)


async def main(folder: Path) -> None:
    """Draw them all."""
    async with launch_chromium() as browser:
        for picture in PICTURES:
            await draw(browser, picture, folder)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
