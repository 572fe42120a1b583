"""Dagster's UI as a person sees it: headless Chromium, driven by Playwright.

What belongs here: which browser, where things are in the UI, and pictures of it. What has to be seen is said in the tests.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, TimeoutError, ViewportSize, expect, sync_playwright  # noqa: A004 Playwright's own

from convergence_orchestration_tests.e2e.platform import PATIENCE

WITHOUT = "CONVERGENCE_WITHOUT_BROWSER"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SIZE: ViewportSize = {"width": 1440, "height": 900}
_COLOURS = 255
_GLANCE_MS = 5_000
_PAUSE_MS = 2_000
PATIENCE_MS = 60_000
"""Far above what anything here takes, so that a loaded machine fails no test."""


def chromium() -> str:
    """The path of the system's browser; without one the test fails, and says what to install."""
    if os.environ.get(WITHOUT):
        pytest.skip(f"{WITHOUT} is set.")
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.fail(
            "Install Chromium, for example by `apt-get install chromium`: browser tests drive the one on the PATH "
            f"({', '.join(_NAMES)}). {WITHOUT}=1 leaves them out.",
            pytrace=False,
        )
    return found


@contextmanager
def dagster_ui(url: str, screenshots: Path | None) -> "Iterator[UI]":
    """A browser with one page, at Dagster's address."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-quic"]
        )
        try:
            page = browser.new_page(viewport=_SIZE, color_scheme="light", timezone_id="UTC", locale="en-GB")
            page.set_default_timeout(PATIENCE_MS)
            yield UI(page, url, screenshots)
        finally:
            browser.close()


@dataclass(frozen=True)
class UI:
    """Dagster's web server in a browser; pictures go to `screenshots`, if anywhere."""

    page: Page
    url: str
    screenshots: Path | None

    def open(self, path: str) -> None:
        """Go to a page of Dagster's."""
        self.page.goto(f"{self.url}{path}", wait_until="domcontentloaded")

    def text(self, words: str) -> Locator:
        """The first thing that shows exactly these words."""
        return self.page.get_by_text(words, exact=True).first

    def sees(self, *words: str) -> None:
        """Wait until all of these words are to be seen."""
        for one in words:
            expect(self.text(one)).to_be_visible(timeout=PATIENCE_MS)

    def opens_until(self, path: str, words: str) -> None:
        """Go to a page again and again until it shows these words."""
        until = time.monotonic() + PATIENCE
        while not self._shows(path, words):
            assert time.monotonic() < until, f"{path} did not show {words} within {PATIENCE} s"

    def _shows(self, path: str, words: str) -> bool:
        self.page.wait_for_timeout(_PAUSE_MS)  # what was clicked last is on its way
        self.open(path)
        try:
            self.text(words).wait_for(timeout=_GLANCE_MS)
        except TimeoutError:
            return False
        return True

    def button(self, name: str) -> Locator:
        """The button with this name."""
        return self.page.get_by_role("button", name=name).first

    def picture(self, name: str) -> None:
        """Keep what is seen as a small picture, if pictures are wanted."""
        if self.screenshots is None:
            return
        self.page.wait_for_timeout(1000)  # drawings settle
        shot = Image.open(BytesIO(self.page.screenshot()))
        self.screenshots.mkdir(parents=True, exist_ok=True)
        small = shot.convert("RGB").quantize(_COLOURS, method=Image.Quantize.FASTOCTREE)
        small.save(self.screenshots / f"{name}.png", optimize=True)
