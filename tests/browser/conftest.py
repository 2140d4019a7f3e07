"""A real browser: Chromium, Google Chrome or one built from them, which these tests need and don't install."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)


def executable() -> str:
    """The browser that is looked for: by name on the path, then where macOS keeps applications."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    found += [str(path) for path in APPLICATIONS if path.exists()]
    if not found:
        looked_for = ", ".join([*NAMES, *map(str, APPLICATIONS)])
        pytest.fail(
            f"there is no browser; looked for {looked_for}. On Debian: apt-get install chromium",
            pytrace=False,
        )
    return found[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a module: while it runs, so does an event loop, which others could not start."""
    # The sandbox needs a user that is not root.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=options)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that is open at desktop width."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(20_000)
    yield page
    page.close()
