"""Pushes: every dispatch with its last attempt, and one with what was sent and answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from dispatcher.api.dispatch_request import PushRequest
from dispatcher.web.pushes import as_curl
from tests.web.axe import findings
from tests.web.processes import Dlr, customer
from tests.web.reports import a_report
from tests.web.test_frame import READ, TOKENS, sign_in

Start = Callable[..., Dlr]

HOSTILE = "<script>document.title='caught'</script>\u202egnp.exe\x1b[31m" + "A" * 1_024


def an_endpoint(name: str, url: str, more: str = "") -> str:
    return f'[[endpoint]]\nname = "{name}"\nurl = "{url}"\n{more}\n'


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


# --- pure --------------------------------------------------------------------------------------


def test_a_command_quotes_what_is_in_it() -> None:
    """Neither a header nor a body can end the quotes of the shell."""
    request = PushRequest("http://a.example/x?…", {"X": "it's"}, b"{}")

    assert as_curl(request, "a'; rm b") == (
        """curl \\\n  -H 'X: it'"'"'s' \\\n  --data-binary 'a'"'"'; rm b' \\\n  'http://a.example/x?…'"""
    )
    assert "--data-binary @body" in as_curl(request, None)


# --- in the browser ----------------------------------------------------------------------------


def test_a_failed_push_is_found_understood_and_made_now(start: Start, page: Page) -> None:
    """The filter by status class finds the push that failed. Its page tells what the customer
    answered and when the next attempt is. "Retry now" brings the report at once."""
    with customer() as acme, customer() as globex:
        globex.status, globex.answer = 500, "no room"
        dlr = start(config=an_endpoint("acme", acme.url) + an_endpoint("globex", globex.url))
        dlr.post_reports(a_report("m-1"))
        dlr.until_pushed(2)
        page.goto(f"{dlr.url}/dispatches")
        expect(page.get_by_role("row")).to_have_count(3)

        page.get_by_label("Status class").select_option("5xx")
        page.get_by_role("button", name="Filter").click()
        expect(page).to_have_url(re.compile("statusClass=5xx"))
        expect(page.get_by_role("row")).to_have_count(2)
        assert findings(page) == []
        page.locator("tbody a").first.click()

        expect(page.get_by_text("no room")).to_be_visible()
        expect(page.get_by_text("number 21")).to_be_visible()
        expect(page.get_by_text(re.compile(r"^in \d+ s$")).first).to_be_visible()
        assert findings(page) == []
        dlr.ask("POST", f"/api{urlsplit(page.url).path}/retry")  # by a colleague
        # The page tells of a change while the attempt is still under way, too: if its stream of
        # events opens just then. Only the next page has what was answered.
        dlr.until_pushed(3)
        page.get_by_text("This dispatch has changed. Show it").click()
        expect(page.get_by_text("no room")).to_have_count(2)
        globex.status = 200
        page.get_by_role("button", name="Retry now").click()

        expect(page.get_by_text("It is due now")).to_be_visible()
        dlr.until_pushed(4)
        page.reload()
        expect(page.get_by_role("button", name="Push again")).to_be_visible()
        assert len(globex.got) == 3


def test_what_succeeded_is_pushed_again(start: Start, page: Page) -> None:
    """It leads to the dispatches of the replay, and the customer gets the report a second time."""
    with customer() as acme:
        dlr = start(config=an_endpoint("acme", acme.url))
        dlr.post_reports(a_report("m/1 #?"))
        dlr.until_pushed(1)
        page.goto(f"{dlr.url}/dispatches")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.locator("tbody a").first.click()
        expect(page.get_by_text("rebuilt from the reports")).to_be_visible()

        page.get_by_role("button", name="Push again").click()

        expect(page).to_have_url(re.compile(r"/dispatches\?replay=1"))
        dlr.until_pushed(2)
        page.reload()
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody")).to_contain_text("m/1 #?")
        assert [each["results"][0]["messageId"] for each in acme.got] == ["m/1 #?"] * 2


def test_newer_pushes_are_counted_and_nothing_jumps(start: Start, page: Page) -> None:
    """While somebody reads the list, what comes is counted above it."""
    with customer() as acme:
        dlr = start(config=an_endpoint("acme", acme.url))
        dlr.post_reports(a_report("m-1"))
        dlr.until_pushed(1)
        page.goto(f"{dlr.url}/dispatches?endpoint=acme")
        expect(page.locator("tbody tr")).to_have_count(1)

        dlr.post_reports(a_report("m-2"))

        expect(page.get_by_text("1 newer: show")).to_be_visible()
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_text("1 newer: show").click()
        expect(page.locator("tbody tr")).to_have_count(2)


@pytest.mark.parametrize("width", [390, 1280])
def test_what_a_customer_answers_runs_nowhere(
    start: Start, open_page: Callable[..., Page], width: int
) -> None:
    """A script, marks of direction, and a kilobyte without a blank are shown as they are, and break
    no layout."""
    with customer() as acme:
        acme.status, acme.answer = 503, HOSTILE
        dlr = start(config=an_endpoint("acme", acme.url))
        dlr.post_reports(a_report("\u202em<b>", callbackData=HOSTILE, to="<i>"))
        dlr.until_pushed(1)
        page = open_page(viewport={"width": width, "height": 800})
        page.goto(f"{dlr.url}/dispatches")
        expect(page.locator("tbody tr")).to_have_count(1)
        assert fits(page)

        page.locator("tbody a").first.click()

        expect(page.get_by_text(r"\u202egnp.exe\x1b[31m").first).to_be_visible()
        assert fits(page)
        assert findings(page) == []
        expect(page).not_to_have_title("caught")


def test_without_scripts_a_waiting_push_is_cancelled(
    start: Start, open_page: Callable[..., Page]
) -> None:
    """Filter, page and button are HTML."""
    with customer() as acme:
        acme.status = 500
        dlr = start(config=an_endpoint("acme", acme.url))
        dlr.post_reports(a_report("m-1"), a_report("m-2"))
        dlr.until_pushed(1)
        page = open_page(java_script_enabled=False)
        page.goto(f"{dlr.url}/dispatches")
        page.get_by_label("Message ID").fill("m-1")
        page.get_by_role("button", name="Filter").click()
        page.locator("tbody a").first.click()

        page.get_by_role("button", name="Cancel").click()

        expect(page.get_by_text("Cancelled.")).to_be_visible()
        expect(page.get_by_role("button", name="Push again")).to_be_visible()


def test_who_may_only_read_sees_no_button(start: Start, page: Page) -> None:
    """The scope `read` shows all, offers nothing that changes, and the server refuses it too."""
    with customer() as acme:
        acme.status = 500
        dlr = start(config=TOKENS + an_endpoint("acme", acme.url))
        dlr.token = READ
        dlr.post_reports(a_report("m-1"))
        dlr.until_pushed(1)
        sign_in(page, f"{dlr.url}/dispatches", READ)
        page.locator("tbody a").first.click()

        expect(page.get_by_role("heading", name="Attempts")).to_be_visible()
        expect(page.locator("main form")).to_have_count(0)
        token = page.locator("input[name=form_token]").first.get_attribute("value")
        refused = page.request.post(f"{page.url}/cancel", form={"form_token": token or ""})
        assert refused.status == 403


def test_masked_numbers_are_masked_in_what_was_sent(start: Start, page: Page) -> None:
    """With `web.mask_numbers` neither the body nor what a customer echoes shows a recipient, and
    the body cannot be downloaded."""
    with customer() as acme:
        acme.status, acme.answer = 500, "no such recipient: 41793026727"
        dlr = start(config="[web]\nmask_numbers = true\n" + an_endpoint("acme", acme.url))
        dlr.post_reports(a_report("m-1"))
        dlr.until_pushed(1)
        page.goto(f"{dlr.url}/dispatches")
        page.locator("tbody a").first.click()

        expect(page.get_by_text("no such recipient")).to_be_visible()
        assert "41793026727" not in page.content()
        assert page.request.get(f"{page.url}/body").status == 403


def test_no_page_shows_a_secret(start: Start, page: Page) -> None:
    """Headers, signatures and the query of a URL are named, and their values are not there."""
    with customer() as acme:
        acme.status = 500
        more = '''headers = { X-Api-Key = "never-shown-1" }
[endpoint.security]
type = "header"
header = "X-Proof"
value = "never-shown-2"'''
        dlr = start(config=an_endpoint("acme", f"{acme.url}?token=never-shown-3", more))
        dlr.post_reports(a_report("m-1"))
        dlr.until_pushed(1)
        (dispatch,) = dlr.ask("GET", "/api/dispatches")["dispatches"]

        for path in (f"dispatches/{dispatch['id']}", "endpoints/acme", "endpoints/acme/settings"):
            page.goto(f"{dlr.url}/{path}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert "never-shown" not in page.content(), path
        page.goto(f"{dlr.url}/dispatches/{dispatch['id']}")
        page.get_by_text("As curl").click()
        expect(page.locator("pre.command")).to_contain_text("-H 'X-Proof: …'")


def test_a_wrong_filter_is_told_beside_its_field(start: Start, page: Page) -> None:
    """What was typed stays, with the reason beside it. Without pushes the page says what to do."""
    dlr = start()
    page.goto(f"{dlr.url}/dispatches")
    expect(page.get_by_role("link", name="Add an endpoint")).to_be_visible()
    assert findings(page) == []

    page.get_by_text("Times, replay, source").click()
    page.get_by_label("Created since").fill("yesterday")
    page.get_by_role("button", name="Filter").click()

    expect(page.get_by_text("expected an instant such as")).to_be_visible()
    expect(page.get_by_label("Created since")).to_have_value("yesterday")
    assert findings(page) == []
