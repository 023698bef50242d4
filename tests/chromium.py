"""Chromium for tests that look at pages: the one on the PATH; as root on Debian, the distribution's."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

from tests.debian import install, may_install

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_QUIET = (
    "--no-sandbox",  # root may not have one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def find_chromium() -> str:
    """Its path. Where there is none the test is skipped, or fails with CI=true."""
    given = os.environ.get("CARILLON_TEST_CHROMIUM")
    found = given or _on_path()
    if found is None and may_install() and install("chromium", "fonts-liberation", program="chromium"):
        found = _on_path()
    if found is not None:
        return found
    reason = "There is no Chromium: the pages were not looked at."
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(f"{reason} CARILLON_TEST_CHROMIUM names one.")


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """Without a window."""
    path = find_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, headless=True, args=list(_QUIET))
        yield browser
        await browser.close()


def _on_path() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)
