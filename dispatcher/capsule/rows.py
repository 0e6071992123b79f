"""What a capture makes of a database's rows: the same for each database. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from dispatcher.capsule.base import Span
from dispatcher.capsule.capsule import SharedAttempt, SharedDispatch
from receiver.store.instants import instant


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
