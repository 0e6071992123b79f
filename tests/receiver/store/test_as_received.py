"""The item as received, beside the normalised one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from receiver.api.store_api import StoreApi
from receiver.callbacks.app import new_app
from receiver.callbacks.intake import judge
from receiver.dlr.json_format import encode_body
from receiver.dlr.model import Format
from receiver.store.callback import Callback
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import NOON, NOT_A_REPORT, a_callback, an_sms
from tests.receiver.payloads import V2_XML, a_json_body, an_item

PRETTY = b'{ "messageId" : "p",\n "smsCount": "1", "status":{"id":5,"groupId":3} }'
XML = b"<result><messageId>x1</messageId><smsCount> 2 </smsCount></result>"
LATIN = "<result><messageId>x2</messageId><callbackData>\u00e9</callbackData></result>"


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    database = await Database.open(":memory:")
    await database.migrate(MIGRATIONS)
    yield SqliteStore(database)
    await database.close()


def received(body: bytes, format: Format = "json") -> Callback:
    """A callback as the receiver makes one of this body."""
    return Callback("default", format, None, NOON, judge(body, format))


async def items(store: SqliteStore) -> dict[str, bytes | None]:
    """messageId to the bytes as received, None where they are not kept."""
    reports = await store.reports_after(0, 100)
    kept = await store.as_received(reports)
    return {report.read().message_id or "": kept.get(report.id) for report in reports}


async def test_json_as_it_came(store: SqliteStore) -> None:
    """Blanks, order, quotes around numbers: the item is shown byte for byte."""
    plain = a_json_body(an_sms("a")).removeprefix(b'{"results": [').removesuffix(b"]}")
    await store.add([received(encode_body([plain, NOT_A_REPORT, PRETTY]))])

    assert await items(store) == {"a": plain, "p": PRETTY}


async def test_json_as_it_is_stored(store: SqliteStore) -> None:
    """A body that says just what is stored is not kept twice, and is still shown."""
    stored = judge(a_json_body(an_sms("a"), an_sms("b")), "json").entries
    body = encode_body([entry.item for entry in stored])
    callback = received(body)

    assert callback.verdict.received is None
    await store.add([callback])
    assert await items(store) == {"a": stored[0].item, "b": stored[1].item}


async def test_xml_as_it_came(store: SqliteStore) -> None:
    """XML items are shown as they stood in their document, in UTF-8."""
    latin = f"<?xml version='1.0' encoding='latin-1'?><r><results>{LATIN}</results></r>"
    await store.add(
        [
            received(b"<r><results>" + XML + b"</results></r>", "xml"),
            received(latin.encode("latin-1"), "xml"),
        ]
    )

    assert await items(store) == {"x1": XML, "x2": LATIN.encode()}


async def test_xml_after_a_blank(store: SqliteStore) -> None:
    """Items of a document with a blank before its declaration are shown like any others."""
    body = b"\n<?xml version='1.0' encoding='UTF-8'?><r><results>" + XML + b"</results></r>"
    await store.add([received(body, "xml")])

    assert await items(store) == {"x1": XML}


async def test_repeats_have_the_first_form(store: SqliteStore) -> None:
    """A report keeps the form in which it came first; new ones beside its repeat have theirs."""
    await store.add([received(V2_XML, "xml")])
    both = a_json_body(an_item(), an_sms("new"))
    await store.add([received(both)])

    found = await items(store)
    assert found["2033247207850523791"] is not None
    assert found["2033247207850523791"].startswith(b"<result>")
    assert found["new"] is not None
    assert found["new"] in both


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

    assert await items(store) == {"old": None, "new": b'{"messageId":"new"}'}
    await database.close()


async def test_shown_when_asked(store: SqliteStore, aiohttp_client: AiohttpClient) -> None:
    """`received=true` adds the item as a text, alone and in lists; otherwise nothing is added."""

    async def no_dispatches(_: Sequence[int]) -> list[Any]:
        return []

    app = new_app(body_limit=1000)
    StoreApi(store, no_dispatches).add_routes(app)
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
