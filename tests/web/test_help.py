"""Help on the pages: the guides and the HTTP reference, in a browser."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.web.axe import findings
from tests.web.processes import Dlr
from tests.web.test_frame import READ, TOKENS, sign_in

Start = Callable[..., Dlr]


def test_a_guide_is_read(start: Start, open_page: Callable[..., Page]) -> None:
    """From the help to a guide, over its table of contents to a heading, over a link to another
    guide; a block of code is copied."""
    page = open_page(
        viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    )
    dlr = start()
    page.goto(f"{dlr.url}/docs")
    assert findings(page) == []
    page.get_by_role("link", name="Test your app").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Test your app")
    assert findings(page) == []
    page.get_by_role("button", name="copy").first.click()
    expect(page.get_by_role("button", name="copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "pip install dist/dlr_relay-*.whl\n"

    contents = page.get_by_role("navigation", name="On this page")
    contents.get_by_role("link").nth(1).click()
    assert re.search("#[a-z-]+$", page.url)
    page.get_by_role("article").get_by_role("link", name="config/dlr.toml").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    assert findings(page) == []
    assert page.goto(f"{dlr.url}/docs/none").status == 404  # type: ignore[union-attr]


def test_the_reference_is_read(start: Start, page: Page) -> None:
    """From the list to a request, to the schema of its body, and back to where it is used."""
    dlr = start()
    page.goto(f"{dlr.url}/docs/api")
    assert findings(page) == []
    expect(page.get_by_role("heading", name="Sandbox: the send API")).to_have_count(0)
    page.get_by_role("link", name="POST /api/replays", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("POST /api/replays")
    expect(page.get_by_role("row", name=re.compile("^409"))).to_be_visible()
    assert findings(page) == []
    page.get_by_role("link", name="ReplayRequest").click()
    expect(page.get_by_role("row", name=re.compile("^stopOnErrors"))).to_be_visible()
    assert findings(page) == []
    page.get_by_role("link", name="POST /api/replays").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("POST /api/replays")
    for path in ("none", "schemas/none"):
        assert page.goto(f"{dlr.url}/docs/api/{path}").status == 404  # type: ignore[union-attr]


def test_each_page_of_the_reference_is_there_and_small(start: Start, page: Page) -> None:
    """In a sandbox, which has the most of them."""
    dlr = start("sandbox")
    page.goto(f"{dlr.url}/docs/api")
    expect(page.get_by_role("heading", name="Sandbox: the send API")).to_be_visible()
    document = dlr.ask("GET", "/api/openapi.json")
    names = [said["operationId"] for each in document["paths"].values() for said in each.values()]
    for name in [*names, *(f"schemas/{each}" for each in document["components"]["schemas"])]:
        answered = page.request.get(f"{dlr.url}/docs/api/{name}")
        assert answered.status == 200, name
        assert len(answered.body()) < 100_000


def test_commands_of_the_reference_do_what_they_say(start: Start, page: Page) -> None:
    """Each is typed into a shell as it is shown: a callback, an endpoint, a replay, a send."""
    dlr = start("sandbox")
    for name, answered in (
        ("notify", '"stored":1'),
        ("listReports", '"reports":'),
        ("addEndpoint", '"acme"'),
        ("showEndpoint", '"acme"'),
        ("makeReplay", '"state":"done"'),
        ("showReplay", '"id":1'),
        ("postSmsV3Messages", '"bulkId"'),
        ("getSandboxMessages", '"messages"'),
    ):
        page.goto(f"{dlr.url}/docs/api/{name}")
        command = page.locator(".code code").first.inner_text()
        printed = subprocess.run(
            ["sh", "-c", command.replace("curl ", "curl -s ", 1)],
            env={"USERNAME": "user", "PASSWORD": "secret", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert answered in printed.replace(" ", "").replace("\n", ""), (command, printed)


def test_a_phone_without_scripts(start: Start, open_page: Callable[..., Page]) -> None:
    """Wide drawings and tables are scrolled by themselves, not with the page."""
    page = open_page(java_script_enabled=False, viewport={"width": 390, "height": 800})
    dlr = start()
    for path in ("", "/start", "/settings", "/fields", "/dispatcher", "/api", "/api/makeReplay"):
        page.goto(f"{dlr.url}/docs{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.locator("main").bounding_box()["width"] <= 390  # type: ignore[index]
        assert page.locator("html").evaluate("e => e.scrollWidth") <= 390, path
        expect(page.get_by_role("button", name="copy")).to_have_count(0)


def test_help_is_for_whoever_may_read(start: Start, page: Page) -> None:
    """With tokens it asks who is there, as every page does."""
    dlr = start(config=TOKENS)
    sign_in(page, f"{dlr.url}/docs/api/listReports", READ)
    expect(page.locator(".code code").first).to_contain_text('-H "Authorization: Bearer $TOKEN"')
