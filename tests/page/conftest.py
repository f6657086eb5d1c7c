"""One real Chromium for all tests of the page; a fresh profile and a fake node for each.

Whatever the page writes to its console as an error or a warning fails the test that saw it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from fake_bootstrap import FakeBootstrap
from fake_node import FakeNode
from page.chromium import OpenPage, launch_chromium, open_pages


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser of this machine, without a window."""
    async with launch_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def node(request: pytest.FixtureRequest) -> AsyncIterator[FakeNode]:
    """A fake node of four members, or of as many as the parameter says, that serves."""
    node = await FakeNode(getattr(request, "param", 4)).start()
    yield node
    await node.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def bootstrap() -> AsyncIterator[FakeBootstrap]:
    """A bootstrap that serves."""
    bootstrap = await FakeBootstrap().start()
    yield bootstrap
    await bootstrap.stop()


@pytest.fixture
def complaints() -> list[str]:
    """What a page complained of; a test that makes it complain clears the list."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, complaints: list[str]) -> AsyncIterator[OpenPage]:
    """Open a URL in a profile of its own; options are Playwright's of a context."""
    async with open_pages(browser, complaints) as open_page:
        yield open_page
    assert complaints == []
