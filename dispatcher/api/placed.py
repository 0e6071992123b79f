"""Reports by what became of them: the filters `endpoint` and `state` of a list of reports."""

from __future__ import annotations

from typing import cast

from dispatcher.api.unrouted import Unrouted
from dispatcher.queue.base import DispatchQueue
from dispatcher.retrying.dispatch import DispatchState
from receiver.api.filters import Place
from receiver.store.base import FoundReports, ReportQuery, ReportStore, StoredReport
from receiver.store.matching import matches

LOOK = 1_000
"""Reports that are read in one step, whatever of them is wanted."""


class PlacedReports:
    """Finds them, and compares them with what else is asked for."""

    def __init__(self, store: ReportStore, queue: DispatchQueue, unrouted: Unrouted) -> None:
        self._store = store
        self._queue = queue
        self._unrouted = unrouted

    async def find(self, query: ReportQuery, place: Place) -> FoundReports:
        """One step, newest first. It may come with fewer than were asked for, even with none."""
        candidates, following = await self._candidates(query.before, place)
        found = [each for each in candidates if matches(each, query)]
        if len(found) > query.limit:
            found = found[: query.limit]
            following = found[-1].id
        return FoundReports(found, following)

    async def _candidates(
        self, before: int | None, place: Place
    ) -> tuple[list[StoredReport], int | None]:
        if place.state == "unrouted":
            step = await self._unrouted.find(before, LOOK)
            return list(step.reports), step.next
        state = cast(DispatchState | None, place.state)
        ids = await self._queue.reports_in(place.endpoint, state, before, LOOK)
        reports = await self._store.reports_by_id(ids.reports)
        return reports[::-1], ids.next
