"""The pages in Debian's Chromium, against real processes.

These tests are synchronous: a browser of Playwright's has an event loop of its own for as long as
its module's tests run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

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


class Contexts:
    """Browsers of their own within one Chromium. A new one takes half a second of CPU, so one that
    a test is done with is given to the next that wants the same, without its pages and cookies."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: dict[str, list[BrowserContext]] = {}

    @contextmanager
    def one(self, **options: object) -> Iterator[BrowserContext]:
        """One that nobody else has, with the options of Browser.new_context."""
        free = self._free.setdefault(repr(sorted(options.items())), [])
        context = free.pop() if free else self._browser.new_context(**options)  # type: ignore[arg-type]
        is_closed = False

        def close(_: BrowserContext) -> None:
            nonlocal is_closed
            is_closed = True

        context.once("close", close)
        yield context
        if not is_closed:
            context.remove_listener("close", close)
            for page in context.pages:
                page.close()
            context.clear_cookies()
            free.append(context)


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Contexts:
    return Contexts(browser)


@pytest.fixture
def open_page(contexts: Contexts) -> Iterator[Callable[..., Page]]:
    """Makes a page in a browser of its own, with the options of Browser.new_context. At the end no
    script may have failed and nothing may have been stopped by the policy."""
    complaints = Complaints()
    with ExitStack() as stack:

        def make(**options: object) -> Page:
            context = stack.enter_context(contexts.one(**options))
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
