"""Reports, messages and quarantine over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from receiver.api.store_api import StoreApi
from receiver.callbacks.app import new_app
from receiver.callbacks.intake import verdict_on_bytes
from receiver.routes import add_routes
from receiver.store.callback import Callback
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import DAY, NOON, NOT_A_REPORT, a_callback, an_sms
from tests.receiver.payloads import a_v3_item, an_item

Client = TestClient[Any, Any]

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    database = await Database.open(":memory:")
    await database.migrate(MIGRATIONS)
    yield SqliteStore(database)
    await database.close()


async def dispatches_of(reports: Sequence[int]) -> list[Any]:
    """Instead of a dispatcher: says which reports it was asked for."""
    return [{"carries": list(reports)}]


@pytest.fixture
async def client(store: SqliteStore, aiohttp_client: AiohttpClient) -> Client:
    app = new_app(body_limit=1000)
    add_routes(app, StoreApi(store, dispatches_of))
    return await aiohttp_client(app)


async def get(client: Client, path: str | URL, status: int = 200) -> Any:
    """What GET says, as JSON with exact numbers."""
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        assert response.content_type == "application/json"
        return _decode(await response.read())


async def pages(client: Client, path: str, name: str) -> list[Any]:
    """All rows of a list, page by page until `next` is null."""
    rows: list[Any] = []
    said = await get(client, path)
    while said["next"] is not None:
        assert set(said) == {name, "next"}
        rows += said[name]
        said = await get(client, f"{path}&cursor={said['next']}")
    return [*rows, *said[name]]


# --- reports -------------------------------------------------------------------------------------


async def test_a_report(client: Client, store: SqliteStore) -> None:
    """A report is shown with what we know of it, and in the provider's field names as it came."""
    item = an_item(novel=[1, {"a": None}])
    await store.add([a_callback(item, item, source="eu")])

    said = await get(client, "/api/reports/1")

    assert said == {
        "id": 1,
        "receivedAt": "2026-03-02T12:00:00.000Z",
        "source": "eu",
        "format": "json",
        "generation": "v2",
        "final": True,
        "duplicates": 1,
        "report": item,
        "statusConflict": False,
    }
    assert said["report"]["price"]["pricePerMessage"].as_tuple() == Decimal("0.010").as_tuple()


@pytest.mark.parametrize(
    ("item", "generation"), [(an_item(), "v2"), (a_v3_item(), "v3"), ({"messageId": "1"}, None)]
)
async def test_a_report_from_xml(
    client: Client, store: SqliteStore, item: dict[str, Any], generation: str | None
) -> None:
    """A report that came as XML is shown in the same fields."""
    await store.add([a_callback(item, format="xml")])

    said = await get(client, "/api/reports/1")

    assert said["format"] == "xml"
    # An XML document's root tells a generation where the fields do not.
    assert said["generation"] == (generation or "v2")
    assert said["report"] == item


async def test_a_status_of_two_groups(client: Client, store: SqliteStore) -> None:
    """Number and name of a group that contradict each other: the number counts, the report is
    flagged wherever it is shown, and what came is shown as it came."""
    two = an_item(messageId="two", status={"groupId": 5, "groupName": "DELIVERED", "id": 5})
    named = an_item(messageId="named", status={"groupId": 77, "groupName": "DELIVERED"})
    await store.add([a_callback(two, named)])

    told = {}
    for group in ("REJECTED", "DELIVERED"):
        for view in (await get(client, f"/api/reports?statusGroup={group}"))["reports"]:
            told[view["report"]["messageId"]] = (group, view["final"], view["statusConflict"])
    assert told == {"two": ("REJECTED", True, True), "named": ("DELIVERED", True, False)}
    (shown,) = (await get(client, "/api/messages/two"))["reports"]
    assert (shown["statusConflict"], shown["report"]["status"]) == (True, two["status"])


async def test_no_such_report(client: Client) -> None:
    """A report that is not there is 404, and what is no number is 400."""
    error = (await get(client, "/api/reports/7", 404))["error"]
    assert error == {"code": "not_found", "message": "there is no report 7", "details": {}}

    error = (await get(client, "/api/reports/seven", 400))["error"]
    assert (error["code"], error["message"]) == (
        "bad_query",
        "id: expected a number, got 'seven'",
    )
    assert (await get(client, f"/api/reports/{'9' * 30}", 400))["error"]["code"] == "bad_query"


async def test_lists_reports(client: Client, store: SqliteStore) -> None:
    """The list of reports is newest first."""
    await store.add([a_callback(an_sms("a"), an_sms("b"))])

    said = await get(client, "/api/reports")

    assert [view["report"]["messageId"] for view in said["reports"]] == ["b", "a"]
    assert said["reports"][0] == await get(client, "/api/reports/2")
    assert said["next"] is None


async def test_no_reports(client: Client) -> None:
    """Lists of nothing are empty."""
    assert await get(client, "/api/reports") == {"reports": [], "next": None}
    assert await get(client, "/api/messages") == {"messages": [], "next": None}
    assert await get(client, "/api/quarantine") == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("messageId=a", ["a", "a"]),
        ("source=eu", ["b"]),
        ("final=true", ["b", "a"]),
        ("final=false", ["a"]),
        ("statusGroup=PENDING", ["a"]),
        ("statusGroup=pending,EXPIRED", ["b", "a"]),
        ("statusGroup=REJECTED", []),
        ("messageId=a&final=true", ["a"]),
        ("messageId=A", []),
        ("limit=1", ["b"]),
    ],
)
async def test_filters(client: Client, store: SqliteStore, query: str, expected: list[str]) -> None:
    """Each filter narrows the list, and all that are given must agree."""
    await store.add(
        [
            a_callback(an_sms("a", "PENDING_ENROUTE"), an_sms("a")),
            a_callback(an_sms("b", "EXPIRED_EXPIRED"), source="eu"),
        ]
    )

    said = await get(client, f"/api/reports?{query}")

    assert [view["report"]["messageId"] for view in said["reports"]] == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/reports?messageid=a", "messageid: unknown parameter; expected limit"),
        ("/api/reports?states=waiting", "states: unknown parameter"),
        ("/api/reports?state=DELIVERED", "state: expected waiting, leased, acknowledged"),
        (
            "/api/reports?state=unrouted&endpoint=acme",
            "endpoint: cannot be combined with state=unrouted",
        ),
        ("/api/reports?final=yes", "final: expected true or false, got 'yes'"),
        ("/api/reports?statusGroup=LOST", "statusGroup: expected ACCEPTED, PENDING"),
        ("/api/reports?limit=0", "limit: expected 1 to 1000, got 0"),
        ("/api/reports?limit=1001", "limit: expected 1 to 1000, got 1001"),
        ("/api/reports?limit=-1", "limit: expected a number, got '-1'"),
        ("/api/reports?cursor=abc", "cursor: expected a number, got 'abc'"),
        ("/api/reports?cursor=%D9%A3", "cursor: expected a number"),
        ("/api/messages?messageid=a", "messageid: unknown parameter; expected limit"),
        ("/api/messages?limit=x", "limit: expected a number, got 'x'"),
        ("/api/quarantine?id=1", "id: unknown parameter"),
        ("/api/quarantine?cursor=", "cursor: expected a number"),
    ],
)
async def test_bad_queries(client: Client, path: str, message: str) -> None:
    """A parameter that cannot be used is refused and named: ignored, it would show too much."""
    error = (await get(client, path, 400))["error"]

    assert error["code"] == "bad_query"
    assert error["message"].startswith(message)
    assert error["details"] == {}


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
async def test_pages_of_reports(client: Client, store: SqliteStore, size: int) -> None:
    """`next` leads from page to page until it is null; each report is shown once."""
    await store.add([a_callback(*(an_sms(f"m{n}") for n in range(6)))])

    rows = await pages(client, f"/api/reports?limit={size}", "reports")

    assert [row["report"]["messageId"] for row in rows] == [f"m{n}" for n in (5, 4, 3, 2, 1, 0)]


async def test_default_page(client: Client, store: SqliteStore) -> None:
    """Without a limit a page has 100."""
    await store.add([a_callback(*(an_sms(f"m{n}") for n in range(101)))])

    said = await get(client, "/api/reports")
    assert len(said["reports"]) == 100
    rest = await get(client, f"/api/reports?cursor={said['next']}")
    assert [view["report"]["messageId"] for view in rest["reports"]] == ["m0"]


# --- messages ------------------------------------------------------------------------------------


async def test_a_message(client: Client, store: SqliteStore) -> None:
    """A message stands where its reports say, however late an intermediate one comes."""
    await store.add([a_callback(an_sms("a"), an_sms("other"))])
    await store.add([a_callback(an_sms("a", "PENDING_ENROUTE"), at=NOON + DAY)])

    said = await get(client, "/api/messages/a")

    reports = [await get(client, f"/api/reports/{number}") for number in (1, 3)]
    assert said == {
        "messageId": "a",
        "source": "default",
        "final": True,
        "status": an_sms("a")["status"],
        "error": an_item()["error"],
        "reports": reports,
        "dispatches": [{"carries": [1, 3]}],
    }


async def test_a_message_id_of_two_sources(client: Client, store: SqliteStore) -> None:
    """Two sources with one messageId have a message each; whoever names no source is told of both,
    and a source that has no such message has none."""
    await store.add(
        [
            a_callback(an_sms("a", "PENDING_ENROUTE"), source="beta"),
            a_callback(an_sms("a"), an_sms("b"), source="alpha"),
        ]
    )

    response = await client.get("/api/messages/a")
    assert response.status == 409
    assert (await response.json())["error"] == {
        "code": "ambiguous",
        "message": '2 sources have a message "a": alpha, beta; name one of them as source',
        "details": {"sources": ["alpha", "beta"]},
    }
    for source, final, report in (("alpha", True, 2), ("beta", False, 1)):
        said = await get(client, f"/api/messages/a?source={source}")
        assert (said["source"], said["final"]) == (source, final)
        assert said["dispatches"] == [{"carries": [report]}]
    assert (await get(client, "/api/messages/b"))["source"] == "alpha"
    for path, status in (("b?source=beta", 404), ("a?source=", 404), ("a?sources=beta", 400)):
        assert (await client.get(f"/api/messages/{path}")).status == status
    listed = (await get(client, "/api/messages"))["messages"]
    assert [(each["messageId"], each["source"]) for each in listed] == [
        ("b", "alpha"),
        ("a", "alpha"),
        ("a", "beta"),
    ]
    assert len((await get(client, "/api/messages?source=beta"))["messages"]) == 1


@pytest.mark.parametrize(
    ("message_id", "path"),
    [
        ("a/b", "a/b"),
        ("a/b", "a%2Fb"),
        ("a b?c", "a%20b%3Fc"),
        ("é", "%C3%A9"),
        ("..", "%2E%2E"),
        ("50%", "50%25"),
    ],
)
async def test_message_ids_of_any_signs(
    client: Client, store: SqliteStore, message_id: str, path: str
) -> None:
    """Whatever signs a messageId has, its message can be asked for."""
    await store.add([a_callback(an_sms(message_id))])

    said = await get(client, URL(f"/api/messages/{path}", encoded=True))

    assert said["messageId"] == message_id


async def test_no_such_message(client: Client) -> None:
    """A message without a report is 404."""
    error = (await get(client, "/api/messages/nobody", 404))["error"]
    assert error["code"] == "not_found"
    assert error["message"] == 'there is no report of a message "nobody"'


async def test_lists_messages(client: Client, store: SqliteStore) -> None:
    """Each message stands once, that of the newest report first; a report without messageId is a
    message of its own."""
    await store.add([a_callback(an_sms("a", "PENDING_ENROUTE"), an_sms("b"), {"to": "1"})])
    await store.add([a_callback(an_sms("a"))])

    said = await get(client, "/api/messages")

    first, second, third = said["messages"]
    assert first == await get(client, "/api/messages/a")
    assert second["messageId"] is None
    assert (second["final"], second["status"], second["error"]) == (False, None, None)
    assert [view["report"] for view in second["reports"]] == [{"to": "1"}]
    assert third["messageId"] == "b"
    assert said["next"] is None


async def test_pages_of_messages(client: Client, store: SqliteStore) -> None:
    """Messages are paged like reports."""
    for status in ("PENDING_ENROUTE", "DELIVERED_TO_HANDSET"):
        await store.add([a_callback(*(an_sms(f"m{n}", status) for n in range(5)))])

    rows = await pages(client, "/api/messages?limit=2", "messages")

    assert [row["messageId"] for row in rows] == ["m4", "m3", "m2", "m1", "m0"]
    assert all(len(row["reports"]) == 2 for row in rows)


ASKED: Sequence[tuple[str, Sequence[str]]] = (
    ("to=41790000001", ["both", "early"]),
    ("to=%2B41 79 000 00 01&limit=1", ["both", "early"]),
    ("sender=Acme", ["both"]),
    ("receivedSince=2026-03-02T13:00:00Z", ["both", "late"]),
    ("receivedUntil=2026-03-02T13:00:00Z", ["early", "both"]),
    ("to=41790000001&receivedSince=2026-03-02T13:00:00Z", ["both"]),
    ("to=41790000001&final=false", ["early"]),
    ("to=41790000001&statusGroup=DELIVERED&source=default", ["both"]),
    ("to=41790000001&source=beta", []),
    ("sender=Nobody", []),
)
"""What a page is asked for, and the messages that it has, in their order."""


@pytest.mark.parametrize(("asked", "expected"), ASKED)
async def test_messages_by_number_and_time(
    client: Client, store: SqliteStore, asked: str, expected: list[str]
) -> None:
    """A message that has a report which fits is listed once, with all of its reports, at the
    newest one that fits. Support asks by number, and there was no way to ask so."""
    later = NOON + timedelta(hours=2)
    one = {"to": "41790000001"}
    await store.add(
        [
            a_callback(an_sms("both", "PENDING_ENROUTE", **one, sender="Acme")),
            a_callback(an_sms("early", "PENDING_ENROUTE", **one)),
            a_callback(an_sms("late", to="41790000002"), at=later),
            a_callback(an_sms("both", **one, sender="Acme"), at=later),
        ]
    )

    rows = await pages(client, f"/api/messages?{asked}", "messages")

    assert [row["messageId"] for row in rows] == expected
    assert all(len(row["reports"]) == (row["messageId"] == "both") + 1 for row in rows)


# --- quarantine ----------------------------------------------------------------------------------


async def test_quarantine(client: Client, store: SqliteStore) -> None:
    """What could not be read is listed without its bytes, and shown by its id."""
    await store.add([a_callback(an_sms("a"), NOT_A_REPORT, source="eu")])

    said = await get(client, "/api/quarantine")

    (item,) = said["items"]
    assert (
        item.items()
        >= {
            "id": 1,
            "receivedAt": "2026-03-02T12:00:00.000Z",
            "source": "eu",
            "contentType": "application/json",
            "size": len(NOT_A_REPORT),
            "reason": 'expected an integer, got "many"',
            "place": "results[1].smsCount",
        }.items()
    )
    assert await get(client, "/api/quarantine/1") == item


async def test_quarantined_body(client: Client, store: SqliteStore) -> None:
    """The bytes come as they were, as a file: a browser must not take them for a page of ours."""
    body = b"<script>alert(1)</script>\xff\x00"
    await store.add(
        [Callback("default", "json", "text/html", NOON, verdict_on_bytes(body, "json"))]
    )

    async with client.get("/api/quarantine/1/body") as response:
        assert response.status == 200
        assert await response.read() == body
        headers = response.headers

    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == 'attachment; filename="quarantine-1"'
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/api/quarantine/9", "/api/quarantine/9/body"])
async def test_no_such_entry(client: Client, path: str) -> None:
    """An entry that is not there is 404."""
    error = (await get(client, path, 404))["error"]
    assert (error["code"], error["message"]) == ("not_found", "there is no entry 9")


async def test_pages_of_quarantine(client: Client, store: SqliteStore) -> None:
    """Quarantine is paged like reports."""
    await store.add([a_callback(*(b"%d" % number for number in range(5)))])

    rows = await pages(client, "/api/quarantine?limit=2", "items")

    assert [row["id"] for row in rows] == [5, 4, 3, 2, 1]


async def test_quarantine_by_time(client: Client, store: SqliteStore) -> None:
    """Of the range the beginning belongs to it, the end does not."""
    for hour in range(4):
        await store.add([a_callback(b"%d" % hour, at=NOON + timedelta(hours=hour))])

    between = "receivedSince=2026-03-02T13:00:00Z&receivedUntil=2026-03-02T15:00:00Z"
    rows = await pages(client, f"/api/quarantine?limit=1&{between}", "items")

    assert [row["id"] for row in rows] == [3, 2]


# --- methods -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/reports", "/api/messages/a", "/api/quarantine/1/body"])
async def test_only_reads(client: Client, path: str) -> None:
    """What only shows something takes no other method than GET."""
    async with client.delete(path) as response:
        assert response.status == 405
        assert "GET" in response.headers["Allow"]
        assert (await response.json())["error"]["code"] == "method_not_allowed"
