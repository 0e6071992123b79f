"""Every filter against an oracle that decodes every report and looks at all of it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from receiver.answers import BadQuery
from receiver.api.filters import report_query
from receiver.dlr.model import Error, Report, Status
from receiver.dlr.statuses import GROUP_NAMES, SMS_STATUSES
from receiver.store.base import ReportQuery, StoredReport
from receiver.store.sqlite import followup, search
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import NOON, a_callback, everything, ids
from tests.receiver.dlr.generated import (
    BULKS,
    CALLBACK_DATA,
    NUMBERS,
    SENDERS,
    SOURCES,
    an_instant,
    generated_callbacks,
)

REPORTS = 400


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await Database.open(":memory:")
    await opened.migrate(MIGRATIONS)
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, pieces and steps so small that a few hundred reports have many of each."""
    monkeypatch.setattr(search, "_PIECE", 7)
    monkeypatch.setattr(search, "_PREFIX_MOST", 5)
    for module in (search, followup):
        monkeypatch.setattr(module, "BLOCK_BITS", 5)


# --- the oracle ----------------------------------------------------------------------------------


def fits(stored: StoredReport, query: ReportQuery) -> bool:
    report = stored.read()
    return all(
        (
            query.before is None or stored.id < query.before,
            query.message_id in (None, report.message_id),
            query.source in (None, stored.source),
            query.final in (None, stored.final),
            not query.status_groups or stored.status_group in query.status_groups,
            query.bulk_id in (None, report.bulk_id),
            query.to in (None, report.to),
            query.to_prefix is None or str(report.to or "").startswith(query.to_prefix),
            query.sender in (None, report.sender),
            not query.statuses or told_by_status(report, stored) & set(query.statuses),
            not query.errors or told_by_error(report.error) & set(query.errors),
            query.permanent is None
            or (report.error is not None and report.error.permanent == query.permanent),
            query.callback_data in (None, report.callback_data),
            query.callback_data_contains is None
            or (
                report.callback_data is not None
                and query.callback_data_contains in report.callback_data
            ),
            query.received_since is None or stored.received_at >= query.received_since,
            query.received_until is None or stored.received_at < query.received_until,
            query.done_since is None
            or (report.done_at is not None and report.done_at >= query.done_since),
            query.done_until is None
            or (report.done_at is not None and report.done_at < query.done_until),
        )
    )


def told_by_status(report: Report, stored: StoredReport) -> set[int | str]:
    status = report.status or Status()
    told: set[int | str] = set()
    name = (status.name or "").strip().upper()
    for (group, id), known in SMS_STATUSES.items():
        if group == stored.status_group and status.id is None and known == name:
            told.add(id)
        if group == stored.status_group and not name and id == status.id:
            told.add(known)
    return told | ({name} if name else set()) | ({status.id} if status.id is not None else set())


def told_by_error(error: Error | None) -> set[int | str]:
    if error is None:
        return set()
    told: set[int | str] = set() if error.id is None else {error.id}
    return told | ({error.name.upper()} if error.name else set())


def a_query(rng: random.Random) -> ReportQuery:
    """One to three filters, with values that occur and some that do not."""
    span = sorted((an_instant(rng), an_instant(rng)))
    values: dict[str, Any] = {
        "message_id": f"m{rng.randrange(42)}",
        "bulk_id": rng.choice([*BULKS, "nothing"]),
        "to": rng.choice([*NUMBERS, "nothing"]),
        "to_prefix": rng.choice(["4", "417", "41793026727", "5", "\u0001\U0010ffff", "\U0010ffff"]),
        "sender": rng.choice([*SENDERS, "nobody"]),
        "source": rng.choice([*SOURCES, "nowhere"]),
        "final": rng.random() < 0.5,
        "permanent": rng.random() < 0.5,
        "status_groups": tuple(rng.sample([0, 1, 3, 4, 5, 9], 2)),
        "statuses": tuple(rng.sample([5, 7, 2, "EXPIRED_EXPIRED", "DELIVERED_TO_HANDSET", 99], 2)),
        "errors": tuple(rng.sample([0, 1, 27, "EC_ABSENT", "EC_NEW", "NO_ERROR", 5], 2)),
        "callback_data": rng.choice([*CALLBACK_DATA, "nothing"]),
        "callback_data_contains": rng.choice(["order", "471", "%", "ö", '"', ""]),
        "received_since": span[0],
        "received_until": span[1],
        "done_since": span[0],
        "done_until": span[1],
    }
    chosen = rng.sample(sorted(values), rng.randint(1, 3))
    return ReportQuery(limit=rng.choice([3, 1000]), **{name: values[name] for name in chosen})


async def filled(database: Database, seed: int, followed: int) -> SqliteStore:
    """A store of generated reports of which the read model has followed so many."""
    store = SqliteStore(database)
    await store.add(list(generated_callbacks(seed, REPORTS)))
    await Follower(database).turn(followed)
    return store


# --- what is found -------------------------------------------------------------------------------


@pytest.mark.parametrize("followed", [0, 1, 200, REPORTS])
async def test_each_filter_finds_what_it_says(database: Database, followed: int) -> None:
    """Any filters together find exactly the reports for which each holds, newest first, however
    far the read model has come."""
    store = await filled(database, seed=followed, followed=followed)
    reports = (await everything(store))[::-1]
    rng = random.Random(followed)

    hits = 0
    for _ in range(150):
        query = a_query(rng)
        expected = [report for report in reports if fits(report, query)][: query.limit]
        assert await store.reports(query) == expected, query
        hits += bool(expected)
    assert hits > 50


async def test_bounded_steps_find_all(database: Database) -> None:
    """Step by step each report is found once, though a step may find none."""
    store = await filled(database, seed=7, followed=250)
    reports = (await everything(store))[::-1]
    rng = random.Random(7)

    for _ in range(60):
        query = replace(a_query(rng), limit=4)
        found: list[int] = []
        before: int | None = None
        while True:
            current = replace(query, before=before)
            message = [r.id for r in reports] if query.message_id is not None else None
            step = await database.question(
                lambda c, q=current, m=message: search.find(c, q, m, step=20)  # type: ignore[misc]
            )
            found += ids(step.reports)
            if step.next is None:
                break
            assert before is None or step.next < before
            before = step.next
        assert found == [r.id for r in reports if fits(r, query)], query


async def test_pages_stay_right_while_reports_pour_in(database: Database) -> None:
    """Page by page each report is shown once, whatever comes in and is followed meanwhile."""
    store = await filled(database, seed=3, followed=100)
    query = ReportQuery(limit=5, to_prefix="4179", final=True)
    expected = [r.id for r in (await everything(store))[::-1] if fits(r, query)]
    more = generated_callbacks(99, 1000)

    shown: list[int] = []
    before: int | None = None
    while True:
        found = await store.find(replace(query, before=before))
        shown += ids(found.reports)
        if (before := found.next) is None:
            break
        await store.add([next(more)])
        await Follower(database).turn(30)

    assert shown == expected


async def test_rare_outcome_is_found_in_one_step(database: Database) -> None:
    """A status that few reports have is found at once, without a look at all that lie between."""
    store = SqliteStore(database)
    await store.add([a_callback({"to": "1", "status": {"groupId": 5, "id": 6}}, at=NOON)])
    for hour in range(1, 40):
        items = [{"to": str(n), "status": {"groupId": 3, "id": 5}} for n in range(20)]
        await store.add([a_callback(*items, at=NOON + timedelta(hours=hour))])
    await Follower(database).catch_up()

    query = ReportQuery(statuses=(6,))
    found = await database.question(lambda c: search.find(c, query, step=100))

    assert (ids(found.reports), found.next) == ([1], None)


async def test_holes_do_not_matter(database: Database) -> None:
    """Reports that were purged are not found, and those around them are."""
    store = await filled(database, seed=5, followed=300)
    await database.write(lambda c: c.execute("DELETE FROM report WHERE id % 3 = 0 OR id < 50"))
    reports = (await everything(store))[::-1]
    rng = random.Random(5)

    for _ in range(60):
        query = replace(a_query(rng), limit=1000)
        assert await store.reports(query) == [r for r in reports if fits(r, query)], query


# --- what is asked -------------------------------------------------------------------------------


def test_reads_all_parameters() -> None:
    """Each parameter of the API becomes the filter of its name; instants in either form."""
    query = report_query(
        {
            "messageId": "m",
            "bulkId": "b",
            "to": "1",
            "toPrefix": "41",
            "from": "s",
            "statusGroup": "3,expired",
            "status": "5,expired_expired",
            "error": "EC_ABSENT,27",
            "permanent": "true",
            "final": "false",
            "source": "eu",
            "callbackData": "x",
            "callbackDataContains": "y",
            "receivedSince": "2026-03-02T12:00:00Z",
            "receivedUntil": "2026-03-02T13:00:00.000+0100",
            "doneSince": "2026-03-02T13:00:00.000 0100",
            "doneUntil": "2026-03-02",
            "limit": "7",
            "cursor": "9",
        }
    )

    assert query == ReportQuery(
        limit=7,
        before=9,
        message_id="m",
        bulk_id="b",
        to="1",
        to_prefix="41",
        sender="s",
        status_groups=(3, 4),
        statuses=(5, "EXPIRED_EXPIRED"),
        errors=("EC_ABSENT", 27),
        permanent=True,
        final=False,
        source="eu",
        callback_data="x",
        callback_data_contains="y",
        received_since=NOON,
        received_until=NOON,
        done_since=NOON,
        done_until=NOON.replace(hour=0),
    )
    assert set(GROUP_NAMES.values()) >= {"EXPIRED"}


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"statusGroup": "LOST"}, "statusGroup: expected ACCEPTED"),
        ({"status": "5,,6"}, "status: expected ids or names"),
        ({"error": ""}, "error: expected ids or names"),
        ({"permanent": "yes"}, "permanent: expected true or false"),
        ({"doneSince": "yesterday"}, "doneSince: expected an instant such as"),
        ({"receivedUntil": ""}, "receivedUntil: expected an instant such as"),
        ({"sender": "a", "from": "a"}, "from: it is another name of sender"),
        ({"messageid": "a"}, "messageid: there is no such parameter"),
    ],
)
def test_refuses(parameters: dict[str, str], text: str) -> None:
    """What cannot be a filter is told with its name and what was expected."""
    with pytest.raises(BadQuery) as refused:
        report_query(parameters)
    assert str(refused.value).startswith(text), urlencode(parameters)
