"""Everything that the logs have of a span of time, page by page. Pure but for `ask`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from msgspec import structs

from dispatcher.reconcile.log_page import Api, LogPage
from receiver.dlr.instants import format_instant

Ask = Callable[[Mapping[str, str]], Awaitable[LogPage]]
"""Asks for the page that these parameters describe."""

PAGE = 1_000
"""Entries in an answer: the provider's most, and what "full" means."""

SHORTEST = timedelta(milliseconds=3)
_OVERLAP = timedelta(milliseconds=1)
"""sentSince and sentUntil have milliseconds, and "after" and "before" is all that is said of
whether they belong to the span. So halves overlap, and no message falls between them; spans of a
length that halves would not shorten are not cut."""


class EndlessLogs(Exception):
    """The provider's cursor goes round in a circle."""


async def all_pages(api: Api, ask: Ask, since: datetime, until: datetime) -> AsyncIterator[LogPage]:
    """All entries sent in the span; a few of v1 may come twice. Raises what `ask` raises, and
    `EndlessLogs`."""
    pages = _by_cursor if api == "v3" else _by_halves
    async for page in pages(ask, since, until):
        yield page


async def _by_cursor(ask: Ask, since: datetime, until: datetime) -> AsyncIterator[LogPage]:
    parameters = {**_span(since, until), "useCursor": "true"}
    used: set[str] = set()
    while True:
        page = await ask(parameters)
        yield page
        if page.cursor is None or not page.size:
            return
        if page.cursor in used:
            raise EndlessLogs(f"the cursor {page.cursor!r} came a second time")
        used.add(page.cursor)
        parameters = {**parameters, "cursor": page.cursor}


async def _by_halves(ask: Ask, since: datetime, until: datetime) -> AsyncIterator[LogPage]:
    """/sms/1/logs has no cursor: a span that fills a page is asked again in two halves. That needs
    no word about the order within a page, of which there is none."""
    spans = [(since, until)]
    while spans:
        start, end = spans.pop()
        page = await ask(_span(start, end))
        full = page.size >= PAGE
        if full and end - start > SHORTEST:
            middle = start + (end - start) / 2
            spans += [(start, middle + _OVERLAP), (middle - _OVERLAP, end)]
        else:
            yield structs.replace(page, cut_off=full)


def _span(since: datetime, until: datetime) -> dict[str, str]:
    return {
        "sentSince": format_instant(since),
        "sentUntil": format_instant(until),
        "limit": str(PAGE),
    }
