"""What every store of reports does (receiver/store/base.py).

An implementation's test derives a class from `ReportStoreContract` and gives it a fixture
`backend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Protocol

import msgspec
import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from receiver.callbacks.intake import judge
from receiver.dlr import json_format, xml_format
from receiver.dlr.item import read_item
from receiver.dlr.model import Format
from receiver.store.base import (
    Counts,
    QuarantineEntry,
    ReportQuery,
    ReportStore,
    StoredReport,
    StoreUnavailable,
)
from receiver.store.callback import Callback, Verdict
from tests.receiver.payloads import STATUSES, a_v3_item, an_item

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NOT_A_REPORT = b'{"smsCount":"many"}'

Item = dict[str, Any]

_encode = msgspec.json.Encoder(decimal_format="number").encode


def an_sms(message_id: str, status: str = "DELIVERED_TO_HANDSET", **changes: Any) -> Item:
    """An item about this message, with a status by its name."""
    return an_item(messageId=message_id, status=to_builtins(STATUSES[status]), **changes)


def a_callback(
    *items: Item | bytes, at: datetime = NOON, source: str = "default", format: Format = "json"
) -> Callback:
    """A callback as the receiver makes one: of items, and of bytes that stand in their place."""
    if format == "xml":
        reports = [read_item(item, "report") for item in items]
        verdict = judge(xml_format.encode_body(reports), format)
    else:
        raw = [item if isinstance(item, bytes) else _encode(item) for item in items]
        verdict = judge(json_format.encode_body(raw), format)
    return Callback(
        source=source,
        format=format,
        content_type=f"application/{format}",
        received_at=at,
        verdict=Verdict(entries=verdict.entries, quarantined=verdict.quarantined),
    )


def a_refused_callback() -> Callback:
    """A callback that no database takes: an identity beyond 64 bits."""
    callback = a_callback(an_sms("refused"), NOT_A_REPORT)
    entries = [replace(callback.verdict.entries[0], identity=2**63)]
    return replace(callback, verdict=replace(callback.verdict, entries=entries))


def message_ids(reports: Iterable[StoredReport]) -> list[str | None]:
    return [report.read().message_id for report in reports]


def ids(rows: Iterable[StoredReport | QuarantineEntry]) -> list[int]:
    return [row.id for row in rows]


async def everything(store: ReportStore) -> list[StoredReport]:
    """All reports, in the order of arrival."""
    return await store.reports_after(0, 10_000)


class StoreBackend(Protocol):
    """An empty store, and what a test does to its database behind its back."""

    @property
    def store(self) -> ReportStore: ...

    async def delete_reports(self) -> None:
        """As retention would do: all reports go."""

    async def refuse_writes(self) -> None:
        """As a full or read-only disk does, from now on."""


class ReportStoreContract:
    @pytest.fixture
    def store(self, backend: StoreBackend) -> ReportStore:
        return backend.store

    # --- what is stored ------------------------------------------------------------------------

    async def test_keeps_a_report_as_it_came(self, store: ReportStore) -> None:
        """A stored report tells when, whence and in which form it came, and reads as it was."""
        at = NOON + timedelta(microseconds=1)
        await store.add([a_callback(an_sms("m1"), at=at, source="eu")])

        (stored,) = await everything(store)
        assert stored.received_at == at
        assert (stored.source, stored.format, stored.generation) == ("eu", "json", "v2")
        assert (stored.final, stored.status_group, stored.duplicates) == (True, 3, 0)
        assert stored.read() == read_item(an_sms("m1"), "report")

    async def test_keeps_a_report_of_nothing(self, store: ReportStore) -> None:
        """No field is required: an empty item is stored, with nothing made up."""
        await store.add([a_callback({})])

        (stored,) = await everything(store)
        assert (stored.generation, stored.final, stored.status_group) == (None, False, None)
        assert stored.item == b"{}"

    async def test_keeps_the_largest_numbers(self, store: ReportStore) -> None:
        """The ends of the 64 bits that a field can hold can be stored."""
        low, high = -(2**63), 2**63 - 1
        status = {"groupId": high, "id": low}
        await store.add([a_callback(an_sms("m1") | {"status": status, "smsCount": high})])

        (stored,) = await everything(store)
        assert stored.status_group == high
        assert stored.read().message_count == high

    async def test_counts_each_callback(self, store: ReportStore) -> None:
        """Each callback is told what became of its own items, in the order of the callbacks."""
        counts = await store.add(
            [
                a_callback(an_sms("m1"), an_sms("m2"), an_sms("m2"), NOT_A_REPORT),
                a_callback(),
                a_callback(an_sms("m2"), an_sms("m3")),
                a_callback(NOT_A_REPORT, b"1"),
            ]
        )

        assert counts == [Counts(2, 1, 1), Counts(0, 0, 0), Counts(1, 1, 0), Counts(0, 0, 2)]

    async def test_no_callbacks(self, store: ReportStore) -> None:
        """Nothing to store is stored at once."""
        assert await store.add([]) == []
        assert await everything(store) == []

    # --- duplicates ----------------------------------------------------------------------------

    async def test_duplicate_in_one_callback(self, store: ReportStore) -> None:
        """A report that stands twice in one body is stored once."""
        assert await store.add([a_callback(an_sms("m1"), an_sms("m1"))]) == [Counts(1, 1, 0)]

        assert [report.duplicates for report in await everything(store)] == [1]

    async def test_duplicate_in_one_group(self, store: ReportStore) -> None:
        """A report that two callbacks of one transaction bring is stored once."""
        counts = await store.add([a_callback(an_sms("m1")), a_callback(an_sms("m1"))])

        assert counts == [Counts(1, 0, 0), Counts(0, 1, 0)]
        assert [report.duplicates for report in await everything(store)] == [1]

    async def test_duplicate_of_an_earlier_group(self, store: ReportStore) -> None:
        """Each repetition of a stored report is counted on it, and changes nothing else."""
        await store.add([a_callback(an_sms("m1"), source="first")])
        (before,) = await everything(store)

        await store.add([a_callback(an_sms("m1"), an_sms("m1")), a_callback(an_sms("m1"))])
        await store.add([a_callback(an_sms("m1"), source="second")])

        assert await everything(store) == [replace(before, duplicates=4)]

    async def test_duplicate_in_another_form(self, store: ReportStore) -> None:
        """XML after JSON and v3 after v2 are the same report."""
        assert await store.add([a_callback(an_item())]) == [Counts(1, 0, 0)]
        repeats = [
            a_callback(an_item(), format="xml"),
            a_callback(a_v3_item()),
            a_callback(a_v3_item(), format="xml"),
        ]

        assert await store.add(repeats) == [Counts(0, 1, 0)] * 3

    async def test_another_status_is_another_report(self, store: ReportStore) -> None:
        """What a message's later report says is not a duplicate of its earlier one."""
        items = [an_sms("m1", name) for name in STATUSES]

        assert await store.add([a_callback(*items)]) == [Counts(len(items), 0, 0)]

    async def test_duplicate_without_message_id(self, store: ReportStore) -> None:
        """A report without a messageId is known by all that it says."""
        item = an_item(messageId=..., to="1")
        assert await store.add([a_callback(item, item)]) == [Counts(1, 1, 0)]
        assert await store.add([a_callback(item, an_item(messageId=..., to="2"))]) == [
            Counts(1, 1, 0)
        ]

    @pytest.mark.parametrize("later", [DAY, 2 * DAY, 3 * DAY])
    @pytest.mark.parametrize("hour", [0, 12])
    async def test_duplicate_on_the_next_days(
        self, store: ReportStore, later: timedelta, hour: int
    ) -> None:
        """For three days a repeated report is known again: the platform repeats for 41:30 h."""
        first = NOON.replace(hour=hour)
        await store.add([a_callback(an_sms("m1"), at=first)])

        assert await store.add([a_callback(an_sms("m1"), at=first + later)]) == [Counts(0, 1, 0)]
        assert ids(await store.reports_of("m1")) == ids(await everything(store))

    async def test_repeated_after_the_window(self, store: ReportStore) -> None:
        """A report that comes again after four days is stored anew: so the key stays young."""
        await store.add([a_callback(an_sms("m1"))])

        counts = await store.add([a_callback(an_sms("m1"), at=NOON + 4 * DAY)])
        assert counts == [Counts(1, 0, 0)]
        assert [report.duplicates for report in await store.reports_of("m1")] == [0, 0]

    async def test_duplicates_at_the_same_time(self, store: ReportStore) -> None:
        """Of many that bring the same report at once, exactly one has it stored."""
        answers = await asyncio.gather(
            *(store.add([a_callback(an_sms("m1"), an_sms(f"own-{n}"))]) for n in range(20))
        )

        assert sum(counts.stored for (counts,) in answers) == 21
        assert [report.duplicates for report in await store.reports_of("m1")] == [19]

    # --- all or nothing ------------------------------------------------------------------------

    async def test_all_or_nothing(self, store: ReportStore) -> None:
        """When one callback of a group cannot be stored, nothing of any of them is."""
        await store.add([a_callback(an_sms("known"))])
        group = [
            a_callback(an_sms("m1"), an_sms("known"), NOT_A_REPORT),
            a_refused_callback(),
            a_callback(an_sms("m2")),
        ]

        with pytest.raises(OverflowError):
            await store.add(group)

        assert message_ids(await everything(store)) == ["known"]
        assert [report.duplicates for report in await everything(store)] == [0]
        assert await store.quarantine(None, 10) == []

    async def test_goes_on_after_a_failure(self, store: ReportStore) -> None:
        """A transaction that failed is over: the next one is stored."""
        with pytest.raises(OverflowError):
            await store.add([a_callback(an_sms("m1")), a_refused_callback()])

        assert await store.add([a_callback(an_sms("m1"))]) == [Counts(1, 0, 0)]

    async def test_unwritable(self, backend: StoreBackend, store: ReportStore) -> None:
        """A store that cannot be written says so, stores nothing, and can still be read."""
        await store.add([a_callback(an_sms("m1"))])
        await store.check_writable()
        await backend.refuse_writes()

        with pytest.raises(StoreUnavailable):
            await store.check_writable()
        with pytest.raises(StoreUnavailable):
            await store.add([a_callback(an_sms("m2"))])
        assert message_ids(await everything(store)) == ["m1"]

    async def test_check_writable_changes_nothing(self, store: ReportStore) -> None:
        """To ask whether the store can be written leaves it as it is."""
        await store.add([a_callback(an_sms("m1"), NOT_A_REPORT)])
        before = await everything(store)

        await store.check_writable()

        assert await everything(store) == before
        assert len(await store.quarantine(None, 10)) == 1

    # --- ids and reading on --------------------------------------------------------------------

    async def test_ids_ascend(self, store: ReportStore) -> None:
        """Ids ascend in the order of arrival, in a callback, in a group and after it."""
        await store.add([a_callback(an_sms("a"), an_sms("b")), a_callback(an_sms("c"))])
        await store.add([a_callback(an_sms("d"))])

        reports = await everything(store)
        assert message_ids(reports) == ["a", "b", "c", "d"]
        assert ids(reports) == sorted(set(ids(reports)))
        assert reports[0].id > 0

    async def test_ids_are_never_used_twice(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """After all reports were deleted, new ids go on: the dispatcher reads on from an id."""
        await store.add([a_callback(an_sms("a"), an_sms("b"))])
        highest = max(ids(await everything(store)))
        await backend.delete_reports()

        await store.add([a_callback(an_sms("c"))])

        assert message_ids(await store.reports_after(highest, 10)) == ["c"]

    async def test_reports_after(self, store: ReportStore) -> None:
        """Reading on from an id gives what came later, the oldest first, not more than asked."""
        await store.add([a_callback(*(an_sms(f"m{n}") for n in range(5)))])
        first = (await everything(store))[0].id

        assert message_ids(await store.reports_after(first, 3)) == ["m1", "m2", "m3"]
        assert message_ids(await store.reports_after(first + 3, 3)) == ["m4"]
        assert await store.reports_after(first + 4, 3) == []

    async def test_reports_by_id(self, store: ReportStore) -> None:
        """Reports by id come in the order of arrival; those that are not there are left out."""
        await store.add([a_callback(*(an_sms(f"m{n}") for n in range(4)))])
        first = (await everything(store))[0].id

        wanted = [first + 2, first, first + 99, 10**18]
        assert message_ids(await store.reports_by_id(wanted)) == ["m0", "m2"]
        assert await store.reports_by_id([]) == []

    # --- lists and filters ---------------------------------------------------------------------

    async def test_lists_newest_first(self, store: ReportStore) -> None:
        """A list begins with the report that was stored last."""
        await store.add([a_callback(*(an_sms(f"m{n}") for n in range(3)))])

        assert message_ids(await store.reports(ReportQuery())) == ["m2", "m1", "m0"]
        assert message_ids(await store.reports(ReportQuery(limit=2))) == ["m2", "m1"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (ReportQuery(), ["x1", "m2", "m2", "m1", "m1"]),
            (ReportQuery(source="eu"), ["m2", "m2"]),
            (ReportQuery(source="nowhere"), []),
            (ReportQuery(final=True), ["m2", "m1"]),
            (ReportQuery(final=False), ["x1", "m2", "m1"]),
            (ReportQuery(status_groups=(1,)), ["m2", "m1"]),
            (ReportQuery(status_groups=(1, 3)), ["m2", "m1", "m1"]),
            (ReportQuery(status_groups=(5,)), []),
            (ReportQuery(message_id="m1"), ["m1", "m1"]),
            (ReportQuery(message_id="m1", final=True), ["m1"]),
            (ReportQuery(message_id="m1", source="eu"), []),
            (ReportQuery(message_id="m2", status_groups=(4,)), ["m2"]),
            (ReportQuery(message_id="m"), []),
            (ReportQuery(source="eu", final=True, status_groups=(4, 5)), ["m2"]),
            (ReportQuery(final=True, limit=1), ["m2"]),
            (ReportQuery(message_id="m1", limit=1), ["m1"]),
        ],
    )
    async def test_filters(
        self, store: ReportStore, query: ReportQuery, expected: list[str]
    ) -> None:
        """Each filter narrows the list, and all that are given must agree."""
        await store.add(
            [
                a_callback(an_sms("m1", "PENDING_ENROUTE"), an_sms("m1")),
                a_callback(
                    an_sms("m2", "PENDING_ENROUTE"), an_sms("m2", "EXPIRED_EXPIRED"), source="eu"
                ),
                a_callback({"messageId": "x1"}),
            ]
        )

        assert message_ids(await store.reports(query)) == expected

    @pytest.mark.parametrize("query", [ReportQuery(limit=2), ReportQuery(limit=2, message_id="m")])
    async def test_pages(self, store: ReportStore, query: ReportQuery) -> None:
        """Page by page each report is shown once, also while new ones pour in."""
        await store.add([a_callback(*(an_sms("m", doneAt=_done(n)) for n in range(5)))])
        wanted = ids(reversed(await everything(store)))

        shown: list[int] = []
        for n in count(5):
            before = shown[-1] if shown else None
            page = await store.reports(_with_cursor(query, before))
            if not page:
                break
            shown += ids(page)
            await store.add([a_callback(an_sms("m", doneAt=_done(n)))])

        assert shown == wanted

    async def test_reports_of_a_message(self, store: ReportStore) -> None:
        """All reports of a message come in the order of arrival, from every day and source."""
        await store.add([a_callback(an_sms("m1", "PENDING_ENROUTE"), an_sms("m2"))])
        late = [a_callback(an_sms("m1"), at=NOON + 9 * DAY, source="eu")]
        await store.add([a_callback(an_sms("m3"), at=NOON + 4 * DAY)])
        await store.add(late)
        await store.add([a_callback(an_sms("m1", "PENDING_ACCEPTED"), at=NOON - 2 * DAY)])

        reports = await store.reports_of("m1")
        assert [report.final for report in reports] == [False, True, False]
        assert ids(reports) == sorted(ids(reports))
        assert set(message_ids(reports)) == {"m1"}
        assert await store.reports_of("m") == []
        assert await store.reports_of("") == []

    async def test_newest_of_messages(self, store: ReportStore) -> None:
        """Each message stands once, by its last received report, the newest first."""
        await store.add([a_callback(an_sms("m1", "PENDING_ENROUTE"), an_sms("m2"))])
        await store.add([a_callback(an_sms("m3"), an_sms("m1"), at=NOON + 5 * DAY)])

        found = await store.newest_of_messages(None, 10)
        assert message_ids(found) == ["m1", "m3", "m2"]
        assert found[0].final

    async def test_newest_of_messages_without_id(self, store: ReportStore) -> None:
        """Reports without a messageId, or with an empty one, stand for themselves."""
        await store.add(
            [a_callback({"to": "1"}, an_sms("m1"), {"to": "2"}, {"messageId": "", "to": "3"})]
        )

        found = await store.newest_of_messages(None, 10)
        assert [report.read().to for report in found] == ["3", "2", "41793026727", "1"]

    async def test_pages_of_messages(self, store: ReportStore) -> None:
        """Page by page each message is shown once, however its reports are spread."""
        for status in ("PENDING_ENROUTE", "DELIVERED_TO_HANDSET"):
            await store.add([a_callback(*(an_sms(f"m{n}", status) for n in range(5)))])

        shown: list[StoredReport] = []
        while page := await store.newest_of_messages(shown[-1].id if shown else None, 2):
            assert len(page) <= 2
            shown += page
            await store.add([a_callback(an_sms(f"new-{len(shown)}"))])

        assert message_ids(shown) == ["m4", "m3", "m2", "m1", "m0"]

    # --- quarantine ----------------------------------------------------------------------------

    async def test_quarantine_keeps_the_bytes(self, store: ReportStore) -> None:
        """What cannot be read is kept byte for byte, with where it stood and why it is there."""
        item = b'{"smsCount": "many", "note":"\xff\x00"}'
        await store.add([a_callback(an_sms("m1"), item, source="eu")])

        (entry,) = await store.quarantine(None, 10)
        assert (entry.received_at, entry.source) == (NOON, "eu")
        assert entry.content_type == "application/json"
        assert entry.place.startswith("results[1]")
        assert entry.reason
        assert entry.size == len(item)
        assert await store.quarantined(entry.id) == (entry, item)

    async def test_quarantine_of_a_whole_body(self, store: ReportStore) -> None:
        """A body that is no list of reports is kept whole, whatever it is and says of itself."""
        body = bytes(range(256))
        unreadable = judge(body, "json").quarantined
        callback = Callback("default", "json", None, NOON, Verdict(quarantined=unreadable))
        assert await store.add([callback]) == [Counts(0, 0, 1)]

        (entry,) = await store.quarantine(None, 10)
        assert entry.content_type is None
        assert await store.quarantined(entry.id) == (entry, body)

    async def test_quarantine_of_nothing(self, store: ReportStore) -> None:
        """An empty body is an entry of no bytes."""
        unreadable = judge(b"", "json").quarantined
        await store.add([Callback("default", "json", None, NOON, Verdict(quarantined=unreadable))])

        (entry,) = await store.quarantine(None, 10)
        assert entry.size == 0
        assert await store.quarantined(entry.id) == (entry, b"")

    async def test_pages_of_quarantine(self, store: ReportStore) -> None:
        """Quarantine is listed newest first and page by page, also while more comes in."""
        await store.add([a_callback(*(b"%d" % number for number in range(5)))])
        wanted = ids(await store.quarantine(None, 10))
        assert wanted == sorted(wanted, reverse=True)

        shown: list[int] = []
        while page := await store.quarantine(shown[-1] if shown else None, 2):
            shown += ids(page)
            await store.add([a_callback(b"%d" % (5 + len(shown)))])

        assert shown == wanted

    async def test_unknown_quarantine_entry(self, store: ReportStore) -> None:
        """There is no entry that was never made."""
        assert await store.quarantined(1) is None
        assert await store.quarantined(10**18 - 1) is None


def _done(second: int) -> str:
    return f"2026-03-02T12:00:{second:02}.000+0000"


def _with_cursor(query: ReportQuery, before: int | None) -> ReportQuery:
    return ReportQuery(limit=query.limit, message_id=query.message_id, before=before)
