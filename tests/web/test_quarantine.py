"""Quarantine on the pages: what could not be read, where, and what is done about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from playwright.sync_api import Page, expect

from tests.web.axe import findings
from tests.web.processes import Dlr, running
from tests.web.reports import a_report
from tests.web.test_frame import OPERATE, READ, TOKENS, sign_in

Start = Callable[..., Dlr]

NO_NUMBER = b'{"results":[{"messageId":"m-1","to":"41793026727","status":{"groupId":"three"}}]}'
HOSTILE = (
    b'{"results":[{"messageId":"</pre><script>document.title=1</script>\\u202e<img src=x>",'
    b'"to":"\xe2\x80\xae41793026727","error":{"id":"\x1b[31m' + b"<b>" * 3000 + b'"}}]}'
)


def callback(dlr: Dlr, body: bytes, content_type: str = "application/json") -> None:
    """A callback whose body cannot be read, or not all of it."""
    request = Request(f"{dlr.url}/notify", body, {"Content-Type": content_type}, method="POST")
    try:
        urlopen(request).close()
    except HTTPError as refused:
        refused.close()


def test_all_is_well(start: Start, page: Page) -> None:
    """An empty quarantine is good news."""
    page.goto(f"{start().url}/quarantine")
    expect(page.get_by_role("heading", name="Nothing in quarantine")).to_be_visible()
    assert findings(page) == []


def test_the_fault_is_marked_and_the_entry_dismissed(start: Start, page: Page) -> None:
    """The list leads to an entry, in which the place is marked; dismissing asks first."""
    dlr = start()
    callback(dlr, NO_NUMBER)
    callback(dlr, NO_NUMBER)
    callback(dlr, b"<r><results><result><to>1</to></results></r>", "application/xml")
    page.goto(f"{dlr.url}/quarantine")
    assert findings(page) == []
    page.get_by_role("link", name="1", exact=True).click()

    expect(page.locator("mark")).to_have_text('"three"')
    expect(page.get_by_text('expected an integer, got "three"')).to_be_visible()
    expect(page.get_by_text("1 time", exact=True)).to_be_visible()
    assert findings(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert json.loads(download.value.path().read_bytes())["status"] == {"groupId": "three"}
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_have_text(
        "Entry 1 still cannot be read. It stays in quarantine."
    )
    page.get_by_text("Dismiss this entry").click()
    page.get_by_role("button", name="Dismiss entry 1").click()

    expect(page.get_by_role("status")).to_contain_text("Entry 1 and its bytes were deleted")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="2", exact=True).click()
    expect(page.locator("mark")).to_be_visible()
    made = [each["what"] for each in dlr.ask("GET", "/api/audit")["items"]]
    assert made == ["dismissQuarantined", "retryQuarantined"]
    assert page.goto(f"{dlr.url}/quarantine/1").status == 404  # type: ignore[union-attr]
    assert page.goto(f"{dlr.url}/quarantine/x").status == 404  # type: ignore[union-attr]


def test_what_can_be_read_by_now_is_stored(page: Page, tmp_path: Path) -> None:
    """A text was longer than the limit. With a higher one it is read again, and becomes a report
    as received when it was."""
    limit = '[limits]\nfield = "{}"\n'
    with running(tmp_path, ("serve",), limit.format("1KB")) as dlr:
        dlr.post_reports(a_report(callbackData="x" * 2_000))
    with running(tmp_path, ("serve",), limit.format("64KB")) as dlr:
        page.goto(f"{dlr.url}/quarantine/1")
        expect(page.locator("mark")).to_contain_text("xxx")
        page.get_by_role("button", name="Try again").click()

        expect(page.get_by_role("status")).to_have_text("Entry 1 was read: 1 report stored.")
        expect(page.get_by_role("heading", name="Nothing in quarantine")).to_be_visible()
        assert len(dlr.ask("GET", "/api/reports")["reports"]) == 1


def test_pages_of_a_long_list(start: Start, page: Page) -> None:
    """A hundred a page, newest first."""
    dlr = start()
    items = [{"to": str(n), "status": {"groupId": "x"}} for n in range(120)]
    dlr.ask("POST", "/notify", {"results": items})
    page.goto(f"{dlr.url}/quarantine")
    expect(page.locator("tbody tr")).to_have_count(100)
    page.get_by_role("link", name="Older entries").click()
    expect(page.locator("tbody tr")).to_have_count(20)
    expect(page.get_by_role("link", name="Older entries")).to_have_count(0)


def test_hostile_bodies_on_a_phone_without_scripts(
    start: Start, open_page: Callable[..., Page]
) -> None:
    """Markup, marks of direction, control characters and bytes that are no text do nothing, and
    break no layout; everything works without scripts."""
    page = open_page(java_script_enabled=False, viewport={"width": 390, "height": 800})
    dlr = start()
    callback(dlr, HOSTILE)
    callback(dlr, bytes(range(256)) * 40)
    callback(dlr, HOSTILE, 'text/html; charset="><script>alert(1)</script>')
    callback(dlr, b"")
    for path in ("", "/1", "/2", "/3", "/4"):
        page.goto(f"{dlr.url}/quarantine{path}")
        assert page.title().startswith("Quarantine")
        assert "\u202e" not in page.content()
        assert "\x1b" not in page.content()
        assert page.locator("main script, main img").count() == 0
        assert len(page.content()) < 100_000
    page.goto(f"{dlr.url}/quarantine/2")
    expect(page.get_by_text("It is not text")).to_be_visible()
    page.get_by_text("Dismiss this entry").click()
    page.get_by_role("button", name="Dismiss entry 2").click()
    expect(page.get_by_role("status")).to_contain_text("Entry 2 and its bytes were deleted")


def test_a_phone_shows_it_without_scrolling_sideways(
    start: Start, open_page: Callable[..., Page]
) -> None:
    """390 px are enough, whatever the body is; nothing that axe finds is wrong."""
    page = open_page(viewport={"width": 390, "height": 800})
    dlr = start()
    callback(dlr, HOSTILE)
    callback(dlr, bytes(range(256)) * 40)
    for path in ("", "/1", "/2"):
        page.goto(f"{dlr.url}/quarantine{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert findings(page) == []


def test_whoever_may_only_read_sees_no_button(start: Start, page: Page) -> None:
    """The entry is shown, and can be downloaded; the server refuses the rest."""
    dlr = start(config=TOKENS)
    callback(dlr, NO_NUMBER)
    sign_in(page, f"{dlr.url}/quarantine/1", READ)
    expect(page.locator("mark")).to_be_visible()
    expect(page.get_by_role("link", name="Download")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    expect(page.get_by_text("Dismiss this entry")).to_have_count(0)
    token = page.locator("input[name=form_token]").first.input_value()
    for change in ("retry", "dismiss"):
        refused = page.request.post(f"{dlr.url}/quarantine/1/{change}", form={"form_token": token})
        assert refused.status == 403
    assert dlr.ask("GET", "/api/quarantine/1", token=OPERATE)["id"] == 1


def test_masked_numbers_are_masked_in_bodies_too(start: Start, page: Page) -> None:
    """In what is quoted of a body, and in the body; the download is not offered here."""
    dlr = start(config="[web]\nmask_numbers = true\n")
    callback(dlr, NO_NUMBER)
    callback(dlr, b"\xff41793026727")
    for path in ("", "/1", "/2"):
        page.goto(f"{dlr.url}/quarantine{path}")
        assert "41793026727" not in page.content()
    page.goto(f"{dlr.url}/quarantine/1")
    expect(page.locator("pre.body")).to_contain_text("4179*****27")
    expect(page.get_by_role("link", name="Download")).to_have_count(0)
