"""One real Chromium for all tests of the page; a fresh profile and a fake node for each.

Whatever the page writes to its console as an error or a warning fails the test that saw it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page

from fake_node import FakeNode
from page.chromium import PATIENCE_MS, OpenPage, launch_chromium

#: Chromium drops all requests when an interface comes or goes, as with somebody else's containers
#: on this machine. A page that was about to load then is loaded again; it is not the page's fault.
INTERRUPTED = "net::ERR_NETWORK_CHANGED"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser of this machine, without a window."""
    async with launch_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def node() -> AsyncIterator[FakeNode]:
    """A fake node of four members, that serves."""
    node = await FakeNode().start()
    yield node
    await node.stop()


@pytest.fixture
def complaints() -> list[str]:
    """What a page complained of; a test that makes it complain clears the list."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, complaints: list[str]) -> AsyncIterator[OpenPage]:
    """Open a URL in a profile of its own; options are Playwright's of a context."""
    contexts = []
    interrupted = []

    def hear(message: ConsoleMessage) -> None:
        if INTERRUPTED in message.text:
            interrupted.append(message.text)
        elif message.type in ("error", "warning"):
            complaints.append(f"{message.type}: {message.text}")

    async def open_url(url: str, **options: Any) -> Page:
        context = await browser.new_context(
            **{"viewport": {"width": 1200, "height": 900}, "reduced_motion": "reduce"} | options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        await page.goto(url)
        while interrupted:
            interrupted.clear()
            await page.reload()
        return page

    yield open_url
    for context in contexts:
        await context.close()
    assert complaints == []
