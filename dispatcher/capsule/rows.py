"""What a capture makes of a database's rows: the same for each database. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from dispatcher.capsule.base import CapturedReport, Span, Window
from dispatcher.capsule.capsule import SharedAttempt, SharedDispatch
from receiver.store.instants import instant, micros


def asked_of(window: Window, first: int = 0, last: int = 0) -> dict[str, Any]:
    """A window, and the first id and the last, as a database compares them."""
    return {
        "since": micros(window.since),
        "until": micros(window.until),
        "endpoint": window.endpoint,
        "first": first,
        "last": last,
    }


def reports_of(rows: Iterable[tuple[Any, ...]]) -> list[CapturedReport]:
    """The rows: received_at, source, format, item."""
    return [CapturedReport(instant(at), *told) for at, *told in rows]


def span_of(rows: Sequence[tuple[Any, ...]]) -> Span | None:
    ((first, last),) = rows
    return None if first is None else (first, last)


def dispatches_of(rows: Iterable[tuple[Any, ...]]) -> Iterator[SharedDispatch]:
    for _, found in groupby(rows, key=itemgetter(0)):
        lines = list(found)
        _, created_at, reports, state, *_ = lines[0]
        attempts = [
            SharedAttempt(instant(started_at), duration_ms, outcome, status)
            for *_, started_at, duration_ms, outcome, status in lines
            if started_at is not None
        ]
        yield SharedDispatch(instant(created_at), reports, state, attempts)
