"""Quarantine read again: what today's code can read is stored, and nothing is counted twice.

What could not be read once and can be now is made by putting bytes into quarantine as an older
program would have: with a reason, though there is nothing wrong with them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from receiver.api.store_api import StoreApi
from receiver.callbacks.app import new_app
from receiver.callbacks.intake import Limits
from receiver.callbacks.quarantine import read_again
from receiver.dlr.errors import Unreadable
from receiver.routes import add_routes
from receiver.store.base import Counts
from receiver.store.callback import Callback, Verdict
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import (
    DAY,
    NOON,
    NOT_A_REPORT,
    a_callback,
    an_sms,
    everything,
    ids,
    message_ids,
)
from tests.receiver.payloads import V2_JSON, V2_XML, V3_XML, a_json_body, an_item

ITEM = V2_JSON.removeprefix(b'{"results": [').removesuffix(b"]}")
XML_ITEM = V2_XML[V2_XML.index(b"<result>") : V2_XML.index(b"</result>") + len(b"</result>")]


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    database = await Database.open(":memory:")
    await database.migrate(MIGRATIONS)
    yield SqliteStore(database)
    await database.close()


async def quarantine(
    store: SqliteStore,
    raw: bytes,
    *,
    place: str = "",
    content_type: str | None = "application/json",
    at: Any = NOON,
) -> int:
    """Put bytes into quarantine; gives the entry's id."""
    bad = Unreadable(raw=raw, place=place, reason="an older program could not read it")
    await store.add([Callback("eu", "json", content_type, at, Verdict(quarantined=[bad]))])
    return (await store.quarantine(None, 1))[0].id


@pytest.mark.parametrize(
    ("raw", "content_type", "place"),
    [
        (V2_JSON, "application/json", "byte 3"),
        (V2_JSON.decode().encode("utf-16"), "application/json; charset=utf-16", "byte 0"),
        (ITEM, "application/json", "results[3].smsCount"),
        (ITEM, None, "results[0]"),
        (V3_XML, "text/xml", "line 1, column 2"),
        (V3_XML, None, "line 1, column 2"),
        (XML_ITEM, "application/xml", "results[0].doneAt"),
        (V2_XML, "application/xml", "results[0].doneAt"),  # the item's bytes were not found then
    ],
)
async def test_stores_what_can_be_read_now(
    store: SqliteStore, raw: bytes, content_type: str | None, place: str
) -> None:
    """An item or a whole body, in either format, is stored as received when it was, and the entry
    is gone."""
    entry = await quarantine(store, raw, place=place, content_type=content_type)

    assert await read_again(store, entry) == Counts(1, 0, 0)

    (report,) = await everything(store)
    assert (report.source, report.received_at) == ("eu", NOON)
    assert report.read().message_id == "2033247207850523791"
    assert await store.quarantine(None, 10) == []


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"", ""),
        (b"\x00\xff", "byte 0"),
        (b'{"results": [{"messageId": "203', "byte 13"),
        (NOT_A_REPORT, "results[0].smsCount"),
        (b'{"results":[%s]}' % NOT_A_REPORT, "byte 1"),
        (b"<result><smsCount>many</smsCount></result>", "results[0].smsCount"),
    ],
)
async def test_keeps_what_still_cannot_be_read(store: SqliteStore, raw: bytes, place: str) -> None:
    """What cannot be read now either stays as it was."""
    entry = await quarantine(store, raw, place=place, content_type=None)
    before = await store.quarantined(entry)

    assert await read_again(store, entry) == Counts(0, 0, 1)

    assert await store.quarantined(entry) == before
    assert await everything(store) == []


async def test_what_is_left_of_a_body(store: SqliteStore) -> None:
    """Of a body with good and bad items the good ones are stored and each bad one is kept alone."""
    body = a_json_body(an_item(messageId="a"), {"smsCount": "many"}, an_item(messageId="b"))
    entry = await quarantine(store, body, place="byte 3")

    assert await read_again(store, entry) == Counts(2, 0, 1)

    assert message_ids(await everything(store)) == ["a", "b"]
    (left,) = await store.quarantine(None, 10)
    assert (left.place, left.received_at, left.source) == ("results[1].smsCount", NOON, "eu")
    assert await read_again(store, left.id) == Counts(0, 0, 1)


@pytest.mark.parametrize("later", [timedelta(0), 20 * DAY, -20 * DAY])
async def test_a_repeat_is_counted_however_old(store: SqliteStore, later: timedelta) -> None:
    """What the platform repeated in readable form, long before or after, is not stored again."""
    await store.add([a_callback(an_item(), at=NOON + later, source="eu")])
    entry = await quarantine(store, a_json_body(an_item(), an_sms("new")), place="byte 3")

    assert await read_again(store, entry) == Counts(1, 1, 0)

    assert [report.duplicates for report in await everything(store)] == [1, 0]


async def test_read_again_once(store: SqliteStore) -> None:
    """An entry that is gone is not stored a second time."""
    entry = await quarantine(store, V2_JSON)
    found = await store.quarantined(entry)
    assert await read_again(store, entry) == Counts(1, 0, 0)

    assert await read_again(store, entry) is None
    assert await store.resolve(entry, a_callback(an_sms("other"))) is None
    assert found is not None
    assert len(await everything(store)) == 1


async def test_limits_hold(store: SqliteStore) -> None:
    """What is beyond today's limits stays in quarantine, and goes in when they are raised."""
    entry = await quarantine(store, a_json_body(*[an_sms(f"m{n}") for n in range(5)]))

    assert await read_again(store, entry, Limits(items=3)) == Counts(0, 0, 1)
    assert await read_again(store, entry, Limits(items=5)) == Counts(5, 0, 0)


async def test_over_http(store: SqliteStore, aiohttp_client: AiohttpClient) -> None:
    """POST …/retry answers the counts, tells that there is something new, and knows no entry that
    is gone."""
    told: list[str] = []
    app = new_app(body_limit=1000)

    async def no_dispatches(_: Any) -> list[Any]:
        return []

    add_routes(app, StoreApi(store, no_dispatches, on_stored=lambda: told.append("stored")))
    client: TestClient[Any, Any] = await aiohttp_client(app)
    good = await quarantine(store, V2_JSON)
    bad = await quarantine(store, b"!")

    async def post(entry: int | str) -> tuple[int, Any]:
        async with client.post(f"/api/quarantine/{entry}/retry") as response:
            return response.status, await response.json()

    assert await post(bad) == (200, {"stored": 0, "duplicates": 0, "quarantined": 1})
    assert told == []
    assert await post(good) == (200, {"stored": 1, "duplicates": 0, "quarantined": 0})
    assert told == ["stored"]
    assert (await post(good))[0] == 404
    assert (await post("x"))[0] == 400
    assert ids(await store.quarantine(None, 10)) == [bad]
