"""Has attempts recorded: in groups of their own, or along with dispatches that are being formed.

Under load each look forms new dispatches while attempts end. Where one transaction is written at a
time, two of them cost more than one that does the work of both. So records that come during a look
wait for its transaction, or for that of the next look if that follows at once. They wait until the
runner looks for news at most (`let_go`), because a lease lasts only so long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from msgspec import Struct, structs

from dispatcher.queue.base import DispatchQueue, Forming, Lease, Leased, Record
from receiver.store.base import StoreUnavailable
from receiver.store.writer import GroupCommit, Told, settle


class _Judged(Struct, frozen=True):
    """`stepped`: what the steps of the clock were when the attempt was judged."""

    record: Record
    stepped: timedelta


class Records:
    """The records of one worker. It may hold them for dispatches only while a look goes on: `hold`,
    then `form` as often as there is something to form, then `go_on`."""

    def __init__(self, queue: DispatchQueue, *, grouped: bool = True) -> None:
        """`grouped`: records that come while others are written are written together after them."""
        self._queue = queue
        self._store_records = queue.record
        self._group = GroupCommit(self._record) if grouped else None
        self._held: list[tuple[_Judged, Told[bool]]] | None = None
        self.stepped = timedelta()
        """All steps of the clock together: what was judged before one is recorded as if it had been
        judged after it."""

    async def submit(self, record: Record) -> bool:
        """Wait until it is on disk. False if its lease was not valid any more: nothing is stored.
        Raises StoreUnavailable, and what the database does not take of it."""
        judged = _Judged(record, self.stepped)
        if self._group is None:
            return (await self._record([judged]))[0]
        if self._held is None:
            return await self._group.submit(judged)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._held.append((judged, partial(settle, future)))
        return await future

    def hold(self) -> None:
        """From now on, records wait for dispatches, if that is worth while."""
        if self._held is None and self._group is not None and self._queue.takes_records_along:
            self._held = []

    def let_go(self) -> None:
        """The look takes long: what waits is written by itself. What comes then waits again."""
        if self._held:
            held, self._held = self._held, []
            self._by_themselves(held)

    def go_on(self) -> None:
        """Nothing is formed any more: what waits is written, and what comes waits no more."""
        self.let_go()
        self._held = None

    async def form(
        self, now: datetime, leases: Mapping[str, Lease], formings: Sequence[Forming]
    ) -> list[Leased]:
        """As the queue's `form`. Records that wait are written in the same transaction; if that
        fails, by themselves, because nobody knows which of them is at fault."""
        if not self._held:
            return await self._queue.form(now, leases, formings)
        along, self._held = self._held, []
        try:
            records = self._as_of_now([judged for judged, _ in along])
            leased, recorded = await self._queue.form_and_record(now, leases, formings, records)
        except StoreUnavailable:
            self._by_themselves(along)  # a disk that is full for dispatches may have room for these
            raise
        except Exception:  # noqa: BLE001 - each part fails or succeeds by itself
            self._by_themselves(along)
            return await self._queue.form(now, leases, formings)
        except BaseException:
            self._by_themselves(along)
            raise
        for (_, told), held in zip(along, recorded, strict=True):
            told(held)
        return leased

    def _by_themselves(self, records: Sequence[tuple[_Judged, Told[bool]]]) -> None:
        for judged, told in records:
            assert self._group is not None
            self._group.add(judged, told)

    async def _record(self, records: Sequence[_Judged]) -> Sequence[bool]:
        return await self._store_records(self._as_of_now(records))

    def _as_of_now(self, records: Sequence[_Judged]) -> list[Record]:
        return [
            each.record
            if each.stepped == self.stepped
            else _moved(each.record, self.stepped - each.stepped)
            for each in records
        ]


def _moved(record: Record, by: timedelta) -> Record:
    due_at = record.due_at and record.due_at + by
    return structs.replace(record, started_at=record.started_at + by, due_at=due_at)
