"""What every store of reports does (receiver/store/base.py).

An implementation's test derives a class from `ReportStoreContract` and gives it a fixture
`backend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Any, Protocol, TypeVar

import msgspec
import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from receiver.callbacks.intake import entry_of, verdict_on_bytes
from receiver.dlr import json_format, xml_format
from receiver.dlr.errors import Unreadable
from receiver.dlr.formats import CODECS
from receiver.dlr.item import read_item
from receiver.dlr.model import Format
from receiver.store.base import (
    Counts,
    QuarantineEntry,
    ReadModel,
    ReportItem,
    ReportQuery,
    ReportStore,
    StoredReport,
    StoreRetention,
    StoreUnavailable,
    TotalsQuery,
    Traces,
)
from receiver.store.callback import Callback, Entry, NotifyTo, Verdict
from receiver.store.recipient import Recipient
from tests.receiver.payloads import STATUSES, V2_XML, a_v3_item, an_item

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NOT_A_REPORT = b'{"smsCount":"many"}'

TEXTS = ["\0", "a\0b", "\0" * 3 + "z", "\U0010ffff", "'\"\\%_", "\u2028\x7f", "e\u0301 \u00e9"]

PRETTY = b'{ "messageId" : "p",\n "smsCount": "1", "status":{"id":5,"groupId":3} }'
XML = b"<result><messageId>x1</messageId><smsCount> 2 </smsCount><error/></result>"
LATIN = "<result><messageId>x2</messageId><callbackData>\u00e9</callbackData><error/></result>"

Item = dict[str, Any]
T = TypeVar("T")

_encode = msgspec.json.Encoder(decimal_format="number").encode


def an_sms(message_id: str, status: str = "DELIVERED_TO_HANDSET", **changes: Any) -> Item:
    """An item about this message, with a status by its name."""
    return an_item(messageId=message_id, status=to_builtins(STATUSES[status]), **changes)


def a_callback(
    *items: Item | bytes, at: datetime = NOON, source: str = "default", format: Format = "json"
) -> Callback:
    """A callback as the receiver makes one: of items, and of bytes that stand in their place.

    An item that says nothing of its message is an entry here: a store does not ask what it is.
    """
    if format == "xml":
        body = xml_format.encode_body([read_item(item, "report") for item in items])
    else:
        raw = [item if isinstance(item, bytes) else _encode(item) for item in items]
        body = json_format.encode_body(raw)
    made = CODECS[format].read_body(body, lambda report, _: entry_of(report))
    return Callback(
        source=source,
        format=format,
        content_type=f"application/{format}",
        received_at=at,
        verdict=Verdict(
            entries=[each for each in made if isinstance(each, Entry)],
            quarantined=[each for each in made if isinstance(each, Unreadable)],
        ),
    )


def of_entries(*entries: Entry) -> Callback:
    """A callback of what has been judged already."""
    return replace(a_callback(), verdict=Verdict(entries=list(entries)))


def a_refused_callback() -> Callback:
    """A callback that no database takes: an identity beyond 64 bits."""
    callback = a_callback(an_sms("refused"), NOT_A_REPORT)
    entries = [replace(callback.verdict.entries[0], identity=2**63)]
    return replace(callback, verdict=replace(callback.verdict, entries=entries))


def message_ids(reports: Iterable[ReportItem]) -> list[str | None]:
    return [report.read().message_id for report in reports]


def ids(rows: Iterable[StoredReport | QuarantineEntry]) -> list[int]:
    return [row.id for row in rows]


async def everything(store: ReportStore) -> list[StoredReport]:
    """All reports, in the order of arrival."""
    reports = await store.reports_after(0, 10_000)
    if reports:
        last = reports[-1].id
        assert await store.reports_after(last, 1) == [], "a reader that goes on would never end"
    return reports


async def picture(store: ReportStore) -> dict[str, Any]:
    """All that a store shows."""
    reports = await everything(store)
    told = [report.read() for report in reports]
    entries = await store.quarantine(None, 10_000)
    return {
        "reports": reports,
        "found": {
            number: ids(await store.reports(ReportQuery(limit=10_000, to=number)))
            for number in {report.to for report in told if report.to}
        },
        "messages": {
            message: ids(await store.reports_of(message))
            for message in {report.message_id for report in told if report.message_id}
        },
        "received": await store.as_received(reports),
        "quarantine": [await store.quarantined(entry.id) for entry in entries],
        "totals": await store.totals(TotalsQuery(86_400, 0, 2**33)),
    }


@dataclass(frozen=True, slots=True)
class StillNeeded:
    """What retention is told: all reports after `unread_after` (`None`: nobody reads) are still to
    be read by somebody, and `carried` are being brought somewhere."""

    unread_after: int | None = None
    carried: frozenset[int] = frozenset()


NOTHING_NEEDED = StillNeeded()


class StoreErasure(Protocol):
    """Erases one recipient's data from the store's tables. What erases it everywhere does this as a
    part of its transaction."""

    async def find(self, recipient: Recipient) -> Traces:
        """All reports and quarantine entries of the recipient."""

    async def count(self, traces: Traces) -> dict[str, int]:
        """The rows of each table that `erase` would touch."""

    async def erase(self, traces: Traces) -> dict[str, int]:
        """Remove these in one transaction, and whatever shows or finds them."""


class StoreBackend(Protocol):
    """An empty store, and what a test does to its database without asking it."""

    @property
    def store(self) -> ReportStore: ...

    @property
    def read_model(self) -> ReadModel: ...

    @property
    def erasure(self) -> StoreErasure: ...

    def retention(self, needed: StillNeeded = NOTHING_NEEDED) -> StoreRetention: ...

    async def another(self) -> StoreBackend:
        """The same database, as another process has it open."""

    async def delete_reports(self, ids: Collection[int] | None = None) -> None:
        """These reports, or all, are gone."""

    async def refuse_writes(self) -> None:
        """As a full or read-only disk does, from now on."""

    def go_away_after(self, statements: int) -> None:
        """The next transaction that writes loses its database after so many statements, before
        its end. After that the database is there again."""


async def fails_as_a_whole(backend: StoreBackend, act: Callable[[], Awaitable[T]]) -> T:
    """Do `act` while the database goes away before its first statement, its second, and so on,
    until it is done. Each time nothing may have changed. Returns what it gave in the end."""
    before = await picture(backend.store)
    for statements in count():
        backend.go_away_after(statements)
        try:
            given = await act()
        except StoreUnavailable:
            assert await picture(backend.store) == before, statements
        else:
            assert statements, "it wrote nothing"
            return given
    raise AssertionError  # not reached


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

    @pytest.mark.parametrize("text", TEXTS)
    async def test_keeps_any_text(self, store: ReportStore, text: str) -> None:
        """What a text may hold is kept and found as it came: NUL, the last code point, quotes."""
        item = {"messageId": f"m{text}", "to": text, "from": text, "callbackData": text, text: text}
        await store.add([a_callback(item)])

        (stored,) = await everything(store)
        assert stored.read() == read_item(item, "report")
        assert await store.reports_of(f"m{text}") == [stored]
        for query in (
            ReportQuery(message_id=f"m{text}"),
            ReportQuery(to=text),
            ReportQuery(to_prefix=text),
            ReportQuery(sender=text),
            ReportQuery(callback_data=text),
            ReportQuery(callback_data_contains=text),
        ):
            assert await store.reports(query) == [stored], query

    async def test_texts_that_differ_late(self, store: ReportStore) -> None:
        """Texts that begin alike, even up to a NUL, are not taken for each other."""
        texts = ["x", "x\0", "x\0y", "x" * 60 + "y", "x" * 60 + "z"]
        await store.add([a_callback(*({"messageId": t, "to": t, "bulkId": t} for t in texts))])

        for text in texts:
            for query in (ReportQuery(to=text), ReportQuery(bulk_id=text)):
                assert message_ids(await store.reports(query)) == [text]
            assert message_ids(await store.reports_of(text)) == [text]

    async def test_half_a_character_is_nobody(self, store: ReportStore) -> None:
        """A lone surrogate, which no report can hold, names no message."""
        await store.add([a_callback(an_sms("m1"))])

        assert await store.reports_of("\ud800") == []
        assert await store.reports(ReportQuery(message_id="\ud800")) == []

    async def test_keeps_prices_exactly(self, store: ReportStore) -> None:
        """A price has the digits that it came with, however many, zeros at the end too."""
        prices = ["0.1000", "1" + "0" * 30 + ".000000000000000000000000000001", "-0.0", "0E-8"]
        items = [
            an_sms(f"m{n}", price={"pricePerMessage": Decimal(price)})
            for n, price in enumerate(prices)
        ]
        await store.add([a_callback(*items)])

        for item, stored in zip(items, await everything(store), strict=True):
            read, sent = stored.read().price, read_item(item, "report").price
            assert read is not None
            assert sent is not None
            assert str(read.per_message) == str(sent.per_message)

    @pytest.mark.parametrize("hours", [-11, 0, 14])
    async def test_instants_of_any_zone(self, store: ReportStore, hours: int) -> None:
        """An instant is the same in whatever zone it was given, and comes back in UTC."""
        at = NOON.astimezone(timezone(timedelta(hours=hours)))
        await store.add([a_callback(an_sms("m1"), NOT_A_REPORT, at=at)])

        (stored,) = await everything(store)
        (entry,) = await store.quarantine(None, 1)
        assert stored.received_at == entry.received_at == NOON
        assert stored.received_at.utcoffset() == entry.received_at.utcoffset() == timedelta(0)
        later = (at + timedelta(microseconds=1)).astimezone(UTC)
        assert await store.reports(ReportQuery(received_since=at, received_until=later)) == [stored]
        assert await store.reports(ReportQuery(received_until=at)) == []

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

    @pytest.mark.parametrize("format", ["json", "xml"])
    async def test_keeps_a_url_of_its_own(self, store: ReportStore, format: Format) -> None:
        """A report that brings the URL it is to be pushed to keeps it, to the character; others
        have none."""
        to = NotifyTo("http://me:pä%00ss'@app.example/?a=\U0001f600", format)
        (entry,) = a_callback(an_sms("m1")).verdict.entries
        await store.add([of_entries(replace(entry, notify_to=to)), a_callback(an_sms("m2"))])

        assert [report.notify_to for report in await everything(store)] == [to, None]

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
        await store.add([a_callback(an_sms("m1"))])
        (before,) = await everything(store)

        await store.add([a_callback(an_sms("m1"), an_sms("m1")), a_callback(an_sms("m1"))])
        await store.add([a_callback(an_sms("m1"))])

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

    @pytest.mark.parametrize("back", [timedelta(hours=13), 2 * DAY, 30 * DAY])
    async def test_repeated_after_the_clock_went_back(
        self, store: ReportStore, back: timedelta
    ) -> None:
        """Over midnight or further back: the clock was ahead when the report came first, and what
        is repeated lies on a day that is still to come. It was stored twice, and pushed twice."""
        await store.add([a_callback(an_sms("m1"))])

        repeat = a_callback(an_sms("m1"), an_sms("m2"), at=NOON - back)
        assert await store.add([repeat]) == [Counts(1, 1, 0)]

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

    # --- sources are tenants -------------------------------------------------------------------
    #
    # Two customers chose the same messageId, and the report of the second was swallowed as a
    # duplicate of the first one's. The second one's next report then ended the first one's message.

    async def test_the_same_report_of_two_sources(self, store: ReportStore) -> None:
        """What two sources post alike, in one group or later, is a report of each, and a repeat is
        counted on the report of its own source."""
        first = [a_callback(an_sms("m1"), source=name) for name in ("alpha", "beta")]
        assert await store.add(first) == [Counts(1, 0, 0)] * 2
        assert await store.add([a_callback(an_sms("m1"), source="gamma")]) == [Counts(1, 0, 0)]

        again = [a_callback(an_sms("m1"), source=name) for name in ("beta", "gamma", "beta")]
        assert await store.add(again) == [Counts(0, 1, 0)] * 3

        assert [(each.source, each.duplicates) for each in await everything(store)] == [
            ("alpha", 0),
            ("beta", 2),
            ("gamma", 1),
        ]

    async def test_nameless_reports_of_two_sources(self, store: ReportStore) -> None:
        """A report without messageId, too, is one of its source."""
        nameless = an_item(messageId=..., to="1")
        callbacks = [a_callback(nameless, source=name) for name in ("alpha", "beta", "beta")]

        assert await store.add(callbacks) == [Counts(1, 0, 0), Counts(1, 0, 0), Counts(0, 1, 0)]
        assert await store.add(callbacks[::-1]) == [Counts(0, 1, 0)] * 3

    async def test_messages_of_two_sources(self, store: ReportStore) -> None:
        """Messages with one messageId are as many as its sources: each has its own reports, and
        stands for itself in the list of messages."""
        enroute, arrived = an_sms("m1", "PENDING_ENROUTE"), an_sms("m1", "DELIVERED_TO_HANDSET")
        await store.add([a_callback(enroute, source="alpha"), a_callback(arrived, source="beta")])
        alpha, beta = await everything(store)

        assert await store.reports_of("m1", "alpha") == [alpha]
        assert await store.reports_of("m1", "beta") == [beta]
        assert await store.reports_of("m1", "gamma") == []
        assert await store.reports_of("m1") == [alpha, beta]
        assert await store.reports(ReportQuery(message_id="m1", source="alpha")) == [alpha]
        assert await store.reports(ReportQuery(message_id="m1")) == [beta, alpha]
        assert await store.newest_of_messages(None, 9) == [beta, alpha]
        assert alpha.message_key == beta.message_key
        assert alpha.message != beta.message

        await store.add([a_callback(arrived, source="alpha")])
        newest = await store.newest_of_messages(None, 9)
        assert [(each.source, each.final) for each in newest] == [("alpha", True), ("beta", True)]

    async def test_retried_quarantine_of_another_source(self, store: ReportStore) -> None:
        """What is read again out of quarantine is compared with its own source, in all days."""
        await store.add([a_callback(NOT_A_REPORT, source=name) for name in ("alpha", "beta")])
        beta, alpha = await store.quarantine(None, 2)
        later = NOON + 30 * DAY
        await store.add([a_callback(an_sms("m1"), source="alpha")])

        of_beta = a_callback(an_sms("m1"), source="beta", at=later)
        assert await store.resolve(beta.id, of_beta) == Counts(1, 0, 0)
        of_alpha = a_callback(an_sms("m1"), source="alpha", at=later)
        assert await store.resolve(alpha.id, of_alpha) == Counts(0, 1, 0)
        assert [each.duplicates for each in await store.reports_of("m1", "alpha")] == [1]
        assert [each.duplicates for each in await store.reports_of("m1", "beta")] == [0]

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

    async def test_the_store_goes_away_in_the_middle(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Wherever the database goes away while callbacks are stored, nothing of them is there."""
        await store.add([a_callback(an_sms("known"), b'"again"')])
        group = [
            with_body(a_callback(an_sms("m1"), an_sms("known"), NOT_A_REPORT)),
            a_callback(an_sms("m2"), an_sms("m1"), b'"again"'),
        ]

        counts = await fails_as_a_whole(backend, lambda: store.add(group))

        assert counts == [Counts(1, 1, 1), Counts(1, 1, 1)]
        assert message_ids(await everything(store)) == ["known", "m1", "m2"]
        assert [report.duplicates for report in await everything(store)] == [1, 1, 0]

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

    async def test_newest_report(self, backend: StoreBackend, store: ReportStore) -> None:
        """The newest id stays what it was when its report is gone; nothing stored is 0."""
        assert await store.newest_report() == 0
        await store.add([a_callback(an_sms("a"), an_sms("b"))])
        highest = max(ids(await everything(store)))
        assert await store.newest_report() == highest

        await backend.delete_reports()

        assert await store.newest_report() == highest

    async def test_a_reader_misses_nothing(self, backend: StoreBackend, store: ReportStore) -> None:
        """Who goes on from the last id that was read gets each report of two writers once.

        A report must not become visible below an id that was read already: ids that are given out
        in one order and committed in another lose reports for the dispatcher, for good.
        """
        writers = [store, (await backend.another()).store]
        writing = 2

        async def write(writer: int) -> None:
            nonlocal writing
            for n in range(25):
                items = [an_sms(f"{writer}-{n}-{i}") for i in range(1 + n % 4)]
                await writers[writer].add([a_callback(*items)])
            writing -= 1

        async def read() -> list[str | None]:
            found: list[str | None] = []
            last, ended = 0, False
            while not ended:
                ended = not writing  # what was stored before is read once more
                while page := await store.reports_after(last, 3):
                    assert ids(page) == sorted(ids(page))
                    last = page[-1].id
                    found += message_ids(page)
            return found

        _, _, found = await asyncio.gather(write(0), write(1), read())

        assert sorted(map(str, found)) == sorted(
            f"{writer}-{n}-{i}" for writer in (0, 1) for n in range(25) for i in range(1 + n % 4)
        )

    async def test_two_writers(self, backend: StoreBackend, store: ReportStore) -> None:
        """Of two processes that are brought the same reports at once, each report is stored by
        one, and both are told the truth."""
        writers = [store, (await backend.another()).store] * 10
        answers = await asyncio.gather(
            *(
                writer.add([a_callback(*(an_sms(f"m{(n + i) % 7}") for i in range(3)), b'"bad"')])
                for n, writer in enumerate(writers)
            )
        )

        reports = await everything(store)
        assert sorted(map(str, message_ids(reports))) == [f"m{n}" for n in range(7)]
        told = [counts for (counts,) in answers]
        assert sum(counts.stored for counts in told) == 7
        assert sum(counts.duplicates for counts in told) == 3 * len(writers) - 7
        assert sum(report.duplicates for report in reports) == 3 * len(writers) - 7
        (entry,) = await store.quarantine(None, 10)
        assert entry.repeats == len(writers) - 1

    async def test_ids_with_gaps(self, backend: StoreBackend, store: ReportStore) -> None:
        """Ids that are missing, after an erasure or a failure, are passed over by every reader."""
        await store.add([a_callback(*(an_sms(f"m{n}") for n in range(9)))])
        all = ids(await everything(store))
        await backend.delete_reports([all[0], *all[3:6], all[8]])
        left = [all[n] for n in (1, 2, 6, 7)]

        assert ids(await store.reports_after(0, 10)) == left
        assert ids(await store.reports_after(all[2], 1)) == [all[6]]
        assert ids(await store.reports_by_id(all)) == left
        assert ids(await store.reports(ReportQuery())) == left[::-1]
        assert ids(await store.reports(ReportQuery(before=all[5]))) == [all[2], all[1]]
        assert ids(await store.newest_of_messages(all[7], 10)) == [all[6], all[2], all[1]]

    async def test_instants_that_do_not_ascend(self, store: ReportStore) -> None:
        """A clock that was set back changes no order: lists and readers go by id."""
        for n, hours in enumerate([5, -100, 3, -4]):
            at = NOON + timedelta(hours=hours)
            await store.add([a_callback(an_sms(f"m{n}"), b"%d" % n, at=at)])

        assert message_ids(await everything(store)) == ["m0", "m1", "m2", "m3"]
        assert message_ids(await store.reports(ReportQuery())) == ["m3", "m2", "m1", "m0"]
        since = ReportQuery(received_since=NOON)
        assert message_ids(await store.reports(since)) == ["m2", "m0"]
        newest = await store.newest_of_messages(None, 10)
        assert message_ids(newest) == ["m3", "m2", "m1", "m0"]
        entries = await store.quarantine(None, 10)
        assert ids(entries) == sorted(ids(entries), reverse=True)

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

    @pytest.mark.parametrize("before", [-(10**18), 0, 1, 10**18])
    async def test_cursors_beyond_the_ends(self, store: ReportStore, before: int) -> None:
        """A cursor below the first id leaves nothing, one above the last leaves all."""
        await store.add([a_callback(an_sms("m1"), an_sms("m2"), NOT_A_REPORT)])
        everywhere = before > 1

        reports = await store.reports(ReportQuery(before=before))
        assert message_ids(reports) == (["m2", "m1"] if everywhere else [])
        assert await store.reports(ReportQuery(before=before, message_id="m1")) == reports[1:]
        assert await store.newest_of_messages(before, 10) == reports
        assert len(await store.quarantine(before, 10)) == everywhere

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

    async def test_newest_of_messages_of_any_day(self, store: ReportStore) -> None:
        """A message stands once, however long ago its reports came, and other messages since."""
        for day, status in enumerate(("PENDING_ENROUTE", "DELIVERED_TO_HANDSET")):
            await store.add([a_callback(an_sms("m1", status), at=NOON + day * DAY)])
        await store.add([a_callback(an_sms("m2"), at=NOON + 40 * DAY)])

        found = await store.newest_of_messages(None, 10)
        assert message_ids(found) == ["m2", "m1"]
        assert found[1].final

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
        unreadable = verdict_on_bytes(body, "json").quarantined
        callback = Callback("default", "json", None, NOON, Verdict(quarantined=unreadable))
        assert await store.add([callback]) == [Counts(0, 0, 1)]

        (entry,) = await store.quarantine(None, 10)
        assert entry.content_type is None
        assert await store.quarantined(entry.id) == (entry, body)

    async def test_quarantine_of_nothing(self, store: ReportStore) -> None:
        """An empty body is an entry of no bytes."""
        unreadable = verdict_on_bytes(b"", "json").quarantined
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

    async def test_quarantine_by_time(self, store: ReportStore) -> None:
        """Of a range the beginning belongs to it, the end does not; ids say nothing of it."""
        for hour in (2, 0, 1, 3):
            await store.add([a_callback(b"%d" % hour, at=NOON + timedelta(hours=hour))])
        since, until = NOON + timedelta(hours=1), NOON + timedelta(hours=3)

        assert ids(await store.quarantine(None, 9, since=since, until=until)) == [3, 1]
        assert ids(await store.quarantine(3, 9, since=since)) == [1]
        assert ids(await store.quarantine(None, 2, until=until)) == [3, 2]

    async def test_quarantine_keeps_what_was_told(self, store: ReportStore) -> None:
        """Place, reason and content type are kept whole, whatever the sender put into them."""
        raw = b'{"smsCount":"ma\\u0000ny"}'
        callback = replace(a_callback(raw), content_type='application/json; x="\0\U0010ffff"')
        (unreadable,) = callback.verdict.quarantined
        assert "\0" in unreadable.reason
        await store.add([callback])

        (entry,) = await store.quarantine(None, 10)
        assert (entry.place, entry.reason) == (unreadable.place, unreadable.reason)
        assert entry.content_type == callback.content_type

    async def test_quarantine_counts_repeats(self, store: ReportStore) -> None:
        """The same bytes of the same sender are kept once; of another they are an entry of their
        own."""
        for source, content_type in [("a", "x"), ("a", "x"), ("b", "x"), ("a", None), ("a", None)]:
            callback = a_callback(NOT_A_REPORT, source=source)
            await store.add([replace(callback, content_type=content_type)])

        entries = await store.quarantine(None, 10)
        told = [(entry.source, entry.content_type, entry.repeats) for entry in entries]
        assert told == [("a", None, 1), ("b", "x", 0), ("a", "x", 1)]

    async def test_unknown_quarantine_entry(self, store: ReportStore) -> None:
        """There is no entry that was never made."""
        assert await store.quarantined(1) is None
        assert await store.quarantined(10**18 - 1) is None

    # --- quarantine read again -----------------------------------------------------------------

    async def test_resolve(self, store: ReportStore) -> None:
        """What can be read of an entry now takes its place; what it repeats, however old, is
        counted."""
        await store.add([a_callback(an_sms("old"), at=NOON - 90 * DAY)])
        await store.add([a_callback(an_sms("recent"))])
        entry = await _quarantined(store)
        callback = a_callback(an_sms("new"), an_sms("old"), an_sms("new"), b'"still bad"')

        assert await store.resolve(entry, callback) == Counts(1, 2, 1)

        reports = await everything(store)
        assert message_ids(reports) == ["old", "recent", "new"]
        assert [report.duplicates for report in reports] == [1, 0, 1]
        (left,) = await store.quarantine(None, 10)
        assert (await store.quarantined(left.id)) == (left, b'"still bad"')
        assert left.id > entry

    async def test_dismiss(self, store: ReportStore) -> None:
        """An entry is taken out for good, with its bytes; the others stay. It is done once, and the
        same bytes that come again are kept again."""
        bad = a_callback(b"!", b"?")
        await store.add([bad])
        newer, older = await store.quarantine(None, 9)

        assert await store.dismiss(older.id)
        assert not await store.dismiss(older.id)
        assert not await store.dismiss(99)

        assert [each.id for each in await store.quarantine(None, 9)] == [newer.id]
        assert await store.quarantined(older.id) is None
        await store.add([bad])
        left = await store.quarantine(None, 9)
        assert [each.repeats for each in left] == [0, 1]

    async def test_resolve_what_is_gone(self, store: ReportStore) -> None:
        """For an entry that is not there nothing is stored."""
        assert await store.resolve(7, a_callback(an_sms("m1"))) is None
        assert await everything(store) == []

    async def test_resolve_at_the_same_time(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Of two that read an entry again at once, one stores it."""
        entry = await _quarantined(store)
        writers = [store, (await backend.another()).store]

        answers = await asyncio.gather(
            *(writer.resolve(entry, a_callback(an_sms("m1"))) for writer in writers)
        )

        assert sorted(map(str, answers)) == sorted(map(str, [Counts(1, 0, 0), None]))
        assert [report.duplicates for report in await everything(store)] == [0]

    async def test_the_store_goes_away_while_resolving(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Until what could be read is stored, the entry stays."""
        await store.add([a_callback(an_sms("old"))])
        entry = await _quarantined(store)
        callback = a_callback(an_sms("old"), an_sms("new"), b'"still bad"')

        counts = await fails_as_a_whole(backend, lambda: store.resolve(entry, callback))

        assert counts == Counts(1, 1, 1)

    # --- items as received ---------------------------------------------------------------------

    async def test_json_as_it_came(self, store: ReportStore) -> None:
        """Blanks, order, quotes around numbers: the item is given byte for byte."""
        plain = _encode(an_sms("a"))
        body = json_format.encode_body([plain, NOT_A_REPORT, PRETTY])
        await store.add([received(body)])

        assert await items_as_received(store) == {"a": plain, "p": PRETTY}

    async def test_json_as_it_is_stored(self, store: ReportStore) -> None:
        """A body that says just what is stored is not kept twice, and is still given."""
        stored = verdict_on_bytes(json_format.encode_body([_encode(an_sms("a"))]), "json").entries
        callback = received(json_format.encode_body([entry.item for entry in stored]))

        assert callback.verdict.received is None
        await store.add([callback])
        assert await items_as_received(store) == {"a": stored[0].item}

    async def test_xml_as_it_came(self, store: ReportStore) -> None:
        """XML items are given as they stood in their document, in UTF-8."""
        latin = f"<?xml version='1.0' encoding='latin-1'?><r><results>{LATIN}</results></r>"
        await store.add(
            [
                received(b"<r><results>" + XML + b"</results></r>", "xml"),
                received(latin.encode("latin-1"), "xml"),
            ]
        )

        assert await items_as_received(store) == {"x1": XML, "x2": LATIN.encode()}

    async def test_xml_after_a_blank(self, store: ReportStore) -> None:
        """Items of a document with a blank before its declaration are given like any others."""
        document = b"\n<?xml version='1.0' encoding='UTF-8'?><r><results>" + XML + b"</results></r>"
        await store.add([received(document, "xml")])

        assert await items_as_received(store) == {"x1": XML}

    async def test_repeats_have_the_first_form(self, store: ReportStore) -> None:
        """A report keeps its first form; new ones beside its repeat have theirs."""
        await store.add([received(V2_XML, "xml")])
        both = json_format.encode_body([_encode(an_item()), _encode(an_sms("new"))])
        await store.add([received(both)])

        found = await items_as_received(store)
        assert found["2033247207850523791"] is not None
        assert found["2033247207850523791"].startswith(b"<result>")
        assert found["new"] is not None
        assert found["new"] in both

    async def test_as_received_after_gaps(self, backend: StoreBackend, store: ReportStore) -> None:
        """A report whose neighbours in the body are gone is still given as it came."""
        pretty = [PRETTY.replace(b'"p"', b'"%d"' % n) for n in range(4)]
        await store.add([received(json_format.encode_body(pretty))])
        all = ids(await everything(store))
        await backend.delete_reports([all[0], all[2]])

        assert await items_as_received(store) == {"1": pretty[1], "3": pretty[3]}


async def _quarantined(store: ReportStore) -> int:
    """An entry that an older program made: its id."""
    await store.add([a_callback(NOT_A_REPORT)])
    return (await store.quarantine(None, 1))[0].id


def with_body(callback: Callback) -> Callback:
    """The same callback of a body that has to be kept beside what is stored of it."""
    return replace(callback, verdict=replace(callback.verdict, received=b"[]"))


def received(body: bytes, format: Format = "json") -> Callback:
    """A callback as the receiver makes one of this body."""
    return Callback("default", format, None, NOON, verdict_on_bytes(body, format))


async def items_as_received(store: ReportStore) -> dict[str, bytes | None]:
    """messageId to the bytes as received, None where they are not kept."""
    reports = await store.reports_after(0, 100)
    kept = await store.as_received(reports)
    return {report.read().message_id or "": kept.get(report.id) for report in reports}


def _done(second: int) -> str:
    return f"2026-03-02T12:00:{second:02}.000+0000"


def _with_cursor(query: ReportQuery, before: int | None) -> ReportQuery:
    return ReportQuery(limit=query.limit, message_id=query.message_id, before=before)
