"""The item as received: what older programs kept of it, and how it is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from receiver.api.store_api import StoreApi
from receiver.callbacks.app import new_app
from receiver.dlr.json_format import encode_body
from receiver.routes import add_routes
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import PRETTY, a_callback, items_as_received, received


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    database = await Database.open(":memory:")
    await database.migrate(MIGRATIONS)
    yield SqliteStore(database)
    await database.close()


async def test_kept_by_older_programs() -> None:
    """Of a report that an older program stored nothing is claimed: it kept no bytes."""
    database = await Database.open(":memory:")
    await database.migrate([step for step in MIGRATIONS if step.number == 1])
    await database.write(
        lambda c: c.execute(
            "INSERT INTO report VALUES (1, 0, 'default', 'json', 'v2', 0, NULL, 0, 1, 1,"
            ' \'{"messageId":"old"}\')'
        )
    )
    await database.migrate(MIGRATIONS)
    store = SqliteStore(database)
    await store.add([a_callback({"messageId": "new"})])

    assert await items_as_received(store) == {"old": None, "new": b'{"messageId":"new"}'}
    await database.close()


async def test_shown_when_asked(store: SqliteStore, aiohttp_client: AiohttpClient) -> None:
    """`received=true` adds the item as a text, alone and in lists; otherwise nothing is added."""

    async def no_dispatches(_: Sequence[int]) -> list[Any]:
        return []

    app = new_app(body_limit=1000)
    add_routes(app, StoreApi(store, no_dispatches))
    client: TestClient[Any, Any] = await aiohttp_client(app)
    await store.add([received(encode_body([PRETTY]))])

    async def get(path: str) -> Any:
        async with client.get(path) as response:
            return await response.json()

    assert (await get("/api/reports/1?received=true"))["received"] == PRETTY.decode()
    (listed,) = (await get("/api/reports?received=true&messageId=p"))["reports"]
    assert listed["received"] == PRETTY.decode()
    assert listed["report"]["smsCount"] == 1
    assert "received" not in await get("/api/reports/1")
    assert "received" not in (await get("/api/reports?received=false"))["reports"][0]
    assert (await get("/api/reports/1?received=1"))["error"]["code"] == "bad_query"
