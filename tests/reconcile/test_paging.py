"""The logs are read to their end: v3 by cursor, v1 by halving spans of time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.reconcile import paging
from dispatcher.reconcile.log_page import Api, LogPage
from dispatcher.reconcile.paging import EndlessLogs, all_pages
from receiver.dlr.instants import parse_instant
from receiver.dlr.model import Report
from tests.reconcile.scripted_provider import NOW

DAY = timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)


class Logs:
    """Entries by when they were sent; a page has no order that anybody could rely on."""

    def __init__(self, sent: list[datetime]) -> None:
        self._entries = [Report(message_id=str(n), sent_at=at) for n, at in enumerate(sent)]
        self.calls: list[Mapping[str, str]] = []

    async def ask(self, parameters: Mapping[str, str]) -> LogPage:
        self.calls.append(parameters)
        since, until = (parse_instant(parameters[name]) for name in ("sentSince", "sentUntil"))
        found = [each for each in self._entries if each.sent_at and since < each.sent_at < until]
        start = int(parameters.get("cursor", 0))
        end = start + paging.PAGE
        more = str(end) if "useCursor" in parameters and end < len(found) else None
        page = found[start:end]
        return LogPage(page[::-1], [], len(page), more)


async def read(api: Api, logs: Logs) -> tuple[set[str | None], bool]:
    """The messages that were seen, and whether there are more."""
    seen: set[str | None] = set()
    cut_off = False
    async for page in all_pages(api, logs.ask, NOW - DAY, NOW):
        seen.update(entry.message_id for entry in page.entries)
        cut_off |= page.cut_off
    return seen, cut_off


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE", 10)


@pytest.mark.parametrize("api", ["v1", "v3"])
@settings(max_examples=50)
@given(st.lists(st.integers(1, 86_400_000 - 1), max_size=200, unique=True))
async def test_every_entry_is_seen(api: Api, milliseconds: list[int]) -> None:
    """However messages lie in the span, each is seen at least once."""
    sent = [NOW - DAY + number * MILLISECOND for number in milliseconds]

    seen, cut_off = await read(api, Logs(sent))

    assert seen == {str(number) for number in range(len(sent))}
    assert not cut_off


async def test_more_at_one_instant_than_a_page_holds_is_told() -> None:
    """/sms/1/logs cannot give more than a page of one millisecond: that is said, and it ends."""
    seen, cut_off = await read("v1", Logs([NOW - timedelta(hours=1)] * 11))

    assert len(seen) == 10
    assert cut_off


async def test_v3_goes_from_cursor_to_cursor() -> None:
    """The first call has no cursor, each later one that of the answer before, all the same span."""
    logs = Logs([NOW - timedelta(hours=1)] * 25)

    await read("v3", logs)

    assert [call.get("cursor") for call in logs.calls] == [None, "10", "20"]
    assert {call["useCursor"] for call in logs.calls} == {"true"}
    assert len({call["sentSince"] for call in logs.calls}) == 1


async def test_a_cursor_that_goes_in_a_circle_ends() -> None:
    """A provider that gives the same cursor again is not asked for ever."""

    async def ask(_: Mapping[str, str]) -> LogPage:
        return LogPage([Report(message_id="m")], [], 1, "again")

    with pytest.raises(EndlessLogs):
        [page async for page in all_pages("v3", ask, NOW - DAY, NOW)]
