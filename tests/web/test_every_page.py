"""What holds for each page, on a sandbox in which much has happened.

Guides such as `/docs/start` are not here: tests/web/test_guides.py holds their size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Page, Response

from tests.web.axe import findings
from tests.web.processes import Dlr
from tests.web.screenshots import FOLLOWED, filled

OpenPage = Callable[..., Page]

LARGEST = 100_000
"""Bytes of a page with its style and its scripts, as whoever looks at one for the first time loads
them."""


def test_every_page(tmp_path: Path, open_page: OpenPage) -> None:
    """Those of the navigation, and one report, message, dispatch and endpoint: each is there, small
    and accessible, fits a phone, and the browser complains of nothing (`open_page` holds that)."""
    with filled(tmp_path) as dlr:
        start = open_page()
        start.goto(dlr.url)
        links = start.get_by_role("navigation", name="Pages").get_by_role("link").all()
        paths = [each.get_attribute("href") or "" for each in links]
        assert {"/", "/messages", "/sandbox", "/docs"} < {*paths}

        faults = [
            f"{path}: {fault}"
            for path in (*paths, *single(dlr))
            for fault in faults_of(open_page(), dlr.url + path)
        ]

    assert faults == []


def single(dlr: Dlr) -> Iterator[str]:
    """The page of one of each kind."""
    report = dlr.ask("GET", "/api/reports?limit=1")["reports"][0]["id"]
    dispatch = dlr.ask("GET", "/api/dispatches?limit=1")["dispatches"][0]["id"]
    yield f"/?report={report}"
    yield f"/reports/{report}"
    yield f"/messages/{FOLLOWED}"
    yield f"/dispatches/{dispatch}"
    yield "/endpoints/billing"


def faults_of(page: Page, url: str) -> Iterator[str]:
    """What is wrong with a page, in a browser that has loaded nothing yet."""
    loaded: list[Response] = []
    page.on("response", lambda response: loaded.append(response))
    answered = page.goto(url)
    assert answered is not None
    if answered.status != 200:
        yield f"status {answered.status}"
        return
    kinds = {"document", "stylesheet", "script"}  # what is live has no end
    size = sum(len(each.body()) for each in loaded if each.request.resource_type in kinds)
    if size >= LARGEST:
        yield f"{size:,} bytes"
    yield from findings(page)
    page.set_viewport_size({"width": 390, "height": 844})
    if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
        yield "scrolls sideways on a phone"
    page.context.close()
