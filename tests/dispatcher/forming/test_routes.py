"""Many endpoints look at the same reports: each looks at those that may go to it.

A hundred endpoints looked at 5,000 reports each, one after the other, and held up the loop for
82 ms, in which no callback was answered and no push begun.
"""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dispatcher.endpoints.endpoint import Rules
from dispatcher.forming import routing
from dispatcher.forming.bucket import fill
from dispatcher.forming.former import AT_A_STRETCH
from dispatcher.forming.routing import Routes, goes_to
from receiver.dlr.model import Report
from receiver.store.base import ReportItem, StoredReport
from receiver.store.callback import NotifyTo
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.support import a_bench, an_endpoint, stored

SOURCES = ("a", "b")
NAMES = ("x", "y", "+41 79 1")


def some_reports() -> list[StoredReport]:
    """Each source, sender, application and bulk with each other; each third brought a URL."""
    callbacks = [
        a_callback(
            an_sms(f"{source}{number}", sender=sender, applicationId=application, bulkId=bulk),
            source=source,
        )
        for source in SOURCES
        for number, (sender, application, bulk) in enumerate(
            (s, a, b) for s in NAMES for a in ("x", "y") for b in ("x", None)
        )
    ]
    own = NotifyTo("https://own.example", "json")
    return [
        structs.replace(each, notify_to=own if number % 3 == 2 else None)
        for number, each in enumerate(asyncio.run(stored(*callbacks)))
    ]


REPORTS = some_reports()
values = st.frozensets(st.sampled_from([*NAMES, "nobody", "41791"]), max_size=2)
rules = st.just(Rules()) | st.builds(
    Rules,
    own_urls=st.sampled_from([False, True, None]),
    sources=st.frozensets(st.sampled_from([*SOURCES, "c"]), max_size=2),
    final=st.sampled_from([None, True, False]),
    senders=values,
    bulk_ids=values,
    application_ids=values,
    nothing=st.booleans(),
)


@given(rules, st.integers(1, 30))
def test_none_is_left_out(these: Rules, room: int) -> None:
    """What goes to an endpoint, and how far it has read, are the same as when it looks at all."""
    going = [report for report in REPORTS if goes_to(report, these)]
    endpoint = an_endpoint(rules=these, bucket_size=1)

    forming = fill(endpoint, REPORTS, room=room, routes=Routes(REPORTS))

    assert [each.reports[0] for each in forming.buckets] == going[:room]
    following = going[room].id if len(going) > room else REPORTS[-1].id + 1
    assert forming.read_to == following - 1


def test_a_report_that_cannot_be_read_is_the_failure_of_those_who_ask_for_it() -> None:
    """It may be any endpoint's that asks for a field of it, and of no other."""

    class Unreadable(Exception):
        pass

    def read(report: ReportItem) -> Report:
        if report is REPORTS[3]:
            raise Unreadable
        return report.read()

    routes = Routes(REPORTS)
    routes.read = read

    assert 3 in routes.among(Rules(application_ids=frozenset({"x"})))
    assert 3 not in routes.among(Rules(sources=frozenset({"b"})))


async def test_each_looks_at_its_own_and_the_loop_goes_on() -> None:
    """Twenty endpoints with a source each look at each report once, and not twenty times; and
    between two of them others have their turn."""
    many = 2 * AT_A_STRETCH
    endpoints = [
        an_endpoint(f"e{n}", window=1, bucket_size=many, rules=Rules(sources=frozenset({f"s{n}"})))
        for n in range(20)
    ]
    looked: list[int] = []
    turns = 0

    def counted(report: StoredReport, *given: Any) -> bool:
        looked.append(turns)
        return goes_to(report, *given)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with a_bench(*endpoints) as bench:
        for n in range(20):
            items = [an_sms(f"{n}-{i}") for i in range(many // 20)]
            await bench.receive(*items, source=f"s{n}")
        with patch.object(routing, "goes_to", counted):
            beside = asyncio.create_task(others())
            await bench.worker.claim()
            beside.cancel()

    assert len(looked) == many
    assert len(set(looked)) == 20
