"""The page "Simulate": a scenario chosen, written, made of one's own traffic, and its answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from tests.web.axe import findings
from tests.web.processes import Dlr
from tests.web.reports import a_report

Start = Callable[..., Dlr]


def test_a_scenario_of_the_gallery_is_played_and_compared(start: Start, page: Page) -> None:
    """Its answer is that of `dlr simulate`, with plots; other schedules stand beside it."""
    page.goto(f"{start().url}/simulate")
    page.get_by_role("link", name="refuses connections for three hours").click()

    expect(page.get_by_text("270 of 2,160 reports were late")).to_be_visible()
    expect(page.get_by_role("img")).to_have_count(2)
    page.get_by_label("svix").check()
    page.get_by_role("button", name="Simulate").last.click()
    expect(page.get_by_role("img", name="Waiting reports, by schedule")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^lateness max"))).to_contain_text("8h27m53s")
    assert findings(page) == []


def test_a_wrong_scenario_says_where_and_keeps_what_was_typed(start: Start, page: Page) -> None:
    """Each fault is named as in the file; what was written is still there."""
    page.goto(f"{start().url}/simulate")
    page.get_by_label("Scenario (TOML)").fill('duration = "soon"\nfoo = 1')
    page.get_by_role("button", name="Simulate").last.click()

    expect(page.get_by_role("alert")).to_contain_text("duration: expected a duration")
    expect(page.get_by_role("alert")).to_contain_text("foo: there is no such setting")
    expect(page.get_by_label("Scenario (TOML)")).to_have_value('duration = "soon"\nfoo = 1')
    assert findings(page) == []


def test_a_scenario_reads_no_file_of_the_machine(start: Start, page: Page) -> None:
    """Whoever may look at pages must not have files read by them."""
    page.goto(f"{start().url}/simulate")
    text = '[arrivals]\nkind = "replayed"\nfile = "/etc/passwd"'
    page.get_by_label("Scenario (TOML)").fill(text)
    page.get_by_role("button", name="Simulate").last.click()

    expect(page.get_by_role("alert")).to_contain_text("on the command line")
    expect(page.get_by_text("root:")).to_have_count(0)


def test_what_if_an_endpoint_is_down(start: Start, open_page: Callable[..., Page]) -> None:
    """Of an endpoint, an outage and a day a scenario is made that can be changed; without scripts
    too, and on a phone."""
    dlr = start(config='[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:9/dlr"\nwindow = 3\n')
    dlr.post_reports(*(a_report(f"m-{number}") for number in range(50)))
    page = open_page(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page.goto(f"{dlr.url}/simulate")
    page.get_by_label("with the traffic of").fill(f"{datetime.now(UTC):%Y-%m-%d}")
    page.get_by_label("Down from").fill("00:00")
    page.get_by_label("until").fill("23:59")
    page.get_by_role("button", name="Simulate").first.click()

    expect(page.get_by_role("heading", name="acme is down for 23h59m")).to_be_visible()
    expect(page.get_by_label("Scenario (TOML)")).to_have_value(re.compile("window = 3"))
    expect(page.get_by_text("50 of 50 reports were late")).to_be_visible()


def test_a_day_without_reports_is_told(start: Start, page: Page) -> None:
    """An empty day would make an answer that means nothing."""
    dlr = start(config='[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:9/dlr"\n')
    page.goto(f"{dlr.url}/simulate")
    page.get_by_role("button", name="Simulate").first.click()

    expect(page.get_by_role("alert")).to_contain_text("no report arrived on")
