"""A recipient was erased while the read model followed: the search key, with the number in it, came
after its report had gone, and stayed. Whoever removes reports and whoever follows them now wait for
each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from receiver.store.postgres.followup import read_batch, write_batch
from receiver.store.postgres.retention import remove_reports
from tests.contracts.postgres_backend import PostgresBackend
from tests.contracts.report_store import a_callback, an_sms, everything, ids
from tests.postgres import EmptyDatabase


@pytest.fixture
async def backend(empty_postgres: EmptyDatabase) -> AsyncIterator[PostgresBackend]:
    async with AsyncExitStack() as stack:
        opened = await PostgresBackend.of(empty_postgres, stack)
        await opened.store.add([a_callback(an_sms("gone", to="41790000001"), an_sms("stays"))])
        yield opened


async def keys(backend: PostgresBackend) -> set[int]:
    """The reports that search keys lead to."""
    found: set[Any] = await backend.database.read(
        lambda c: {row[0] for row in c.execute("SELECT report FROM search_key")}
    )
    return found


async def test_followed_while_it_is_removed(backend: PostgresBackend) -> None:
    gone, stays = ids(await everything(backend.store))
    other = await backend.another()

    async with other.holding(lambda c: remove_reports(c, [gone])):
        following = asyncio.create_task(backend.read_model.turn())
        await backend.until_somebody_waits()

    assert await following == 2
    assert await keys(backend) == {stays}
    assert await backend.read_model.catch_up() == 0


async def test_removed_while_it_is_followed(backend: PostgresBackend) -> None:
    gone, stays = ids(await everything(backend.store))
    other = await backend.another()

    async with other.holding(lambda c: write_batch(c, read_batch(c, 10, stays))):
        removing = asyncio.create_task(backend.database.write(lambda c: remove_reports(c, [gone])))
        await backend.until_somebody_waits()

    assert await removing == 1
    assert await keys(backend) == {stays}
