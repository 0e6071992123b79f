"""Totals against an oracle that decodes every report and adds up itself."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.answers import BadQuery
from receiver.api.filters import totals_query
from receiver.api.totals import PERCENTS, TotalsAnswer
from receiver.dlr.statuses import GROUP_NAMES
from receiver.store.base import StoredReport, TotalsQuery
from receiver.store.histogram import RESOLUTION, bin_of, middle_of, percentiles
from receiver.store.sqlite import totals as totals_module
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import DAY, HOUR, Follower
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import NOON, a_callback, an_sms, everything
from tests.receiver.dlr.generated import SOURCES, generated_callbacks

REPORTS = 300
START = int(NOON.timestamp()) // DAY * DAY - 3 * DAY
END = START + 7 * DAY


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await Database.open(":memory:")
    await opened.migrate(MIGRATIONS)
    yield opened
    await opened.close()


# --- the oracle ----------------------------------------------------------------------------------


def added_up(reports: Sequence[StoredReport], query: TotalsQuery) -> dict[int, Any]:
    """Bucket to what must be in it; durations as a list."""
    buckets: defaultdict[int, Any] = defaultdict(
        lambda: {"groups": Counter(), "errors": Counter(), "prices": {}, "durations": []}
    )
    for stored in reports:
        start = int(stored.received_at.timestamp()) // query.span * query.span
        fits = query.source in (None, stored.source) and query.final in (None, stored.final)
        if not fits or not query.since <= start < query.until:
            continue
        bucket, report = buckets[start], stored.read()
        group = stored.status_group
        bucket["groups"]["UNKNOWN" if group is None else GROUP_NAMES.get(group, str(group))] += 1
        error = report.error
        if error is not None and (error.id is not None or error.name):
            bucket["errors"][error.group_id, error.id, (error.name or "").upper() or None] += 1
        if report.price is not None and report.price.per_message is not None:
            currency = (report.price.currency or "").upper()
            count, sum = bucket["prices"].get(currency, (0, Decimal(0)))
            bucket["prices"][currency] = (count + 1, sum + report.price.per_message)
        if report.sent_at is not None and report.done_at is not None:
            took = (report.done_at - report.sent_at) // timedelta(milliseconds=1)
            bucket["durations"].append(max(0, took))
    return dict(buckets)


async def answered(store: SqliteStore, query: TotalsQuery) -> dict[str, Any]:
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


# --- what is added up ----------------------------------------------------------------------------


@pytest.mark.parametrize("followed", [0, 120, REPORTS])
@pytest.mark.parametrize("span", [HOUR, DAY])
async def test_adds_up_what_there_is(database: Database, followed: int, span: int) -> None:
    """Counts, exact sums and percentiles are those of the reports, however far the read model has
    come, for each source and finality."""
    store = SqliteStore(database)
    await store.add(list(generated_callbacks(followed + span, REPORTS)))
    await Follower(database).turn(followed)
    reports = await everything(store)

    for source in (None, *SOURCES, "nowhere"):
        for final in (None, True, False):
            query = TotalsQuery(span, START, END, source, final)
            with localcontext(prec=100):
                expected = added_up(reports, query)
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


async def test_sums_are_exact(database: Database) -> None:
    """Ten million times a price that no float holds is exactly ten million times that price."""
    store = SqliteStore(database)
    for _ in range(10):
        items = [
            an_sms(f"m{random.getrandbits(64)}", price={"pricePerMessage": 0.1, "currency": "EUR"})
            for _ in range(30)
        ]
        await store.add([a_callback(*items)])
        await Follower(database).turn()

    query = TotalsQuery(DAY, START, END)
    (price,) = (await answered(store, query))["total"]["prices"]
    assert price == {"currency": "EUR", "reports": 300, "sum": Decimal("30.0")}


async def test_too_far_behind(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much to be added up for one answer is told, not left out silently."""
    monkeypatch.setattr(totals_module, "TAIL_MOST", 10)
    store = SqliteStore(database)
    await store.add(list(generated_callbacks(1, 25)))
    query = TotalsQuery(DAY, START, END)

    view = await answered(store, query)

    assert (view["total"]["reports"], view["behind"]) == (10, 15)


# --- percentiles ---------------------------------------------------------------------------------


@given(st.integers(-10, 2**48))
def test_a_bin_is_narrow(milliseconds: int) -> None:
    """The middle of a duration's bin lies within the stated resolution of it."""
    middle = middle_of(bin_of(milliseconds))

    assert abs(middle - max(0, milliseconds)) <= max(0, milliseconds) * RESOLUTION


@given(st.integers(0, 2**48))
def test_bins_ascend(milliseconds: int) -> None:
    """A longer duration is never in an earlier bin, and neighbours are at most one bin apart."""
    assert bin_of(milliseconds + 1) - bin_of(milliseconds) in (0, 1)


def test_percentiles_of_few() -> None:
    """Percentiles are by nearest rank: of one duration all are that one, of none there are none."""
    assert percentiles([(5, 1)], (50, 99)) == [5.0, 5.0]
    assert percentiles([(1, 50), (2, 49), (3, 1)], (50, 90, 99)) == [1.0, 2.0, 2.0]
    assert percentiles([], (50,)) == []


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
        ({"bucket": "week"}, "bucket: expected hour, day"),
        ({"since": "2026-11-22"}, "until: expected an instant after since"),
        ({"since": "2020-01-01"}, "since: expected at most"),
        ({"until": "9999-12-31T23:30:00Z"}, "until: expected an instant before"),
        ({"limit": "3"}, "limit: there is no such parameter"),
    ],
)
def test_refuses(parameters: dict[str, str], text: str) -> None:
    """What cannot be answered in bounded time, or not at all, is told with its name."""
    with pytest.raises(BadQuery) as refused:
        totals_query(parameters, datetime(2026, 11, 21, 10, 30, tzinfo=UTC))
    assert str(refused.value).startswith(text)
