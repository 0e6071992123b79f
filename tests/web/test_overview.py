"""The page "Overview": figures of a time, alerts that would fire; and what its address can say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from dispatcher.web.overview import DAY, HOUR, columns_of, figures_of, range_of, reports_plot
from receiver.answers import BadQuery
from receiver.api.totals import TotalsAnswer
from receiver.store.base import OutcomeCount, Totals, TotalsQuery
from receiver.store.excerpt import ReportOutcome
from tests.web.axe import findings
from tests.web.processes import Dlr
from tests.web.reports import a_report, undelivered

Start = Callable[..., Dlr]

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOSTILE = '<b onclick="x">"\u202eevil'


def test_what_came_is_shown_by_everything_that_tells_it_apart(start: Start, page: Page) -> None:
    """Counts, delivery rates, errors and cost; a sender leads to its reports in the inbox."""
    dlr = start()
    swiss = [a_report(f"d-{number}", mccMnc="22801") for number in range(3)]
    dlr.post_reports(*swiss, undelivered("u-1", mccMnc="26201", sender=HOSTILE))
    dlr.until("/api/totals", lambda told: told["total"]["reports"] == 4)
    page.goto(f"{dlr.url}/overview")

    expect(page.get_by_text("75.0%").first).to_be_visible()
    expect(page.get_by_text("0.04 EUR").first).to_be_visible()
    expect(page.get_by_role("row", name="22801")).to_contain_text("100.0%")
    expect(page.get_by_role("columnheader", name="Cost EUR").first).to_be_visible()
    expect(page.get_by_role("row", name="22801").get_by_text("0.03", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="no endpoint")).to_contain_text("75.0%")
    expect(page.get_by_role("row", name="EC_ABSENT_SUBSCRIBER")).to_contain_text("1")
    expect(page.get_by_role("img", name="Reports in each hour (UTC)")).to_be_visible()
    assert findings(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("link", name="evil").click()
    expect(page.get_by_title("EC_ABSENT_SUBSCRIBER")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_time_without_reports_says_so(start: Start, open_page: Callable[..., Page]) -> None:
    """Nothing came yet: the page says what to do, without scripts too. A wrong time is told."""
    dlr = start()
    page = open_page(java_script_enabled=False)
    page.goto(f"{dlr.url}/overview?range=week")
    expect(page.get_by_text("No report in this time")).to_be_visible()

    page.goto(f"{dlr.url}/overview?since=soon")

    expect(page.get_by_role("alert")).to_contain_text("since: expected an instant")


def test_each_alert_is_told(start: Start, page: Page) -> None:
    """The list has every alert of the API, also those that this process cannot judge."""
    dlr = start(config='[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:9/"\n')
    told = dlr.ask("GET", "/api/alerts")["alerts"]
    page.goto(f"{dlr.url}/overview")

    expect(page.get_by_text(f"All {len(told)} alerts")).to_be_visible()
    page.get_by_text(f"All {len(told)} alerts").click()
    for each in told:
        expect(page.get_by_role("cell", name=each["name"], exact=True)).to_be_visible()
    assert findings(page) == []


@pytest.mark.parametrize(
    ("said", "since", "until", "bucket"),
    [
        ({}, NOON - DAY, NOON, "hour"),
        ({"range": "hour"}, NOON - HOUR, NOON, "minute"),
        ({"range": "month"}, NOON - 30 * DAY, NOON, "day"),
        ({"since": "2026-11-21"}, NOON - timedelta(days=7.5), NOON, "hour"),
        ({"since": "2026-11-28T08:30"}, NOON - 3.5 * HOUR, NOON, "hour"),
        ({"since": "2026-10-01", "until": "2026-11-28T12:00:00Z"}, None, NOON, "day"),
    ],
)
def test_what_an_address_means(
    said: dict[str, str], since: datetime | None, until: datetime, bucket: str
) -> None:
    """A word, a date, the field of a browser, or an instant."""
    found = range_of(said, NOON)

    assert since is None or found.since == since
    assert (found.until, found.bucket) == (until, bucket)


@pytest.mark.parametrize(
    "said", [{"range": "year"}, {"since": "x"}, {"since": "2026-11-21", "until": "2026-11-20"}]
)
def test_what_an_address_cannot_mean(said: dict[str, str]) -> None:
    """The text names the field, and what was expected."""
    with pytest.raises(BadQuery, match="expected"):
        range_of(said, NOON)


def test_each_report_is_in_one_column_and_empty_hours_are_there() -> None:
    """The columns of the plot add up to all reports; an hour without any has a place."""
    start = int(NOON.timestamp())
    groups = {1: 2, 2: 3, 3: 5, 4: 7, 5: 11, 0: 13, 99: 17, None: 19}
    counted = [
        OutcomeCount(start + 3600, _outcome(group), reports) for group, reports in groups.items()
    ]
    totals = Totals(counted, [], [], 0)
    query = TotalsQuery(3600, start, start + 3 * 3600)

    columns = {each.words: each.counts for each in columns_of(TotalsAnswer.of(totals, query))}

    assert columns["delivered"] == [0, 5, 0]
    assert columns["others"] == [0, 17 + 19, 0]
    assert sum(sum(counts) for counts in columns.values()) == sum(groups.values())


def test_a_day_is_told_by_its_hours() -> None:
    """The totals of 24 hours are of 25 whole ones; five dates would tell nothing."""
    start = int(NOON.timestamp())
    totals = TotalsAnswer.of(Totals([], [], [], 0), TotalsQuery(3600, start - 25 * 3600, start))

    words = [each.words for each in reports_plot(totals, columns_of(totals)).below]

    assert words[0] == "11:00"
    assert words[-1] == "12:00"


def test_the_table_has_what_the_plot_shows() -> None:
    """Each bucket that has reports with its count in each column, which add up to its reports."""
    start = int(NOON.timestamp())
    counted = [
        OutcomeCount(start, _outcome(3), 2),
        OutcomeCount(start + 7200, _outcome(1), 3),
        OutcomeCount(start + 7200, _outcome(4), 5),
    ]
    query = TotalsQuery(3600, start, start + 3 * 3600)
    totals = TotalsAnswer.of(Totals(counted, [], [], 0), query)

    figures = figures_of(totals, columns_of(totals))

    assert [counts for _, counts in figures] == [[2, 0, 0], [0, 3, 5]]
    assert [each.reports for each, _ in figures] == [2, 8]


def test_another_source_keeps_the_time(start: Start, open_page: Callable[..., Page]) -> None:
    """The form carries the range that was chosen by a link."""
    dlr = start(config='[[source]]\nname = "alpha"\n[[source]]\nname = "beta"\n')
    page = open_page(java_script_enabled=False)
    page.goto(f"{dlr.url}/overview?range=week")

    page.get_by_label("Source").select_option("beta")
    page.get_by_role("button", name="Show").click()

    expect(page.get_by_label("Source")).to_have_value("beta")
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "page")


def _outcome(group: int | None) -> ReportOutcome:
    return ReportOutcome(group == 3, group, None, None, None, None, None, None)
