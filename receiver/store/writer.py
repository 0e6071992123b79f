"""Group commit: whatever waits while a commit runs goes into the next one, together.

There is no timer: the first item of an idle writer is committed at once, and a busy one takes all
that has gathered. So durability costs one disk flush per group and not one per item (0.6 of the
bare server's rate against 0.1, see tests/benchmarks).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from receiver.store.base import StoreUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._draining: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Wait until the item is committed. Raises what `commit` raised for it; StoreUnavailable
        when that lasts too long: then it may be committed later, unless it has not begun yet."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        # The task lives only while there is work: a writer that has died unseen, and lets every
        # later request hang, cannot happen.
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        if self._patience is None:
            return await future
        watch = asyncio.get_running_loop().call_later(self._patience, self._give_up, future)
        try:
            return await future
        finally:
            watch.cancel()

    def _give_up(self, future: asyncio.Future[Result]) -> None:
        text = f"the database has not answered for {self._patience:g} s"
        _settle(future, StoreUnavailable(text))

    async def _drain(self) -> None:
        try:
            while self._waiting:
                group = self._waiting[: self._largest_group]
                del self._waiting[: len(group)]
                # While a database is gone, more come than are tried.
                if wanted := [each for each in group if not _is_given_up(each[1])]:
                    await self._commit_group(wanted)
        finally:
            self._draining = None

    async def _commit_group(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._commit([item for item, _ in group])
        except StoreUnavailable as error:
            for _, future in group:
                _settle(future, error)
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            if len(group) == 1:
                _settle(group[0][1], error)
                return
            for alone in group:
                await self._commit_group([alone])
        except BaseException:
            for _, future in group:
                future.cancel()
            raise
        else:
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _is_given_up(future: asyncio.Future[Result]) -> bool:
    """Not that of one whose sender has gone: its item is committed all the same."""
    return future.done() and not future.cancelled()


def _settle(future: asyncio.Future[Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
