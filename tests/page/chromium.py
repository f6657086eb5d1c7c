"""The Chromium of this machine, driven by Playwright, which brings none of its own here."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, Page, async_playwright

#: scripts/check-browser looks for the same ones.
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: A loaded machine is slow, a broken page never gets there.
PATIENCE_MS: Final = 60_000

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
