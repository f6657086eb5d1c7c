"""The Chromium of this machine, driven by Playwright, which brings none of its own here."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

#: scripts/check-browser looks for the same ones.
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: A loaded machine is slow, a broken page never gets there.
PATIENCE_MS: Final = 60_000
#: Chromium drops all requests when an interface comes or goes, as with somebody else's containers
#: on this machine. A page that was about to load then is loaded again; it is not the page's fault.
INTERRUPTED: Final = "net::ERR_NETWORK_CHANGED"

OpenPage = Callable[..., Awaitable[Page]]


@asynccontextmanager
async def launch_chromium() -> AsyncIterator[Browser]:
    """Launch it without a window. Raises FileNotFoundError where there is none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise FileNotFoundError(
            "no Chromium on PATH: scripts/check-browser installs it, or says how to"
        )
    # As root it runs without its own sandbox: it opens nothing here but our own page.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=options)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_pages(browser: Browser, complaints: list[str]) -> AsyncIterator[OpenPage]:
    """Yield what opens a URL in a profile of its own; options are Playwright's of a context.

    Whatever a page writes to its console as an error or a warning is added to `complaints`.
    """
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

    try:
        yield open_url
    finally:
        for context in contexts:
            await context.close()
