"""Group commit: whatever waits while a commit runs goes into the next one, together.

There is no timer: the first item of an idle writer is committed at once, and a busy one takes all
that has gathered. So durability costs one disk flush per group and not one per item (0.6 of the
bare server's rate against 0.1, see tests/benchmarks).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from receiver.store.base import StoreUnavailable

log = logging.getLogger("dlr.store")

Item = TypeVar("Item")
Result = TypeVar("Result")

Told = Callable[[Result | BaseException], None]
"""Told the outcome of an item: its result, or what `commit` raised for it."""


class GroupCommit(Generic[Item, Result]):
    """Turns `commit(items)` into `submit(item)`. Used for callbacks and for attempts.

    `commit` stores all items or none and gives one result each, in order. If it fails for a group,
    each item is tried alone, so that one that cannot be stored never costs its neighbours. Only
    StoreUnavailable is at once the answer to all: a locked database is not asked 512 times for ten
    seconds each.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        largest_group: int = 512,
        patience: float | None = None,
    ) -> None:
        """`patience`: for how many seconds whoever submits an item waits at most, be it for the
        group before or for its own. None: for ever."""
        self._commit = commit
        self._patience = patience
        self._largest_group = largest_group
        self._waiting: list[_Waiting[Item, Result]] = []
        self._committing: list[_Waiting[Item, Result]] = []
        self._draining: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def submit(self, item: Item) -> Result:
        """Wait until the item is committed. Raises what `commit` raised for it; StoreUnavailable
        when that lasts too long: then it may be committed later, unless it has not begun yet."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.add(item, partial(settle, future))
        return await future

    def add(self, item: Item, told: Told[Result]) -> None:
        """As `submit`, for a caller that is not a task: `told` is called with what `submit` would
        return or raise. All items of a group are told in one go."""
        loop = asyncio.get_running_loop()
        self._waiting.append(_Waiting(item, told, loop.time()))
        # The task lives only while there is work: a writer that has died unseen, and lets every
        # later request hang, cannot happen.
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        # One for all, because most are told long before.
        if self._patience is not None and self._watch is None:
            self._watch = loop.call_later(self._patience, self._give_up, self._patience)

    def _give_up(self, patience: float) -> None:
        """Tell those who have waited too long, and look again when the next one will have."""
        loop = asyncio.get_running_loop()
        self._watch = None
        for each in (*self._committing, *self._waiting):  # the oldest first
            if each.told is None:
                continue
            if each.since + patience > loop.time():
                self._watch = loop.call_at(each.since + patience, self._give_up, patience)
                return
            text = f"the database has not answered for {patience:g} s"
            each.settle(StoreUnavailable(text))

    async def _drain(self) -> None:
        try:
            while self._waiting:
                group = self._waiting[: self._largest_group]
                del self._waiting[: len(group)]
                # While a database is gone, more come than are tried.
                self._committing = [each for each in group if each.told is not None]
                if self._committing:
                    await self._commit_group(self._committing)
        finally:
            self._committing = []
            self._draining = None

    async def _commit_group(self, group: list[_Waiting[Item, Result]]) -> None:
        try:
            results = await self._commit([each.item for each in group])
        except StoreUnavailable as error:
            for each in group:
                each.settle(error)
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            if len(group) == 1:
                group[0].settle(error)
                return
            for alone in group:
                await self._commit_group([alone])
        except BaseException as error:
            for each in group:
                each.settle(error)
            raise
        else:
            for each, result in zip(group, results, strict=True):
                each.settle(result)


class _Waiting(Generic[Item, Result]):
    """An item, and who is told its outcome; None once that has been done."""

    __slots__ = ("item", "since", "told")

    def __init__(self, item: Item, told: Told[Result], since: float) -> None:
        self.item = item
        self.told: Told[Result] | None = told
        self.since = since

    def settle(self, outcome: Result | BaseException) -> None:
        told, self.told = self.told, None
        if told is None:
            return
        try:
            told(outcome)
        except Exception:  # its neighbours wait, too
            log.exception("the outcome of a callback could not be told")


def settle(future: asyncio.Future[Result], outcome: Result | BaseException) -> None:
    """A `Told` that tells whoever awaits the future."""
    if future.done():  # whoever waited has gone
        return
    if isinstance(outcome, asyncio.CancelledError):
        future.cancel()
    elif isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
