"""The inbox: reports as they arrive, searched by words, and a report beside the list."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

from playwright.sync_api import Locator, Page, expect

from tests.benchmarks.stock import fill_reports
from tests.web.axe import findings
from tests.web.processes import Dlr, running
from tests.web.reports import a_report, undelivered

Start = Callable[..., Dlr]

SOURCES = """
[[source]]
name = "alpha"
[[source]]
name = "beta"
"""

EXPIRED = {"groupId": 4, "groupName": "EXPIRED", "id": 15, "name": "EXPIRED_EXPIRED"}

HOSTILE = (
    "<img src=x onerror=\"document.title='broken'\"></td></table><script>document.title='broken'"
    "</script>\u202e\x1b[31m'\"&amp;{{ 7 * 7 }}" + "x" * 3000
)


def rows(page: Page) -> Locator:
    return page.locator("#rows > tr")


def is_live(page: Page) -> None:
    """The script has come so far that it follows."""
    expect(page.locator("#live")).to_be_visible()


def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_the_first_visit(start: Start, page: Page) -> None:
    """A fresh database, nothing configured: the inbox shows the command that posts a first report,
    and shows that report within two seconds after it was posted."""
    page.goto(start().url)
    is_live(page)
    assert findings(page) == []
    command = page.locator("pre.command").inner_text()

    curl, _, body, url = shlex.split(command)
    assert curl == "curl"
    request = Request(url, body.encode(), {"Content-Type": "application/json"})
    with urlopen(request) as response:
        assert json.loads(response.read())["stored"] == 1

    expect(rows(page)).to_have_count(1, timeout=2_000)
    expect(rows(page).first).to_contain_text("DELIVERED final")
    expect(rows(page).first).to_contain_text("41793026727")
    expect(page.locator("#nothing")).to_have_count(0)


def test_reports_appear_as_they_arrive(start: Start, page: Page) -> None:
    """Newest first, without a reload, and a search gets only what it asks for."""
    dlr = start()
    dlr.post_reports(a_report("m-1"))
    page.goto(f"{dlr.url}/?q=status:undeliverable,delivered")
    is_live(page)

    dlr.post_reports(undelivered("m-2"), a_report("m-3", status=EXPIRED))

    expect(rows(page)).to_have_count(2)
    expect(rows(page).first).to_contain_text("UNDELIVERABLE final")
    expect(rows(page).first).to_contain_text("EC_ABSENT_SUBSCRIBER")
    assert findings(page) == []


def test_it_polls_where_the_stream_has_no_place(start: Start, page: Page) -> None:
    """The stream is full: the page asks for new rows every quarter of a minute."""
    dlr = start(config="[server]\nevent_readers = 0")
    page.clock.install()
    with page.expect_response("**/api/events?**") as refused:
        page.goto(dlr.url)
    assert refused.value.status == 503
    dlr.post_reports(a_report("m-1"))

    for _ in range(2):
        page.clock.run_for(20_000)

    expect(rows(page)).to_have_count(1)


def test_nothing_jumps_while_somebody_reads(start: Start, page: Page) -> None:
    """While it is paused, or a row is chosen, new reports are counted and not inserted."""
    dlr = start()
    dlr.post_reports(a_report("m-1"))
    page.goto(dlr.url)
    is_live(page)

    page.get_by_role("button", name="Pause").click()
    dlr.post_reports(a_report("m-2"), a_report("m-3"))
    expect(page.get_by_role("button", name="2 new")).to_be_visible()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Resume").click()
    expect(rows(page)).to_have_count(3)

    page.keyboard.press("j")
    dlr.post_reports(a_report("m-4"))
    page.get_by_role("button", name="1 new").click()

    expect(rows(page)).to_have_count(4)
    expect(rows(page).first).to_contain_text("m-4")


def test_searching(start: Start, page: Page) -> None:
    """The URL is the search. What can be typed is offered, and what cannot be used is explained."""
    dlr = start(config=SOURCES)
    dlr.post_reports(a_report("m-1", callbackData="order 7"), undelivered("m-2"), source="alpha")
    dlr.post_reports(a_report("m-3", status=EXPIRED), source="beta")
    page.goto(dlr.url)

    page.keyboard.press("/")
    page.keyboard.type("sta")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("exp")
    expect(page.get_by_role("option").first).to_have_text("EXPIRED")
    assert findings(page) == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=status%3AEXPIRED"))
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("EXPIRED final")

    page.get_by_label("Search reports").fill("ORDER 7")
    page.get_by_role("button", name="Search").click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("m-1")

    page.get_by_label("Search reports").fill("colour:red")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_contain_text('unknown search word "colour:"')
    expect(page.get_by_label("Search reports")).to_have_value("colour:red")
    assert findings(page) == []
    page.goto(f"{dlr.url}/?q=nothing+has+this")
    expect(page.get_by_text("No report found")).to_be_visible()


def test_the_source_is_remembered(start: Start, page: Page) -> None:
    """By the next page too, until another one is chosen; live reports are those of the source."""
    dlr = start(config=SOURCES)
    dlr.post_reports(a_report("m-1"), source="alpha")
    dlr.post_reports(a_report("m-2"), source="beta")
    page.goto(dlr.url)
    expect(rows(page)).to_have_count(2)

    page.get_by_label("Source").select_option("beta")
    expect(rows(page)).to_have_count(1)
    page.goto(dlr.url)
    expect(rows(page)).to_contain_text("m-2")
    is_live(page)
    dlr.post_reports(a_report("m-3"), source="alpha")
    dlr.post_reports(a_report("m-4"), source="beta")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first).to_contain_text("m-4")


def test_a_report_beside_the_list_by_keyboard(start: Start, page: Page) -> None:
    """j and Enter open it, Esc closes it. It says what the status means and where it went."""
    dlr = start(config='[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:9/"\nreports = "none"')
    dlr.post_reports(undelivered("m-1", callbackData="order 7"), a_report("m-2"))
    page.goto(dlr.url)

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    beside = page.get_by_role("complementary", name="The report that is open")
    expect(beside).to_contain_text("The message did not reach the recipient.")
    expect(beside).to_contain_text("Phone off, unreachable or out of coverage.")
    expect(beside).to_contain_text('reports = "none": it takes only what is replayed to it')
    expect(beside.locator("pre").first).to_contain_text('"messageId": "m-1"')
    expect(page).to_have_url(re.compile(r"/\?report=1$"))
    assert findings(page) == []
    page.reload()
    expect(beside).to_contain_text("Report 1")

    page.keyboard.press("Escape")
    expect(beside).to_be_hidden()
    expect(page).to_have_url(re.compile(r":\d+/$"))


def test_without_scripts(start: Start, open_page: Callable[..., Page]) -> None:
    """Searching, paging, a report beside the list and its file work as links and forms."""
    dlr = start()
    dlr.post_reports(*(a_report(f"m-{number}") for number in range(120)))
    page = open_page(java_script_enabled=False)
    page.goto(dlr.url)
    expect(rows(page)).to_have_count(50)

    page.get_by_role("link", name="Older").click()
    expect(rows(page).first).to_contain_text("m-69")
    page.get_by_role("link", name="Older").click()
    expect(rows(page)).to_have_count(20)
    page.get_by_role("link", name="Newer").click()
    expect(rows(page).first).to_contain_text("m-69")
    page.get_by_role("link", name="Newer").click()
    expect(rows(page).first).to_contain_text("m-119")
    page.get_by_text("What can be typed").click()
    expect(page.get_by_text("status:EXPIRED,REJECTED")).to_be_visible()

    page.get_by_label("Search reports").fill("message:m-7")
    page.get_by_role("button", name="Search").click()
    rows(page).get_by_role("link").click()
    expect(page.get_by_role("heading", name="Report 8")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert json.loads(download.value.path().read_text())["messageId"] == "m-7"
    page.get_by_role("link", name="Close").click()
    expect(page.get_by_role("heading", name="Report 8")).to_have_count(0)
    expect(page.get_by_label("Search reports")).to_have_value("message:m-7")


def test_hostile_content_stays_text(start: Start, page: Page) -> None:
    """Nothing of it runs, steers or breaks the layout: in the list, live, beside it, and alone."""
    dlr = start()
    page.goto(dlr.url)
    is_live(page)
    dlr.post_reports(a_report(HOSTILE[:200], callbackData=HOSTILE, sender=HOSTILE[:100]))

    expect(rows(page)).to_have_count(1)
    assert fits(page)
    page.goto(f"{dlr.url}/?report=1")
    expect(page.locator("#report")).to_contain_text("\\u202e\\x1b[31m")
    expect(page.locator("#report")).to_contain_text("{{ 7 * 7 }}")
    assert fits(page)
    assert findings(page) == []
    for path in ("/reports/1", "/messages", f"/messages?messageId={quote(HOSTILE[:200])}"):
        page.goto(dlr.url + path)
        expect(page.get_by_text("<img src=x").first).to_be_attached()
        assert fits(page)
    page.goto(f"{dlr.url}/?q={quote(HOSTILE[:300])}")
    expect(rows(page)).to_have_count(1)
    assert page.locator("img").count() == 0
    assert "\u202e" not in page.locator("main").inner_text()
    expect(page).not_to_have_title("broken")


def test_a_hundred_thousand_reports(tmp_path: Path, page: Page) -> None:
    """The inbox, its pages and its searches work, also one that finds nothing: each of its pages is
    shown after half a second, and a link goes on to the end."""
    with ThreadPoolExecutor() as pool:  # this thread has the browser's event loop
        pool.submit(fill_reports, tmp_path / "dlr.db", 100_000).result()
    with running(tmp_path, ("serve",), "") as dlr:
        dlr.post_reports(undelivered("m-1", callbackData="needle 1"))
        page.goto(dlr.url)
        expect(rows(page)).to_have_count(50)
        expect(rows(page).first).to_contain_text("UNDELIVERABLE")
        page.get_by_role("link", name="Older").click()
        expect(rows(page)).to_have_count(50)

        found = {"status:undeliverable": 1, "to:+4179 is:final": 50, "needle": 1}
        for search, count in found.items():
            page.goto(f"{dlr.url}/?q={quote(search)}")
            expect(rows(page)).to_have_count(count)
        page.goto(f"{dlr.url}/?q=nothing+has+this")
        older = page.get_by_role("link", name="Search older reports")
        while older.count():
            expect(page.get_by_text("Nothing found so far")).to_be_visible()
            older.click()
        expect(page.get_by_text("No report found")).to_be_visible()


def test_on_a_phone(start: Start, open_page: Callable[..., Page]) -> None:
    """Nothing is scrolled sideways, and a report takes the place of the list."""
    german = '[[endpoint]]\nname = "de"\nurl = "http://127.0.0.1:9/"\nto_prefixes = ["+49"]'
    dlr = start(config=f"[web]\nmask_numbers = true\n{german}")
    dlr.post_reports(a_report("2250be2d4219-3af1-78856-aabe-1362af1edfd2"), undelivered("m-2"))
    page = open_page(viewport={"width": 390, "height": 800}, color_scheme="dark")

    for path in ("/", "/?report=1", "/reports/1", "/messages", "/messages/m-2"):
        page.goto(dlr.url + path)
        expect(page.get_by_role("main")).to_be_visible()
        assert fits(page), path
        assert findings(page) == [], path
        assert "41793026727" not in page.content(), path
    page.goto(dlr.url)
    rows(page).first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Report 2")).to_be_visible()
    expect(rows(page).first).to_be_hidden()
