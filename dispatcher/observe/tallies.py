"""Attempts as the tallies of their endpoints count them: the same for each database. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from dispatcher.observe.base import (
    ACTIVITY_KEPT,
    Activity,
    ActivitySpan,
    AttemptCount,
    LatenessCount,
)
from receiver.store.histogram import bin_of

TAIL_MOST: Final = 2_000
"""Attempts that were not counted yet and are counted for one answer: 10 ms."""

SPANS: Final[dict[ActivitySpan, int]] = {"minute": 60, "hour": 3_600}
"""The length of each span in seconds."""

Row = Sequence[Any]
"""An attempt: id, started_at, duration_ms, status, outcome, endpoint, reports of its dispatch, and
received_at of the first of them (None: it says nothing of lateness). Or a row of a tally, whose
last column is a count."""


def attempts_by_key(rows: Iterable[Row], span: int) -> Counter[tuple[Any, ...]]:
    """Attempts by the key of attempt_tally."""
    return Counter(
        (span, endpoint, outcome, (status or 0) // 100, _bin(int(ms)), _start(started_at, span))
        for _, started_at, ms, status, outcome, endpoint, _, _ in rows
    )


def lateness_by_key(rows: Iterable[Row], span: int) -> Counter[tuple[Any, ...]]:
    """Reports by the key of lateness_tally."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for _, started_at, ms, _, _, endpoint, reports, received_at in rows:
        if received_at is not None:
            late = int((started_at - received_at) / 1_000 + ms)
            counts[span, endpoint, _bin(late), _start(started_at, span)] += reports
    return counts


def in_spans(seconds: int, counts: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """The same counts, added up in longer spans of `seconds`."""
    longer: Counter[tuple[Any, ...]] = Counter()
    for (_, *key, start), count in counts.items():
        longer[seconds, *key, start // seconds * seconds] += count
    return longer


@lru_cache(maxsize=4096)
def _bin(milliseconds: int) -> int:
    """The bin of a duration that is rounded to four binary digits: so a fourth of the rows."""
    shift = max(milliseconds.bit_length() - 4, 0)
    return bin_of((milliseconds >> shift << shift) + (1 << shift >> 1))


def _start(at: int, span: int) -> int:
    return int(at) // (span * 1_000_000) * span


def summed(stored: Sequence[Row], tail: Sequence[Row]) -> Sequence[Row]:
    """Rows whose last column is a count: one for each of what stands before it, in its order, as
    `stored` are."""
    if not tail:
        return stored
    sums = Counter({tuple(row[:-1]): row[-1] for row in stored})
    for *key, count in tail:
        sums[tuple(key)] += count
    return sorted((*key, count) for key, count in sums.items())


def counted_since(counts: Counter[tuple[Any, ...]], since: int) -> Sequence[Row]:
    """The counts whose span began at `since` or later, as rows without span and start."""
    return [(*rest, count) for (_, *rest, start), count in counts.items() if start >= since]


def activity_of(
    attempts: Sequence[Row],
    lateness: Sequence[Row],
    tail: Sequence[Row],
    *,
    span: int,
    start: int,
    endpoint: str | None,
    lag: int,
) -> Activity:
    """What the tallies since `start` say of an endpoint (None: of all), with the `tail` of attempts
    that were not counted yet. `lag`: how many attempts there may be after these."""
    own = [row for row in tail if endpoint is None or row[5] == endpoint]
    of_attempts = counted_since(attempts_by_key(own, span), start)
    of_lateness = counted_since(lateness_by_key(own, span), start)
    return Activity(
        attempts=[AttemptCount(*row) for row in summed(attempts, of_attempts)],
        lateness=[LatenessCount(*row) for row in summed(lateness, of_lateness)],
        lag=lag,
    )


def gone_before(at: int) -> list[tuple[int, int]]:
    """For each span the time before which nobody asks for its tallies any more. In seconds."""
    return [(SPANS[span], at - int(kept.total_seconds())) for span, kept in ACTIVITY_KEPT.items()]
