"""What the contracts of the dispatcher's database have in common.

An implementation's test derives a class from each contract and gives it a fixture `backend`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from itertools import count
from typing import Protocol, TypeVar

import pytest

from dispatcher.clocks.clock import VirtualClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.storage import Storage
from receiver.store.base import StoreUnavailable
from tests.dispatcher.support import START, Bench, an_endpoint

T = TypeVar("T")


class StorageBackend(Protocol):
    """An empty database."""

    @property
    def storage(self) -> Storage: ...

    async def another(self) -> Storage:
        """The same database, as another process has it."""

    def go_away_after(self, statements: int) -> None:
        """The store fails in the next transaction, after so many statements of it."""

    async def delete_reports(self, ids: Collection[int]) -> None:
        """Ids of reports have gaps from now on."""

    async def written(self) -> str:
        """All that is stored, as a text in which bytes are hexadecimal."""


async def unbroken(
    backend: StorageBackend,
    act: Callable[[], Awaitable[T]],
    state: Callable[[], Awaitable[object]],
) -> T:
    """What `act` returns, after the store has gone away at each of its statements, one after the
    other: that is told each time, and leaves nothing half done."""
    before = await state()
    for statements in count():
        backend.go_away_after(statements)
        try:
            result = await act()
        except StoreUnavailable:
            assert await state() == before
        else:
            assert statements > 0
            return result
    raise AssertionError


async def a_bench_on(backend: StorageBackend, *endpoints: Endpoint) -> Bench:
    """A worker on this database, for these endpoints (by default: Acme)."""
    these = endpoints or (an_endpoint(),)
    await backend.storage.queue.adopt(these)
    return Bench(backend.storage, VirtualClock(START), *these)


class OnStorage:
    """A contract that a worker helps to tell."""

    @pytest.fixture
    async def bench(self, backend: StorageBackend) -> Bench:
        return await a_bench_on(backend)
