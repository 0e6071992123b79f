"""What every store adds up (ReportStore.totals in receiver/store/base.py).

Totals against an oracle that decodes every report and adds up itself. An implementation's test
derives a class from `ReportTotalsContract` and gives it a fixture `backend`.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal, localcontext
from itertools import product
from typing import Any, get_args

import pytest

from receiver.dlr.model import Format, Report
from receiver.store.base import PartTotals, ReportStore, StoredReport, Totals, TotalsQuery
from receiver.store.excerpt import Dimension, calling_code, key_of_text
from receiver.store.histogram import bin_of
from receiver.store.tally import DAY, HOUR, MINUTE
from tests.contracts.report_store import NOON, StoreBackend, a_callback, an_sms, everything, ids
from tests.receiver.dlr.generated import SOURCES, generated_callbacks

REPORTS = 300
START = int(NOON.timestamp()) // DAY * DAY - 3 * DAY
END = START + 7 * DAY


# --- the oracle ----------------------------------------------------------------------------------


def added_up(reports: Iterable[StoredReport], query: TotalsQuery) -> dict[int, Any]:
    """Start of each span that has reports, ascending, to what must be in it: status groups, errors
    and prices with their counts, and all durations in milliseconds."""
    spans: defaultdict[int, Any] = defaultdict(
        lambda: {"groups": Counter(), "errors": Counter(), "prices": {}, "durations": []}
    )
    for stored in reports:
        start = int(stored.received_at.timestamp()) // query.span * query.span
        fits = query.source in (None, stored.source) and query.final in (None, stored.final)
        if not fits or not query.since <= start < query.until:
            continue
        span, report = spans[start], stored.read()
        span["groups"][stored.status_group] += 1
        error = report.error
        if error is not None and (error.id is not None or error.name):
            span["errors"][error.group_id, error.id, (error.name or "").upper() or None] += 1
        if report.price is not None and report.price.per_message is not None:
            currency = (report.price.currency or "").upper()
            count, sum = span["prices"].get(currency, (0, Decimal(0)))
            with localcontext(prec=100):
                span["prices"][currency] = (count + 1, sum + cost(report))
        if report.sent_at is not None and report.done_at is not None:
            took = (report.done_at - report.sent_at) // timedelta(milliseconds=1)
            span["durations"].append(max(0, took))
    return {start: spans[start] for start in sorted(spans)}


def cost(report: Report) -> Decimal:
    """The price of a part for each part. What has no count, or none that is possible, is one."""
    assert report.price is not None
    assert report.price.per_message is not None
    return report.price.per_message * max(1, report.message_count or 1)


def expected(reports: Sequence[StoredReport], query: TotalsQuery) -> dict[int, Any]:
    """As `added_up`, with the durations counted in their bins, as a store gives them."""
    spans = added_up(reports, query)
    for span in spans.values():
        span["durations"] = Counter(map(bin_of, span["durations"]))
    return spans


def told(totals: Totals) -> dict[int, Any]:
    """Totals in the form of the oracle."""
    spans: dict[int, Any] = {
        counted.start: {"groups": Counter(), "errors": Counter(), "prices": {}, "durations": {}}
        for counted in totals.outcomes
    }
    for counted in totals.outcomes:
        assert counted.outcome is not None
        said, span = counted.outcome, spans[counted.start]
        span["groups"][said.status_group] += counted.reports
        if said.error_id is not None or said.error_name is not None:
            key = (said.error_group, said.error_id, said.error_name)
            span["errors"][key] += counted.reports
    for price in totals.prices:
        count, sum = spans[price.start]["prices"].get(price.currency, (0, Decimal(0)))
        with localcontext(prec=100):
            spans[price.start]["prices"][price.currency] = (count + price.reports, sum + price.sum)
    for duration in totals.durations:
        assert duration.bin not in spans[duration.start]["durations"]
        spans[duration.start]["durations"][duration.bin] = duration.reports
    return spans


async def check(store: ReportStore, query: TotalsQuery) -> None:
    """The totals are those of the reports that are there, none is missing, the starts ascend."""
    totals = await store.totals(query)
    assert totals.lag == 0
    for rows in (totals.outcomes, totals.prices, totals.durations):
        starts = [row.start for row in rows]
        assert starts == sorted(starts)
    assert told(totals) == expected(await everything(store), query), query


def queries() -> Iterable[TotalsQuery]:
    """Each span, source and finality."""
    for span in (HOUR, DAY):
        for source in (None, *SOURCES, "nowhere"):
            for final in (None, True, False):
                yield TotalsQuery(span, START, END, source, final)


def by_value(reports: Iterable[StoredReport], dimension: str, query: TotalsQuery) -> Any:
    """What `part_totals` must say: by value the reports, those that are final, prices of these, and
    by start of the span how many were delivered of how many that are final."""
    found: defaultdict[str, list[Any]] = defaultdict(lambda: [0, 0, Decimal(0), {}])
    for stored in reports:
        start = int(stored.received_at.timestamp()) // query.span * query.span
        fits = query.source in (None, stored.source) and query.final in (None, stored.final)
        if not fits or not query.since <= start < query.until:
            continue
        report = stored.read()
        values = {
            "network": f"{(report.mcc_mnc or '').strip()[:8]} {calling_code(report.to)}",
            "sender": key_of_text(report.sender or ""),
            "source": stored.source,
        }
        row = found[values[dimension]]
        row[0] += 1
        row[1] += stored.final
        if stored.final:
            delivered, final = row[3].get(start, (0, 0))
            row[3][start] = (delivered + (stored.status_group == 3), final + 1)
        if stored.final and report.price is not None and report.price.per_message is not None:
            with localcontext(prec=100):
                row[2] += cost(report)
    return {value: tuple(row) for value, row in found.items()}


def told_by_value(totals: PartTotals) -> Any:
    found: defaultdict[str, list[Any]] = defaultdict(lambda: [0, 0, Decimal(0), {}])
    for counted in totals.outcomes:
        assert counted.value is not None
        assert counted.outcome is not None
        found[counted.value][0] += counted.reports
        found[counted.value][1] += counted.reports * counted.outcome.final
    for price in totals.prices:
        assert price.value is not None
        if price.final:
            with localcontext(prec=100):
                found[price.value][2] += price.sum
    for value, starts in totals.shares.items():
        assert value is not None
        found[value][3] = dict(starts)
    return {value: tuple(row) for value, row in found.items()}


class ReportTotalsContract:
    @pytest.fixture
    def store(self, backend: StoreBackend) -> ReportStore:
        return backend.store

    @pytest.mark.parametrize("followed", [0, 2, 9])
    async def test_sources_are_compared_to_the_letter(
        self, backend: StoreBackend, store: ReportStore, followed: int
    ) -> None:
        """No sign of a source stands for another one, nor a small letter for a capital."""
        sources = ["a_b", "a%b", "axb", "A_B"]
        for source in sources:
            await store.add([a_callback(an_sms(source), source=source)])
        await backend.read_model.turn(followed)

        for source in sources:
            totals = await store.totals(TotalsQuery(DAY, START, END, source))
            assert sum(counted.reports for counted in totals.outcomes) == 1
            await check(store, TotalsQuery(DAY, START, END, source))

    @pytest.mark.parametrize("followed", [0, 120, REPORTS])
    async def test_adds_up_what_there_is(
        self, backend: StoreBackend, store: ReportStore, followed: int
    ) -> None:
        """Counts, exact sums and durations are those of the reports, however far the read model has
        come, for each source and finality."""
        await store.add(list(generated_callbacks(followed, REPORTS)))
        await backend.read_model.turn(followed)

        for query in queries():
            await check(store, query)

    async def test_a_part_of_the_time(self, backend: StoreBackend, store: ReportStore) -> None:
        """Of a range the beginning belongs to it, the end does not, also among what is not
        followed yet."""
        await store.add(list(generated_callbacks(1, REPORTS)))
        await backend.read_model.turn(150)
        rng = random.Random(1)

        for _ in range(20):
            first, last = sorted(rng.sample(range(7 * 24), 2))
            query = TotalsQuery(HOUR, START + first * HOUR, START + last * HOUR)
            await check(store, query)

    @pytest.mark.parametrize("turns", [0, 5, 10])
    async def test_sums_are_exact(
        self, backend: StoreBackend, store: ReportStore, turns: int
    ) -> None:
        """Three hundred times a price that no float holds is exactly that."""
        for n in range(10):
            items = [
                an_sms(f"m{n}-{i}", price={"pricePerMessage": 0.1, "currency": "EUR"})
                for i in range(30)
            ]
            await store.add([a_callback(*items)])
            if n < turns:
                await backend.read_model.turn()

        (price,) = (await store.totals(TotalsQuery(DAY, START, END))).prices
        assert (price.currency, price.reports, price.sum) == ("EUR", 300, Decimal("30.0"))

    @pytest.mark.parametrize("followed", [0, 9])
    async def test_every_part_is_paid_for(
        self, backend: StoreBackend, store: ReportStore, followed: int
    ) -> None:
        """A price is of one part: an SMS of three costs three times as much, in either generation
        and whatever it came in. One without a count, or with none that is possible, is one part."""
        price = {"pricePerMessage": 0.013, "currency": "EUR"}
        counts: list[dict[str, Any]] = [
            {"smsCount": 3, "from": "Shop"},
            {"messageCount": 4, "sender": "Shop"},
            {},
            {"smsCount": 0},
            {"smsCount": -2},
        ]
        for format in get_args(Format):
            items = [
                an_sms(f"{format}{n}", price=price, **{"smsCount": ..., "from": ..., **count})
                for n, count in enumerate(counts)
            ]
            await store.add([a_callback(*items, format=format)])
        await backend.read_model.turn(followed)

        query = TotalsQuery(DAY, START, END)
        (sum,) = (await store.totals(query)).prices
        (by_source,) = (await store.part_totals(query, "source")).prices
        assert (sum.reports, sum.sum) == (10, Decimal("0.26"))
        assert by_source.sum == sum.sum
        await check(store, query)

    async def test_sums_of_many_digits(self, backend: StoreBackend, store: ReportStore) -> None:
        """A sum keeps every digit of what was added, the smallest beside the largest, and what is
        taken away again leaves nothing."""
        large = "1" + "0" * 37
        prices = [large, "1e-40", "-3", "0.000", f"-{large}"]
        for n, price in enumerate(prices):
            item = an_sms(f"m{n}", price={"pricePerMessage": Decimal(price), "currency": "eur"})
            await store.add([a_callback(item)])
            await backend.read_model.turn()
        query = TotalsQuery(DAY, START, END)

        (sum,) = (await store.totals(query)).prices

        assert (sum.currency, sum.reports) == ("EUR", 5)
        assert sum.sum == Decimal("-2." + "9" * 40)
        await check(store, query)

    async def test_currencies_that_are_none(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Whatever stands as a currency, hostile texts too, is added up under a short name."""
        texts = ["eur", " Eur ", "", "E\0R", "x" * 100, "\u20ac", "'; DROP"]
        items = [
            an_sms(f"m{n}", price={"pricePerMessage": 1, "currency": text})
            for n, text in enumerate(texts)
        ]
        for followed in (3, 100):
            await store.add([a_callback(*items)])
            await backend.read_model.turn(followed)

        prices = (await store.totals(TotalsQuery(DAY, START, END))).prices

        assert [(p.currency, p.reports, p.sum) for p in prices] == [
            ("", 1, Decimal(1)),
            ("?", 4, Decimal(4)),
            ("EUR", 2, Decimal(2)),
        ]

    async def test_what_is_gone_stays_added_up(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Reports that retention has removed stay in the totals."""
        await store.add(list(generated_callbacks(2, REPORTS)))
        await backend.read_model.catch_up()
        query = TotalsQuery(HOUR, START, END)
        before = await store.totals(query)

        await backend.delete_reports(ids(await everything(store))[:200])

        assert await store.totals(query) == before

    async def test_what_another_process_stored(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Two processes that receive and follow come to one sum."""
        other = await backend.another()
        for n in range(6):
            for each in (backend, other):
                await each.store.add(list(generated_callbacks(20 + n, 30)))
                await each.read_model.turn(20)

        for query in queries():
            await check(store, query)
            await check(other.store, query)

    async def test_instants_before_1970(self, backend: StoreBackend, store: ReportStore) -> None:
        """A clock that was never set puts reports into the hours before 1970 or of it."""
        for n, seconds in enumerate((-1, 0, 3599, -DAY)):
            at = NOON + timedelta(seconds=seconds - NOON.timestamp())
            await store.add([a_callback(an_sms(f"m{n}"), at=at)])
        await backend.read_model.turn(2)

        totals = await store.totals(TotalsQuery(HOUR, -2 * DAY, DAY))

        assert [(c.start, c.reports) for c in totals.outcomes] == [(-DAY, 1), (-HOUR, 1), (0, 2)]

    # --- by the parts of reports -----------------------------------------------------------------

    @pytest.mark.parametrize("followed", [0, 120, REPORTS])
    async def test_by_parts(self, backend: StoreBackend, store: ReportStore, followed: int) -> None:
        """By operator and country, by sender and by source, however far the read model has come,
        for each source and finality."""
        await store.add(list(generated_callbacks(followed + 7, REPORTS)))
        numbers = ["41793026727", "+1 242 357 0000", "00385981234567", "InfoSMS", None]
        items = [
            an_sms(f"n{n}", to=to, mccMnc=mcc_mnc, sender="Shop")
            for n, (to, mcc_mnc) in enumerate(product(numbers, ["22801", "310-410", None]))
        ]
        await store.add([a_callback(*items)])
        await backend.read_model.turn(followed)
        reports = await everything(store)

        for dimension in get_args(Dimension):
            for query in queries():
                totals = await store.part_totals(query, dimension)
                assert told_by_value(totals) == by_value(reports, dimension, query)
                assert totals.lag == 0

    async def test_minutes(self, backend: StoreBackend, store: ReportStore) -> None:
        """Minutes are counted as hours are. They are dropped after two days, when newer ones are
        counted; hours are not."""
        for n, days in enumerate((0, 1, 3)):
            at = NOON + timedelta(days=days, seconds=61)
            await store.add([a_callback(an_sms(f"m{n}"), at=at)])
            if not days:
                await check(store, TotalsQuery(MINUTE, START, END))
            await backend.read_model.catch_up()

        minutes = await store.totals(TotalsQuery(MINUTE, START, END))
        hours = await store.totals(TotalsQuery(HOUR, START, END))

        assert [len(minutes.outcomes), len(hours.outcomes)] == [2, 3]
        assert minutes.outcomes[-1].start == NOON.timestamp() + 3 * DAY + MINUTE
