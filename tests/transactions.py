"""Transactions that meet, and one whose answer is lost.

Of two at once the order is known: one is done but for its commit when the other one begins, and
commits when that has ended or waits for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from receiver.store.base import StoreUnavailable

T = TypeVar("T")
U = TypeVar("U")
Act = Callable[[], Awaitable[T]]

LONGEST = 20.0
"""Seconds until a transaction that is held goes on whatever happens: then the test has failed."""


async def at_once(
    database: Any,
    first: Act[T],
    second: Act[U],
    met: Callable[[asyncio.Future[U]], Awaitable[object]],
) -> tuple[T, U]:
    """What both return. `first` writes by `database`, in one transaction. `met` returns when the
    second one has ended or waits for the first."""
    done, go = threading.Event(), threading.Event()
    try:
        with _held(database, done, go):
            of_first = asyncio.ensure_future(first())
            reached = asyncio.ensure_future(asyncio.to_thread(done.wait, LONGEST))
            await asyncio.wait({of_first, reached}, return_when=asyncio.FIRST_COMPLETED)
            assert done.is_set(), "it has written nothing"
        of_second = asyncio.ensure_future(second())
        await met(of_second)
    finally:
        go.set()
    return await of_first, await of_second


@contextmanager
def _held(database: Any, done: threading.Event, go: threading.Event) -> Iterator[None]:
    """Within the block, what is written is told when it is done, and committed when it may."""

    def waits(write: Callable[[Callable[[Any], T]], Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        def waiting(work: Callable[[Any], T], **_: bool) -> Awaitable[T]:
            def then_wait(connection: Any) -> T:
                result = work(connection)
                done.set()
                go.wait(LONGEST)
                return result

            return write(then_wait)

        return waiting

    before = {name: getattr(database, name) for name in ("write", "write_unflushed")}
    for name, write in before.items():
        setattr(database, name, waits(write))
    try:
        yield
    finally:
        for name in before:
            delattr(database, name)


@contextmanager
def unanswered(database: Any) -> Iterator[None]:
    """Within the block the next transaction that writes is committed, and told as one that may not
    be: the connection broke before the answer came."""

    def loses(write: Callable[[Callable[[Any], T]], Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        async def losing(work: Callable[[Any], T], **_: bool) -> T:
            restore()
            await write(work)
            raise StoreUnavailable("the connection broke while it was committed")

        return losing

    before = {name: getattr(database, name) for name in ("write", "write_unflushed")}

    def restore() -> None:
        for name in before:
            vars(database).pop(name, None)

    for name, write in before.items():
        setattr(database, name, loses(write))
    try:
        yield
    finally:
        restore()
