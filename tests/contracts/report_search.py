"""What every search does (ReportStore.find and .reports in receiver/store/base.py).

Every filter against an oracle that decodes every report and looks at all of it. An implementation's
test derives a class from `ReportSearchContract` and gives it a fixture `backend`, whose searches
take steps so small that a few hundred reports have many of them.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from receiver.dlr.model import Error, Report, Status
from receiver.dlr.number import comparable, comparable_prefix
from receiver.dlr.statuses import SMS_STATUSES
from receiver.store.base import ReportQuery, ReportStore, StoredReport
from tests.contracts.report_store import (
    NOON,
    StoreBackend,
    a_callback,
    an_sms,
    everything,
    ids,
)
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


def fits(stored: StoredReport, query: ReportQuery) -> bool:
    report = stored.read()
    return all(
        (
            query.before is None or stored.id < query.before,
            query.after is None or stored.id > query.after,
            query.text is None or mentions(report, query.text),
            query.message_id in (None, report.message_id),
            query.source in (None, stored.source),
            query.final in (None, stored.final),
            not query.status_groups or stored.status_group in query.status_groups,
            query.bulk_id in (None, report.bulk_id),
            query.to is None or is_number(query.to, report.to),
            query.to_prefix is None
            or comparable(report.to or "").startswith(comparable_prefix(query.to_prefix)),
            query.sender is None or is_number(query.sender, report.sender),
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


def mentions(report: Report, text: str) -> bool:
    told = (report.message_id or "", report.callback_data or "", comparable(report.to or ""))
    return any(text.casefold() in each.casefold() for each in told)


def is_number(wanted: str, told: str | None) -> bool:
    return told is not None and comparable(told) == comparable(wanted)


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
        "after": rng.randrange(REPORTS),
        "text": rng.choice(["M1", "4179", "7930", "Order", "ö", '"', "%", "nothing"]),
        "message_id": f"m{rng.randrange(42)}",
        "bulk_id": rng.choice([*BULKS, "nothing"]),
        "to": rng.choice([*NUMBERS, "nothing"]),
        "to_prefix": rng.choice(
            ["4", "+417", "41793026727", "00417930", "5", "\u0001\U0010ffff", "\U0010ffff"]
        ),
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


async def filled(backend: StoreBackend, seed: int, followed: int) -> ReportStore:
    """A store of generated reports of which the read model has followed so many."""
    await backend.store.add(list(generated_callbacks(seed, REPORTS)))
    await backend.read_model.turn(followed)
    return backend.store


async def step_by_step(store: ReportStore, query: ReportQuery) -> list[int]:
    """The ids that a search finds in as many steps as it takes."""
    found: list[int] = []
    before = query.before
    while True:
        step = await store.find(replace(query, before=before))
        assert len(step.reports) <= query.limit
        found += ids(step.reports)
        if step.next is None:
            return found
        assert before is None or step.next < before
        assert not step.reports or step.next <= step.reports[-1].id
        before = step.next


class ReportSearchContract:
    @pytest.mark.parametrize("followed", [0, 1, 200, REPORTS])
    async def test_each_filter_finds_what_it_says(
        self, backend: StoreBackend, followed: int
    ) -> None:
        """Any filters together find exactly the reports for which each holds, newest first, however
        far the read model has come."""
        store = await filled(backend, seed=followed, followed=followed)
        reports = (await everything(store))[::-1]
        rng = random.Random(followed)

        hits = 0
        for _ in range(150):
            query = a_query(rng)
            expected = [report for report in reports if fits(report, query)][: query.limit]
            assert await store.reports(query) == expected, query
            hits += bool(expected)
        assert hits > 50

    @pytest.mark.parametrize("followed", [0, 250, REPORTS])
    async def test_bounded_steps_find_all(self, backend: StoreBackend, followed: int) -> None:
        """Step by step each report is found once, though a step may find none."""
        store = await filled(backend, seed=7, followed=followed)
        reports = (await everything(store))[::-1]
        rng = random.Random(7)

        for _ in range(60):
            query = replace(a_query(rng), limit=4)
            expected = [report.id for report in reports if fits(report, query)]
            assert await step_by_step(store, query) == expected, query

    @pytest.mark.parametrize("followed", [0, 100])
    @pytest.mark.parametrize("told", ["41793026727", "+41793026727", "0041 79 302 67 27"])
    async def test_a_number_is_found_in_any_form(
        self, backend: StoreBackend, told: str, followed: int
    ) -> None:
        """A platform told +41793026727: neither that nor 41793026727 found it. All forms of a
        number are one, as recipient and as sender; it is shown as it came."""
        await backend.store.add([a_callback(an_sms("m", to=told, from_=told), an_sms("o", to="4"))])
        await backend.read_model.turn(followed)

        for asked in ("41793026727", "+41 79 302 67 27", "0041793026727", "tel:+41-79-302-67-27"):
            for query in (
                ReportQuery(to=asked),
                ReportQuery(to_prefix=asked),
                ReportQuery(to_prefix=asked[:9]),
                ReportQuery(sender=asked),
            ):
                found = await backend.store.reports(query)
                assert [report.read().to for report in found] == [told], query
        assert await backend.store.reports(ReportQuery(to="0793026727")) == []

    @pytest.mark.parametrize("followed", [0, 100])
    async def test_names_are_no_numbers(self, backend: StoreBackend, followed: int) -> None:
        """A sender 7-11 is not the short code 711, and InfoSMS is not infosms."""
        senders = ["7-11", "711", "InfoSMS", "infosms", "Info SMS"]
        items = [an_sms(f"m{n}", from_=sender) for n, sender in enumerate(senders)]
        await backend.store.add([a_callback(*items)])
        await backend.read_model.turn(followed)

        for sender in senders:
            found = await backend.store.reports(ReportQuery(sender=sender))
            assert [report.read().sender for report in found] == [sender]

    async def test_a_cursor_may_stand_anywhere(self, backend: StoreBackend) -> None:
        """From any id a search finds what is older than it, also from one that is not there."""
        store = await filled(backend, seed=11, followed=300)
        all = ids(await everything(store))
        await backend.delete_reports(all[::5])
        reports = (await everything(store))[::-1]
        rng = random.Random(11)

        for _ in range(60):
            before = rng.choice([0, *all, all[-1] + 1, 10**18])
            query = replace(a_query(rng), limit=5, before=before)
            expected = [report.id for report in reports if fits(report, query)]
            assert await step_by_step(store, query) == expected, query

    async def test_pages_stay_right_while_reports_pour_in(self, backend: StoreBackend) -> None:
        """Page by page each report is shown once, whatever comes in and is followed meanwhile."""
        store = await filled(backend, seed=3, followed=100)
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
            await backend.read_model.turn(30)

        assert shown == expected

    async def test_holes_do_not_matter(self, backend: StoreBackend) -> None:
        """Reports that were purged are not found, and those around them are."""
        store = await filled(backend, seed=5, followed=300)
        all = ids(await everything(store))
        await backend.delete_reports([id for id in all if id % 3 == 0 or id < 50])
        reports = (await everything(store))[::-1]
        rng = random.Random(5)

        for _ in range(60):
            query = replace(a_query(rng), limit=1000)
            assert await store.reports(query) == [r for r in reports if fits(r, query)], query

    async def test_what_another_process_stored_is_found(self, backend: StoreBackend) -> None:
        """A search finds what another process has stored, and whatever one of them has followed."""
        other = await backend.another()
        await other.store.add(list(generated_callbacks(13, REPORTS)))
        await backend.read_model.turn(REPORTS // 2)
        await other.read_model.turn(REPORTS // 4)
        reports = (await everything(other.store))[::-1]
        rng = random.Random(13)

        for _ in range(30):
            query = replace(a_query(rng), limit=1000)
            expected = [report for report in reports if fits(report, query)]
            assert await backend.store.reports(query) == expected, query
            assert await other.store.reports(query) == expected, query

    @pytest.mark.parametrize("followed", [0, 100])
    async def test_texts_are_compared_to_the_letter(
        self, backend: StoreBackend, followed: int
    ) -> None:
        """No sign stands for another one, and a capital letter is another than a small one."""
        texts = ["a_b", "a%b", "axb", "A_B", "a_B", "a_b ", "á_b"]
        for text in texts:
            item = {"messageId": text, "to": text, "bulkId": text, "from": text}
            item["callbackData"] = f"<{text}>"
            await backend.store.add([a_callback(item, source=text)])
        await backend.read_model.turn(followed)

        for text in texts:
            for query in (
                ReportQuery(source=text),
                ReportQuery(message_id=text),
                ReportQuery(to=text),
                ReportQuery(bulk_id=text),
                ReportQuery(sender=text),
                ReportQuery(callback_data=f"<{text}>"),
                ReportQuery(callback_data_contains=f"<{text}>"),
            ):
                found = await backend.store.reports(query)
                assert [report.source for report in found] == [text], query
            found = await backend.store.reports(ReportQuery(to_prefix=text))
            assert {report.source for report in found} == {t for t in texts if t.startswith(text)}

    @pytest.mark.parametrize("followed", [0, 100])
    async def test_instants_at_the_ends(self, backend: StoreBackend, followed: int) -> None:
        """`since` is part of a span, `until` is not, to the microsecond."""
        a_little = timedelta(microseconds=1)
        instants = [NOON - a_little, NOON, NOON + a_little]
        for n, at in enumerate(instants):
            await backend.store.add([a_callback(an_sms(f"m{n}"), at=at)])
        await backend.read_model.turn(followed)

        async def found(**span: datetime) -> list[datetime]:
            query = ReportQuery(**span)  # type: ignore[arg-type]
            return [each.received_at for each in await backend.store.reports(query)][::-1]

        assert await found(received_since=NOON) == instants[1:]
        assert await found(received_until=NOON) == instants[:1]
        assert await found(received_since=NOON, received_until=NOON + a_little) == [NOON]

    async def test_nothing_stored(self, backend: StoreBackend) -> None:
        """An empty store is searched to its end at once."""
        found = await backend.store.find(ReportQuery(to="1", source="eu", statuses=(5,)))

        assert (list(found.reports), found.next) == ([], None)
