"""Finding dispatches, newest first, in steps of bounded time: what needs no table.

    what is asked for                     where a step looks
    ------------------------------------------------------------------------------------------------
    a message                             the dispatches of its reports and events
    an instant of forming                 these dispatches, if they are few; otherwise from the
                                          first to the last of them, as for what else is asked for
    a replay                              its dispatches
    waiting, exhausted, cancelled,        the dispatches in these states
    leased; an outcome other than
    acknowledged
    an endpoint                           its dispatches
    anything else                         each one

Whatever the way, each candidate is compared with the whole query: the way decides only how fast an
answer comes, never what it says. One step looks at a bounded number of candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import get_args

from msgspec import Struct

from dispatcher.queue.base import DispatchSearch
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.retrying.outcome import Outcome
from receiver.store.instants import micros_or_null

STEP = 20_000
"""Dispatches that one step looks at: at most 0.1 s (measured with SQLite)."""

PIECE = 1_000
"""Dispatches that are looked at between two looks at what has been found."""

ENDPOINTS_APART = 20
"""If more endpoints than these have something waiting, what waits is not looked for by endpoint."""

END = 2**63 - 1
"""An id that no dispatch has reached."""

Candidates = Callable[[int, int], Sequence[int]]
"""The next candidates below an id, newest first, and at most so many: fewer are the last."""

Compare = Callable[[Sequence[int], int], Sequence[int]]
"""Which of some candidates fit, at most so many, in their order."""


class Stretch(Struct, frozen=True):
    """All wanted dispatches lie between these ids, both included. `ids`: these are all of them, in
    any order; `None`: they are many."""

    low: int = 0
    high: int = END
    ids: Sequence[int] | None = None


def step_of(
    query: DispatchSearch,
    below: int,
    most: int,
    candidates: Candidates | None,
    compare: Compare,
) -> tuple[list[int], int | None]:
    """What is found below an id among at most so many candidates (None: nothing can fit), and below
    which the next step begins (None: there is none)."""
    if candidates is None:
        return [], None
    found: list[int] = []
    size = min(query.limit, PIECE)  # of most queries all fit
    while most > 0:
        ids = candidates(below, size)
        found += compare(ids, query.limit - len(found))
        if len(found) == query.limit:
            return found, found[-1]
        if len(ids) < size:
            return found, None
        below, most, size = ids[-1], most - size, PIECE
    return found, below


def states_of(query: DispatchSearch) -> frozenset[DispatchState]:
    """Those that a wanted dispatch can be in. An attempt that acknowledges ends its dispatch as
    acknowledged, and no other one does."""
    states: frozenset[DispatchState] = frozenset(get_args(DispatchState))
    if query.outcome is not None:
        ended: frozenset[DispatchState] = frozenset({"acknowledged"})
        states = ended if query.outcome == Outcome.ACKNOWLEDGED.value else states - ended
    return states if query.state is None else states & {query.state}


def these(ids: Sequence[int]) -> Candidates:
    """All candidates, known already."""
    newest_first = sorted(ids, reverse=True)

    def candidates(below: int, most: int) -> Sequence[int]:
        return [each for each in newest_first if each < below][:most]

    return candidates


def newest_of(ways: Sequence[Iterable[int]], most: int) -> Sequence[int]:
    """The newest of what several ways have found, each newest first."""
    return [*ways[0]] if len(ways) == 1 else nlargest(most, (id for ids in ways for id in ids))


Comparison = tuple[str, str | int]
"""What a column has to be: the column with an operator, and the value that follows it."""


def of_dispatch(query: DispatchSearch) -> list[Comparison]:
    return _said(
        {
            "endpoint =": query.endpoint,
            "state =": query.state,
            "replay =": query.replay,
            "created_at >=": micros_or_null(query.created_since),
            "created_at <": micros_or_null(query.created_until),
        }
    )


def of_attempt(query: DispatchSearch) -> list[Comparison]:
    """Those of the last attempt. A dispatch that was never tried fits none of them."""
    wanted = query.status_class
    return _said(
        {
            "outcome =": query.outcome,
            "started_at >=": micros_or_null(query.attempted_since),
            "started_at <": micros_or_null(query.attempted_until),
            "coalesce(status / 100, 0) =": wanted and (0 if wanted == "none" else int(wanted[0])),
        }
    )


def _said(comparisons: Mapping[str, str | int | None]) -> list[Comparison]:
    return [(column, value) for column, value in comparisons.items() if value is not None]
