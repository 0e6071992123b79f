"""The pages in Debian's Chromium, against real processes.

These tests are synchronous: a browser of Playwright's has an event loop of its own for as long as
its module's tests run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.web.processes import Dlr, running

LIMIT_MS = 20_000
"""After which something that should long be on a page is not. Never a time to wait for."""

expect.set_options(timeout=LIMIT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        missing = "chromium is missing: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


class Complaints:
    """What a browser complains of: errors of scripts, and whatever the policy has stopped."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.said.append(message.text)

    def error(self, error: Exception) -> None:
        self.said.append(str(error))


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Makes a page in a browser of its own, with the options of Browser.new_context. At the end no
    script may have failed and nothing may have been stopped by the policy."""
    complaints = Complaints()
    with ExitStack() as stack:

        def make(**options: object) -> Page:
            context = browser.new_context(**options)  # type: ignore[arg-type]
            stack.callback(context.close)
            made = context.new_page()
            made.set_default_timeout(LIMIT_MS)
            made.on("console", complaints.console)
            made.on("pageerror", complaints.error)
            return made

        yield make
    assert complaints.said == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page(viewport={"width": 1280, "height": 800})


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Dlr]]:
    """Starts `dlr serve`, or another command, in an empty folder: `start("sandbox", config=…)`."""
    with ExitStack() as stack:
        number = 0

        def begin(*words: str, config: str = "") -> Dlr:
            nonlocal number
            number += 1
            folder = tmp_path / str(number)
            folder.mkdir()
            return stack.enter_context(running(folder, words or ("serve",), config))

        yield begin
