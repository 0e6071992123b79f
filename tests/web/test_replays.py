"""Replays on the pages: chosen by filter, counted, sent on their way, watched, cancelled."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.web.axe import findings
from tests.web.processes import Customer, Dlr, customer
from tests.web.reports import a_report, undelivered
from tests.web.test_frame import OPERATE, READ, TOKENS, sign_in

Start = Callable[..., Dlr]


def with_endpoint(url: str, *, waits: str = "1h", retries: int = 0) -> str:
    """Settings with the endpoint acme, which gives up after so many retries."""
    return f"""
[schedule]
preset = "custom"
first = "{waits}"
step = "0s"
retries = {retries}
[outgoing]
allowed_networks = ["127.0.0.0/8"]
[[endpoint]]
name = "acme"
url = "{url}"
"""


def exhausted(start: Start, acme: Customer, more: str = "", count: int = 3) -> Dlr:
    """A process whose endpoint acme has refused these reports for good."""
    acme.status = 503
    dlr = start(config=with_endpoint(acme.url) + more)
    dlr.post_reports(*(undelivered(f"m-{n}") for n in range(1, count + 1)))
    pushed(dlr, "exhausted")
    return dlr


def pushed(dlr: Dlr, state: str, count: int = 1, token: str | None = None) -> None:
    """Waits until so many dispatches are in this state."""
    path = f"/api/dispatches?state={state}"
    dlr.until(path, lambda answered: len(answered["dispatches"]) >= count, token)


def test_the_wizard_from_filter_to_end(start: Start, page: Page) -> None:
    """A customer that failed works again: what it missed is chosen, counted and brought."""
    with customer() as acme:
        dlr = exhausted(start, acme)
        page.goto(f"{dlr.url}/replays")
        expect(page.get_by_role("heading", name="No replay yet")).to_be_visible()
        assert findings(page) == []

        acme.status = 200
        page.get_by_role("link", name="New replay").click()
        page.get_by_label("Endpoint", exact=False).first.fill("acme")
        page.get_by_label("State").select_option("exhausted")
        page.get_by_role("button", name="Show what matches").click()
        expect(page.locator("#matches + p")).to_contain_text("3 pushes")
        expect(page.get_by_role("cell", name="m-1")).to_be_visible()
        assert findings(page) == []
        page.get_by_role("button", name="Start the replay").click()

        expect(page.get_by_role("status")).to_have_text("Replay 1 has started: 3 reports.")
        expect(page.get_by_text("Everything was pushed.")).to_be_visible()
        expect(page.get_by_text("3 of 3")).to_be_visible()
        assert findings(page) == []
    page.get_by_role("link", name="All replays").click()
    expect(page.get_by_role("cell", name="done")).to_be_visible()
    assert findings(page) == []


def test_what_could_not_be_brought_and_why(start: Start, page: Page) -> None:
    """An endpoint that still fails: the page says what was not brought, and what was answered."""
    with customer() as acme:
        dlr = exhausted(start, acme)
        dlr.ask("POST", "/api/replays", {"state": "exhausted"})
        pushed(dlr, "exhausted", 2)

        page.goto(f"{dlr.url}/replays/1")

        expect(page.get_by_text("Not everything could be pushed.")).to_be_visible()
        expect(page.get_by_role("heading", name="Could not be pushed")).to_be_visible()
        expect(page.get_by_role("cell", name="503 failed")).to_be_visible()
        links = page.locator("tbody a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
        assert any(link.startswith("/dispatches/") for link in links)
        assert "/messages/m-1" in links
        assert findings(page) == []


def test_what_failed_and_is_tried_again_is_shown_as_it_happens(start: Start, page: Page) -> None:
    """An open page follows a replay: what fails appears, with its next attempt; at the end it says
    that all was pushed."""
    with customer() as acme:
        dlr = start(config=with_endpoint(acme.url, waits="2s", retries=1_000))
        dlr.post_reports(a_report())
        pushed(dlr, "acknowledged")
        acme.status = 503
        dlr.ask("POST", "/api/replays", {"state": "acknowledged"})
        page.goto(f"{dlr.url}/replays/1")
        expect(page.get_by_role("heading", name="Failed so far")).to_be_visible()
        expect(page.get_by_role("cell", name="503 failed")).to_be_visible()
        acme.status = 200

        expect(page.get_by_text("Everything was pushed.")).to_be_visible()
        expect(page.get_by_role("heading", name="Failed so far")).to_have_count(0)


def test_a_replay_is_cancelled(start: Start, page: Page) -> None:
    """One that goes a report an hour is asked about first, and then ended."""
    with customer() as acme:
        dlr = exhausted(start, acme)
        dlr.ask("POST", "/api/replays", {"state": "exhausted", "rate": "1/h"})
        page.goto(f"{dlr.url}/replays/1")
        assert findings(page) == []

        page.get_by_text("Cancel this replay").click()
        page.get_by_role("button", name="Cancel replay 1").click()

        expect(page.get_by_role("status")).to_contain_text("Replay 1 is cancelled. 3 reports")
        expect(page.get_by_text("cancelled", exact=True).first).to_be_visible()
        expect(page.get_by_role("button", name="Cancel replay 1")).to_have_count(0)


def test_the_whole_way_without_scripts(start: Start, open_page: Callable[..., Page]) -> None:
    """With scripts off there is a link to look again; all else is the same. A link from elsewhere
    has filled in the filters."""
    page = open_page(java_script_enabled=False, viewport={"width": 390, "height": 800})
    with customer() as acme:
        dlr = exhausted(start, acme)
        page.goto(f"{dlr.url}/replays/new?endpoint=acme&state=exhausted")
        expect(page.get_by_label("State")).to_have_value("exhausted")
        page.get_by_label("at a rate").check()
        page.get_by_label("rate", exact=True).fill("1/h")
        page.get_by_role("button", name="Start the replay").click()

        expect(page.get_by_role("link", name="Reload")).to_be_visible()
        page.get_by_role("link", name="Reload").click()
        page.get_by_text("Cancel this replay").click()
        page.get_by_role("button", name="Cancel replay 1").click()
        expect(page.get_by_role("status")).to_contain_text("Replay 1 is cancelled")


def test_what_was_typed_wrongly_is_told_beside_it(start: Start, page: Page) -> None:
    """The reason stands at its field, and everything typed is still there."""
    with customer() as acme:
        dlr = exhausted(start, acme)
        page.goto(f"{dlr.url}/replays/new")
        page.get_by_label("Received from").fill("tomorow")
        page.get_by_role("checkbox", name="EXPIRED").check()
        page.get_by_role("button", name="Show what matches").click()
        expect(page.locator(".wrong")).to_contain_text('got "tomorow"')
        expect(page.get_by_label("Received from")).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label("Received from")).to_have_value("tomorow")
        expect(page.get_by_role("checkbox", name="EXPIRED")).to_be_checked()
        assert findings(page) == []

        page.goto(f"{dlr.url}/replays/new?state=exhausted")
        page.get_by_label("a URL:").check()
        page.get_by_label("URL", exact=True).fill("ftp://acme.example/dlr")
        page.get_by_role("button", name="Start the replay").click()
        expect(page.locator(".wrong")).to_contain_text("http")
        expect(page.get_by_label("URL", exact=True)).to_have_value("ftp://acme.example/dlr")
        expect(page.locator("#matches + p")).to_contain_text("3 pushes")
        assert dlr.ask("GET", "/api/replays")["replays"] == []


def test_a_url_is_judged_as_from_outside(start: Start, page: Page) -> None:
    """The address of a URL is judged when it is called: this one may not be, and the page of the
    replay says so. "Count again" counts for the chosen target."""
    with customer() as acme:
        dlr = start(config=with_endpoint(acme.url).replace('["127.0.0.0/8"]', "[]"))
        dlr.post_reports(a_report())
        pushed(dlr, "acknowledged")
        page.goto(f"{dlr.url}/replays/new?statusGroups=DELIVERED")
        page.get_by_label("a URL:").check()
        page.get_by_label("URL", exact=True).fill(acme.url)
        page.get_by_role("button", name="Count again").click()
        expect(page.get_by_role("cell", name=acme.url)).to_be_visible()
        expect(page.get_by_label("a URL:")).to_be_checked()
        page.get_by_role("button", name="Start the replay").click()

        expect(page.get_by_role("cell", name=re.compile("no answer not allowed"))).to_be_visible()
    outcomes = [each["outcome"] for each in dlr.ask("GET", "/api/audit?what=makeReplay")["items"]]
    assert outcomes == ["done", "dry run"]
    assert len(acme.got) == 1


def test_whoever_may_only_read_starts_and_ends_none(start: Start, page: Page) -> None:
    """There is no button, and the server refuses whoever asks without one."""
    with customer() as acme:
        acme.status = 503
        dlr = start(config=with_endpoint(acme.url) + TOKENS)
        dlr.post_reports(undelivered())
        pushed(dlr, "exhausted", token=READ)
        dlr.ask("POST", "/api/replays", {"state": "exhausted", "rate": "1/h"}, OPERATE)
        sign_in(page, f"{dlr.url}/replays/1", READ)
        expect(page.get_by_role("heading", name="Replay 1")).to_be_visible()
        expect(page.get_by_text("Cancel this replay")).to_have_count(0)
        token = page.locator("input[name=form_token]").first.get_attribute("value")
        refused = page.request.post(f"{dlr.url}/replays/1/cancel", form={"form_token": token or ""})
        assert refused.status == 403
        page.goto(f"{dlr.url}/replays/new?state=exhausted")
        expect(page.get_by_text("cannot start a replay")).to_be_visible()
        expect(page.get_by_role("button", name="Start the replay")).to_have_count(0)
        assert findings(page) == []
        page.goto(f"{dlr.url}/replays")
        expect(page.get_by_role("link", name="New replay")).to_have_count(0)


HOSTILE = '"><script>document.title="x"</script>\u202e\nzwei/drei?#😀'


@pytest.mark.parametrize("scripts", [True, False])
def test_hostile_message_ids_stay_what_they_are(
    start: Start, open_page: Callable[..., Page], scripts: bool
) -> None:
    """A messageId with markup, a line break and marks of direction goes through the whole wizard,
    and does nothing on the way."""
    page = open_page(java_script_enabled=scripts, viewport={"width": 390, "height": 800})
    with customer() as acme:
        acme.status = 503
        dlr = start(config=with_endpoint(acme.url))
        dlr.post_reports(undelivered(HOSTILE), undelivered("other"))
        pushed(dlr, "exhausted")
        page.goto(f"{dlr.url}/replays/new?{urlencode({'messageIds': HOSTILE})}")
        expect(page.locator("#matches + p")).to_contain_text("1 push")
        page.get_by_role("button", name="Show what matches").click()
        expect(page.locator("#matches + p")).to_contain_text("1 push")
        page.get_by_role("button", name="Start the replay").click()
        expect(page.get_by_role("heading", name="Replay 1")).to_be_visible()
        pushed(dlr, "exhausted", 2)

        assert acme.got[-1]["results"][0]["messageId"] == HOSTILE
        for path in ("/replays/1", "/replays"):
            page.goto(dlr.url + path)
            assert "dlr" in page.title()
            assert "\u202e" not in page.content()
            assert page.locator("main").bounding_box()["width"] <= 390  # type: ignore[index]


def test_a_phone_shows_it_without_scrolling_sideways(
    start: Start, open_page: Callable[..., Page]
) -> None:
    """390 px are enough for the list, the wizard and a replay."""
    page = open_page(viewport={"width": 390, "height": 800})
    with customer() as acme:
        dlr = exhausted(start, acme)
        dlr.ask("POST", "/api/replays", {"state": "exhausted"})
        pushed(dlr, "exhausted", 2)
        for path in ("/replays", "/replays/new", "/replays/new?state=exhausted", "/replays/1"):
            page.goto(dlr.url + path)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, path


def test_a_form_that_is_sent_twice_makes_one_replay(start: Start, page: Page) -> None:
    """A double click is told of and replays nothing twice; another rate is another replay."""
    with customer() as acme:
        dlr = exhausted(start, acme)
        page.goto(f"{dlr.url}/replays/new?state=exhausted")
        names = ("form_token", "filters", "once")
        form: dict[str, str | float | bool] = {
            name: page.locator(f"input[name={name}]").last.input_value() for name in names
        }
        form |= {"do": "replay", "target": "went", "pacing": "rate", "rate": "1/h"}

        for _ in range(2):
            answered = page.request.post(f"{dlr.url}/replays", form=form)
            assert answered.url == f"{dlr.url}/replays/1"
        assert "This form was sent twice. It started replay 1 only once." in answered.text()
        answered = page.request.post(f"{dlr.url}/replays", form={**form, "rate": "2/h"})
        assert answered.url == f"{dlr.url}/replays/2"
