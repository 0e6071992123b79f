"""A message over time, and the list of messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from tests.web.axe import findings
from tests.web.processes import Dlr, customer
from tests.web.reports import a_report

Start = Callable[..., Dlr]

PENDING = {"groupId": 1, "groupName": "PENDING", "id": 7, "name": "PENDING_ENROUTE"}

TWO_SOURCES = """
[[source]]
name = "alpha"
[[source]]
name = "beta"
"""


def test_a_message_over_time(start: Start, page: Page) -> None:
    """Reports, dispatches and attempts in order, duplicates marked, and the schedule ahead, which
    counts down."""
    with customer() as acme:
        acme.status = 503
        dlr = start(config=f'[[endpoint]]\nname = "acme"\nurl = "{acme.url}"')
        page.goto(dlr.url)
        dlr.post_reports(a_report("m-1", status=PENDING, error=None))
        dlr.post_reports(a_report("m-1"))
        dlr.post_reports(a_report("m-1"))
        expect(page.locator("#rows > tr")).to_have_count(2)
        page.goto(f"{dlr.url}/messages/m-1")
        expect(page.locator("ol.timeline")).to_contain_text("PENDING_ENROUTE, intermediate")
        while page.get_by_text("Next attempt to acme").count() == 0:
            page.reload()

    line = page.locator("ol.timeline")
    expect(line).to_contain_text("This is the state of the message now.")
    expect(line).to_contain_text("Duplicates: it came in 2 times.")
    expect(line).to_contain_text("Attempt 1 to acme: 503, failed")
    ahead = line.locator("li.ahead").first
    expect(ahead).to_contain_text(re.compile(r"Next attempt to acme in \d+ s: attempt 2 of 21"))
    expect(ahead).to_contain_text("the last one in 1 d 17 h")
    expect(page.locator("#over-time")).to_have_attribute("data-refresh", "10000")
    before = ahead.locator("time").first.inner_text()
    expect(ahead.locator("time").first).not_to_have_text(before)
    assert findings(page) == []


@pytest.mark.parametrize("message_id", ["a\nb", "a/b//c", "../x", "😀 ?#%2F", "a;b=c&d+e"])
def test_any_message_id_has_its_page(start: Start, page: Page, message_id: str) -> None:
    """With a newline, a slash or an emoji in it: the page is there, from the list and from the
    report, and so is the answer of the API."""
    dlr = start()
    dlr.post_reports(a_report(message_id))
    page.goto(f"{dlr.url}/messages")
    page.locator("tbody a").click()
    expect(page.get_by_text("This is the state of the message now.")).to_be_visible()
    page.goto(f"{dlr.url}/reports/1")
    page.get_by_role("link", name="Message over time").click()
    expect(page.get_by_text("This is the state of the message now.")).to_be_visible()

    found = dlr.ask("GET", f"/api/messages/{quote(message_id, safe='')}")
    assert found["messageId"] == message_id


def test_two_sources_have_it(start: Start, page: Page) -> None:
    """Then they are two messages, and the page lists them to choose."""
    dlr = start(config=TWO_SOURCES)
    dlr.post_reports(a_report("m-1"), source="alpha")
    dlr.post_reports(a_report("m-1", status=PENDING, error=None), source="beta")

    page.goto(f"{dlr.url}/messages/m-1")
    assert findings(page) == []
    page.get_by_role("link", name="beta").click()

    expect(page).to_have_url(re.compile(r"/messages/m-1\?source=beta$"))
    expect(page.locator("ol.timeline")).to_contain_text("PENDING_ENROUTE")


def test_the_list_of_messages(start: Start, open_page: Callable[..., Page]) -> None:
    """Each with its state now, filtered by finality, status and source; without scripts too."""
    dlr = start(config=TWO_SOURCES)
    page = open_page()
    page.goto(f"{dlr.url}/messages")
    expect(page.get_by_role("heading", name="No message")).to_be_visible()
    assert findings(page) == []
    dlr.post_reports(a_report("m-1", status=PENDING, error=None), a_report("m-1"), source="alpha")
    dlr.post_reports(a_report("m-2", status=PENDING, error=None), source="beta")

    plain = open_page(java_script_enabled=False)
    plain.goto(f"{dlr.url}/messages")
    expect(plain.locator("tbody tr")).to_have_count(2)
    plain.get_by_label("State").select_option("final")
    plain.get_by_label("Source").select_option("alpha")
    plain.get_by_role("button", name="Show").click()
    expect(plain.locator("tbody tr")).to_have_count(1)
    expect(plain.locator("tbody tr")).to_contain_text("DELIVERED final")
    plain.get_by_role("link", name="m-1").click()
    expect(plain.get_by_role("heading", name="Message m-1")).to_be_visible()
    page.reload()
    assert findings(page) == []


def test_xml_as_it_came(start: Start, page: Page) -> None:
    """A report in XML is shown in XML, with its command for curl; a report that is not there says
    what may have become of it."""
    dlr = start()
    item = (
        "<result><messageId>x-1</messageId><callbackData>a &lt; b</callbackData>"
        "<status><groupId>3</groupId><id>5</id></status></result>"
    )
    body = f"<reportResponse><results>{item}</results></reportResponse>".encode()
    urlopen(Request(f"{dlr.url}/notify", body, {"Content-Type": "application/xml"})).close()

    page.goto(f"{dlr.url}/reports/1")
    shown = page.locator("pre").first
    expect(shown).to_contain_text("  <callbackData>a &lt; b</callbackData>")
    page.get_by_text("As curl").click()
    expect(page.locator("pre.command")).to_contain_text(f"{dlr.url}/notify/default")
    assert findings(page) == []
    page.goto(f"{dlr.url}/reports/99")
    expect(page.get_by_text("There is no report 99")).to_be_visible()
