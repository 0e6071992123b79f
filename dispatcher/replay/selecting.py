"""What a selection makes of the rows of a database: the same for each database. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from msgspec import Struct

from dispatcher.replay.request import Selection
from dispatcher.retrying.dispatch import DispatchState
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.store.base import ReportQuery

PIECE = 500
"""Reports or dispatches that are looked at in one go."""

PlaceRow = tuple[int, int, str | None, DispatchState | None, bool, bool]
"""A dispatch of a report: id and received_at of the report, endpoint and state of the dispatch
(None: it has none), whether a replay made it, and whether that one went to a URL."""


class Placed(Struct, frozen=True):
    """A report, and the state of its newest dispatch to each endpoint; empty: there was none."""

    report: int
    received_at: int
    places: dict[str, DispatchState]


class Carried(Struct, frozen=True):
    """What one dispatch carries, and where it stands."""

    endpoint: str
    state: DispatchState
    reports: Sequence[int]


class Ids:
    """A set of ids, a million of which take 8 MB. It is filled first and asked then."""

    def __init__(self) -> None:
        self._ids = array("q")
        self._sorted = True

    def add(self, number: int) -> None:
        self._ids.append(number)
        self._sorted = False

    def __contains__(self, number: int) -> bool:
        if not self._sorted:
            self._ids, self._sorted = array("q", sorted(self._ids)), True
        at = bisect_left(self._ids, number)
        return at < len(self._ids) and self._ids[at] == number


def targets(
    places: dict[str, DispatchState], selection: Selection, target: str | None
) -> list[str]:
    """Where a report goes that fits otherwise. A target gets it once, wherever it went before."""
    fitting = [
        endpoint
        for endpoint, state in places.items()
        if selection.endpoint in (None, endpoint) and selection.state in (None, state)
    ]
    if target is None:
        return fitting
    return [target] if fitting or not selection.of_dispatches else []


def by_report(rows: Iterable[PlaceRow], named: str | None) -> Iterator[Placed]:
    """A dispatch that was cancelled with its replay leaves a report as it was. The URL of a replay
    is not a place that a report belongs to, unless its endpoint is `named`."""
    for (report, received_at), group in groupby(rows, itemgetter(0, 1)):
        places = {
            endpoint: state
            for _, _, endpoint, state, of_a_replay, to_a_url in group
            if endpoint is not None
            and state is not None
            and not (of_a_replay and state == "cancelled")
            and not (to_a_url and endpoint != named)
        }
        yield Placed(report, received_at, places)


def query_of(selection: Selection) -> ReportQuery:
    return ReportQuery(
        limit=PIECE,
        source=selection.source,
        status_groups=tuple(GROUP_NUMBERS[name] for name in selection.status_groups),
        statuses=selection.statuses,
        bulk_id=selection.bulk_id,
        received_since=selection.since,
        received_until=selection.until,
    )
