"""Totals as the API shows them, against an oracle that decodes every report and adds up itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from receiver.answers import BadQuery
from receiver.api.filters import AskedTotals, asked_totals, totals_query
from receiver.api.totals import PERCENTS, TotalsAnswer, totals_answer
from receiver.dlr.statuses import GROUP_NAMES
from receiver.store.base import ReportStore, TotalsQuery
from receiver.store.excerpt import calling_code
from receiver.store.histogram import RESOLUTION
from receiver.store.sqlite import totals as totals_module
from receiver.store.tally import DAY, HOUR
from tests.contracts.report_store import NOON, a_callback, an_sms, everything
from tests.contracts.report_totals import END, REPORTS, START, added_up
from tests.contracts.sqlite_backend import SqliteBackend, sqlite_backend
from tests.receiver.dlr.generated import SOURCES, generated_callbacks


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async with sqlite_backend("memory", tmp_path) as opened:
        yield opened


async def answered(store: ReportStore, query: TotalsQuery) -> dict[str, Any]:
    """The answer of the API, with exact decimals."""
    found: dict[str, Any] = msgspec.to_builtins(
        TotalsAnswer.of(await store.totals(query), query), builtin_types=(Decimal,)
    )
    return found


def told(view: dict[str, Any]) -> dict[str, Any]:
    """A bucket of the API in the form of the oracle, without the durations."""
    return {
        "groups": Counter(view["statusGroups"]),
        "errors": Counter(
            {(e["groupId"], e["id"], e["name"]): e["reports"] for e in view["errors"]}
        ),
        "prices": {p["currency"]: (p["reports"], p["sum"]) for p in view["prices"]},
    }


def named(groups: Counter[int | None]) -> Counter[str]:
    """Status groups by the names that the API gives them."""
    names = {g: "UNKNOWN" if g is None else GROUP_NAMES.get(g, str(g)) for g in groups}
    return Counter({names[group]: count for group, count in groups.items()})


def check_durations(view: dict[str, Any], durations: Sequence[int]) -> None:
    assert view["reports"] == len(durations)
    ascending = sorted(durations)
    for percent in PERCENTS:
        seconds = view[f"p{percent}"]
        if not ascending:
            assert seconds is None
            continue
        exact = ascending[math.ceil(percent * len(ascending) / 100) - 1]
        assert abs(seconds * 1000 - exact) <= exact * RESOLUTION + 0.5


@pytest.mark.parametrize("followed", [0, 120, REPORTS])
@pytest.mark.parametrize("span", [HOUR, DAY])
async def test_adds_up_what_there_is(backend: SqliteBackend, followed: int, span: int) -> None:
    """Counts, exact sums and percentiles are those of the reports, however far the read model has
    come, for each source and finality."""
    store = backend.store
    await store.add(list(generated_callbacks(followed + span, REPORTS)))
    await backend.read_model.turn(followed)
    reports = await everything(store)

    for source in (None, *SOURCES, "nowhere"):
        for final in (None, True, False):
            query = TotalsQuery(span, START, END, source, final)
            expected = added_up(reports, query)
            for bucket in expected.values():
                bucket["groups"] = named(bucket["groups"])
            view = await answered(store, query)
            assert [bucket["start"] for bucket in view["buckets"]] == [
                datetime.fromtimestamp(start, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
                for start in sorted(expected)
            ]
            for bucket, start in zip(view["buckets"], sorted(expected), strict=True):
                durations = expected[start].pop("durations")
                assert told(bucket) == expected[start]
                assert bucket["reports"] == expected[start]["groups"].total()
                check_durations(bucket["sentToDone"], durations)
            assert view["behind"] == 0
            total = sum((b["groups"] for b in expected.values()), Counter[str]())
            assert Counter(view["total"]["statusGroups"]) == total


async def test_by_operator_and_country(backend: SqliteBackend) -> None:
    """A row for each, the most reports first: what was delivered of what is final, what it cost by
    currency. A message is paid for once, by its final report, and each of its parts costs the
    price."""
    price = {"pricePerMessage": 0.01, "currency": "EUR"}
    items = [
        an_sms("a", to="41793026727", mccMnc="22801", smsCount=3, price=price),
        an_sms("a", "PENDING_ENROUTE", to="41793026727", mccMnc="22801", price=price),
        an_sms("b", "REJECTED_NETWORK", to="41793026728", mccMnc="22801", price=price),
        an_sms("c", to="12423570000", mccMnc=None, price=None),
    ]
    await backend.store.add([a_callback(*items)])
    await backend.read_model.turn(2)

    async def rows(by: str) -> list[Any]:
        asked = asked_totals({"by": by, "bucket": "day"}, NOON)
        shown = await totals_answer(backend.store, asked)
        found = msgspec.to_builtins(shown, builtin_types=(Decimal,))
        assert (found["by"], found["total"]["reports"]) == (by, 4)
        return [
            (row["value"], row["name"], row["reports"], row["deliveredShare"], row["cost"])
            for row in found["rows"]
        ]

    paid = [{"currency": "EUR", "reports": 2, "sum": Decimal("0.04")}]
    assert await rows("operator") == [("22801", None, 3, 0.5, paid), ("", None, 1, 1.0, [])]
    (swiss, bahamas) = await rows("country")
    assert swiss == ("41", "CH", 3, 0.5, paid)
    assert (bahamas[0], bahamas[1][:2], bahamas[2]) == ("1", "US", 1)
    assert await rows("source") == [("default", None, 4, 0.6667, paid)]
    assert [row[0] for row in await rows("sender")] == ["InfoSMS"]
    assert sum(row[2] for row in await rows("error")) == 4


async def test_how_the_delivery_rate_varied(backend: SqliteBackend) -> None:
    """Percentiles of the hours' delivery rates, each hour counted once: one bad hour among twenty
    does not show in the rate of the day. Hours without final reports do not count."""
    for hour in range(20):
        status = "REJECTED_NETWORK" if hour == 3 else "DELIVERED_TO_HANDSET"
        at = NOON + timedelta(hours=hour)
        await backend.store.add([a_callback(an_sms(f"m{hour}", status), at=at)])
    pending = an_sms("on its way", "PENDING_ENROUTE")
    await backend.store.add([a_callback(pending, at=NOON + timedelta(hours=20))])

    shown = await answered(backend.store, TotalsQuery(HOUR, START, END))
    assert shown["total"]["deliveredShare"] == 0.95
    shares = {"buckets": 20, "p5": 0.0, "p25": 1.0, "p50": 1.0, "p75": 1.0, "p95": 1.0}
    assert shown["deliveredShares"] == shares
    nothing = await answered(backend.store, TotalsQuery(HOUR, 0, HOUR))
    assert nothing["deliveredShares"] == {"buckets": 0, **dict.fromkeys(list(shares)[1:])}


async def test_how_the_delivery_rate_of_a_row_varied(backend: SqliteBackend) -> None:
    """Each row has the percentiles of its own rate by hour. Two networks of one country are one
    row, and so are their reports of one hour."""
    statuses = ["DELIVERED_TO_HANDSET", "REJECTED_NETWORK", *["DELIVERED_TO_HANDSET"] * 2]
    for hour, status in enumerate(statuses):
        items = [
            an_sms(f"a{hour}", status, to="41793026727", mccMnc="22801"),
            an_sms(f"b{hour}", to="41793026728", mccMnc="22802"),
            an_sms(f"c{hour}", "PENDING_ENROUTE", to="41793026728", mccMnc="22802"),
        ]
        await backend.store.add([a_callback(*items, at=NOON + timedelta(hours=hour))])
    await backend.read_model.turn(5)

    async def rows(by: str) -> dict[str, list[Any]]:
        shown = await totals_answer(backend.store, AskedTotals(TotalsQuery(HOUR, START, END), by))
        found = msgspec.to_builtins(shown, builtin_types=(Decimal,))["rows"]
        return {row["value"]: list(row["deliveredShares"].values()) for row in found}

    assert await rows("operator") == {
        "22801": [4, 0.0, 0.0, 1.0, 1.0, 1.0],
        "22802": [4, *[1.0] * 5],
    }
    assert await rows("country") == {"41": [4, 0.5, 0.5, 1.0, 1.0, 1.0]}
    assert await rows("source") == {"default": [4, 0.5, 0.5, 1.0, 1.0, 1.0]}
    assert {row[0] for row in (await rows("error")).values()} == {4}


def test_calling_codes() -> None:
    """What a number begins with is its calling code by the tables of libphonenumber, too."""
    for code in COUNTRY_CODE_TO_REGION_CODE:
        if code != 999 and code != 979 and code < 1000:
            assert calling_code(f"+{code}5550123") == str(code)
    assert calling_code("InfoSMS") == calling_code("12345") == calling_code(None) == ""


async def test_too_far_behind(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much to be added up for one answer is told, not left out silently."""
    monkeypatch.setattr(totals_module, "TAIL_MOST", 10)
    await backend.store.add(list(generated_callbacks(1, 25)))
    query = TotalsQuery(DAY, START, END)

    view = await answered(backend.store, query)

    assert (view["total"]["reports"], view["behind"]) == (10, 15)


# --- what is asked -------------------------------------------------------------------------------


def test_whole_buckets() -> None:
    """A range is widened to whole buckets; without one it is the last day or 31 days."""
    now = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
    hour = datetime(2026, 11, 21, 11, tzinfo=UTC)
    midnight = datetime(2026, 11, 22, tzinfo=UTC)

    assert totals_query({}, now) == TotalsQuery(
        HOUR, int(hour.timestamp()) - DAY, int(hour.timestamp())
    )
    assert totals_query({"bucket": "day", "final": "true", "source": "eu"}, now) == TotalsQuery(
        DAY, int(midnight.timestamp()) - 31 * DAY, int(midnight.timestamp()), "eu", True
    )
    assert totals_query(
        {"since": "2026-11-21T09:59:59Z", "until": "2026-11-21T10:00:00Z"}, now
    ) == TotalsQuery(HOUR, int(hour.timestamp()) - 2 * HOUR, int(hour.timestamp()) - HOUR)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"bucket": "week"}, "bucket: expected minute, hour, day"),
        ({"since": "2026-11-22"}, "until: expected an instant after since"),
        ({"since": "2020-01-01"}, "since: expected at most"),
        ({"until": "9999-12-31T23:30:00Z"}, "until: expected an instant before"),
        ({"limit": "3"}, "limit: unknown parameter"),
    ],
)
def test_refuses(parameters: dict[str, str], text: str) -> None:
    """What cannot be answered in bounded time, or not at all, is told with its name."""
    with pytest.raises(BadQuery) as refused:
        totals_query(parameters, datetime(2026, 11, 21, 10, 30, tzinfo=UTC))
    assert str(refused.value).startswith(text)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"by": "weekday"}, "by: expected endpoint, operator, country, sender, source, error"),
        ({"by": "sender", "bucket": "minute"}, "by: use bucket hour or day"),
        ({"bucket": "minute", "since": "2026-11-18"}, "since: minutes are kept for two days"),
    ],
)
def test_refuses_what_is_not_kept(parameters: dict[str, str], text: str) -> None:
    """What is not told apart, or not any more, is refused and not answered with nothing."""
    with pytest.raises(BadQuery) as refused:
        asked_totals(parameters, datetime(2026, 11, 21, 10, 30, tzinfo=UTC))
    assert str(refused.value).startswith(text)
