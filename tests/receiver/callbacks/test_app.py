"""Callbacks over HTTP: what is answered, and what is then in the store."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from receiver.api.health import Health
from receiver.callbacks.app import Receiver, new_app
from receiver.callbacks.events import CallbackAnswered
from receiver.routes import add_routes
from receiver.store.base import Counts, StoreUnavailable
from receiver.store.callback import Callback
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import NOON, an_sms, everything, message_ids
from tests.receiver.payloads import BODIES, V2_JSON, V2_XML, a_json_body, an_item

JSON = {"Content-Type": "application/json"}
XML = {"Content-Type": "application/xml"}
BODY_LIMIT = 10 * 1024 * 1024

Client = TestClient[Any, Any]


class Store(SqliteStore):
    """The real store, which can be made to fail."""

    failure: Exception | None = None

    async def add(self, callbacks: Sequence[Callback]) -> list[Counts]:
        self._fail()
        return await super().add(callbacks)

    async def check_writable(self) -> None:
        self._fail()
        await super().check_writable()

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    database = await Database.open(":memory:")
    await database.migrate(MIGRATIONS)
    yield Store(database)
    await database.close()


class Bell:
    """Counts how often the dispatcher was woken."""

    rung = 0

    def ring(self) -> None:
        self.rung += 1


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def receiver(store: Store, bell: Bell) -> Receiver:
    def now() -> datetime:
        return NOON

    return Receiver(store, sources=["default", "eu"], now=now, on_stored=bell.ring)


@pytest.fixture
def health(store: Store) -> Health:
    return Health(store)


@pytest.fixture
def app(receiver: Receiver, health: Health) -> web.Application:
    made = new_app(body_limit=BODY_LIMIT)
    receiver.add_routes(made)
    add_routes(made, health)
    return made


@pytest.fixture
async def client(app: web.Application, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(app)


async def notify(
    client: Client,
    body: bytes,
    headers: dict[str, str] = JSON,
    *,
    path: str = "/notify",
    status: int = 200,
) -> Any:
    """What a callback is answered, as JSON."""
    async with client.post(path, data=io.BytesIO(body), headers=headers) as response:
        assert response.status == status, await response.text()
        assert response.content_type == "application/json"
        return await response.json()


def error_of(said: Any) -> tuple[str, str]:
    """Code and message of an error, which has the one shape of errors."""
    assert set(said) == {"error"}
    error = said["error"]
    assert set(error) == {"code", "message", "details"}
    return error["code"], error["message"]


# --- taken ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generation", "form", "body"), BODIES, ids=[f"{g}-{form}" for g, form, _ in BODIES]
)
async def test_takes_every_form(
    client: Client, store: Store, generation: str, form: str, body: bytes
) -> None:
    """JSON and XML of both generations are stored, and 200 says how many."""
    said = await notify(client, body, {"Content-Type": f"application/{form}"})

    assert said == {"stored": 1, "duplicates": 0, "quarantined": 0}
    (stored,) = await everything(store)
    assert (stored.generation, stored.format, stored.source) == (generation, form, "default")
    assert stored.received_at == NOON
    assert stored.read().message_id == "2033247207850523791"


async def test_counts(client: Client, store: Store) -> None:
    """The answer counts what was stored, what was there already, and what could not be read."""
    await notify(client, a_json_body(an_sms("a")))
    body = a_json_body(an_sms("a"), an_sms("b"), an_sms("b"), {"smsCount": "many"}, an_sms("c"))

    said = await notify(client, body)

    assert said == {"stored": 2, "duplicates": 2, "quarantined": 1}
    assert message_ids(await everything(store)) == ["a", "b", "c"]


async def test_same_report_in_json_and_xml(client: Client, store: Store) -> None:
    """The same report in the other format is a duplicate."""
    await notify(client, V2_JSON)

    assert await notify(client, V2_XML, XML) == {"stored": 0, "duplicates": 1, "quarantined": 0}
    assert len(await everything(store)) == 1


@pytest.mark.parametrize("body", [b'{"results":[]}', b'{"results":null}'])
async def test_no_reports(client: Client, body: bytes) -> None:
    """A callback without reports is a callback."""
    assert await notify(client, body) == {"stored": 0, "duplicates": 0, "quarantined": 0}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json; charset=utf-8", V2_JSON),
        ("APPLICATION/JSON", V2_JSON),
        ("application/vnd.api+json", V2_JSON),
        ("text/xml", V2_XML),
        ("application/soap+xml", V2_XML),
        ("text/plain", V2_JSON),
        ("text/plain", V2_XML),
        ("application/x-www-form-urlencoded", V2_XML),
        ("application/octet-stream", b"\xef\xbb\xbf  " + V2_JSON),
        ("", V2_JSON),
        ("", V2_XML),
    ],
)
async def test_content_types(client: Client, content_type: str, body: bytes) -> None:
    """Content types that name the format count; those that say nothing leave it to the body."""
    assert (await notify(client, body, {"Content-Type": content_type}))["stored"] == 1


async def test_compressed(client: Client) -> None:
    """A compressed body is unpacked."""
    headers = {**JSON, "Content-Encoding": "gzip"}

    assert (await notify(client, gzip.compress(V2_JSON), headers))["stored"] == 1


async def test_source_by_path(client: Client, store: Store) -> None:
    """The path says which source a callback is from."""
    await notify(client, V2_JSON, path="/notify/eu")

    assert [report.source for report in await everything(store)] == ["eu"]


async def test_large_bodies(client: Client) -> None:
    """A bucket of thousands of reports is taken whole, while others are answered."""
    large = a_json_body(*(an_item(messageId=f"m{n}") for n in range(2000)))

    told, *others = await asyncio.gather(
        notify(client, large),
        *(notify(client, a_json_body(an_sms(f"other-{n}"))) for n in range(5)),
    )

    assert told == {"stored": 2000, "duplicates": 0, "quarantined": 0}
    assert [other["stored"] for other in others] == [1] * 5


async def test_many_at_once(client: Client, store: Store) -> None:
    """Of callbacks that come at the same time each is told about its own."""
    bodies = [a_json_body(*(an_sms(f"{n}-{i}") for i in range(n % 3))) for n in range(30)]

    said = await asyncio.gather(*(notify(client, body) for body in bodies))

    assert [each["stored"] for each in said] == [n % 3 for n in range(30)]
    assert len(await everything(store)) == 30


async def test_wakes_the_dispatcher(client: Client, bell: Bell) -> None:
    """The dispatcher is woken for what is new, and for nothing else."""
    await notify(client, V2_JSON)
    assert bell.rung == 1

    await notify(client, V2_JSON)
    await notify(client, b'{"results":[1]}')
    await notify(client, b"?", status=400)
    assert bell.rung == 1


# --- not taken -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b'{"result":[]}'),
        (JSON, b'{"results":{}}'),
        (JSON, V2_XML),
        (JSON, b"\xff\xfe\x00"),
        (XML, b""),
        (XML, b"<reportResponse>"),
        (XML, b"<reportResponse/>"),
        (XML, V2_JSON),
        (XML, b'<!DOCTYPE a [<!ENTITY b "c">]><a><results>&b;</results></a>'),
        (XML, b'<?xml version="1.0" encoding="no-such"?><a><results/></a>'),
    ],
)
async def test_unreadable(
    client: Client, store: Store, headers: dict[str, str], body: bytes
) -> None:
    """A body without a list of reports is 400, says why, and is kept byte for byte."""
    code, message = error_of(await notify(client, body, headers, status=400))

    assert code == "unreadable"
    assert not message.startswith(":")
    assert message.endswith("kept in quarantine")
    (entry,) = await store.quarantine(None, 10)
    assert entry.content_type == headers["Content-Type"]
    found = await store.quarantined(entry.id)
    assert found is not None
    assert found[1] == body


async def test_one_bad_item_costs_no_other(client: Client, store: Store) -> None:
    """An item that cannot be read is quarantined alone: its neighbours are stored, and 200."""
    good = a_json_body(an_sms("a"), an_sms("b"))
    body = good.replace(b'"results": [', b'"results": [{"status":"\xff"},')

    assert await notify(client, body) == {"stored": 2, "duplicates": 0, "quarantined": 1}
    (entry,) = await store.quarantine(None, 10)
    assert await store.quarantined(entry.id) == (entry, b'{"status":"\xff"}')


async def test_content_type_of_any_bytes(client: Client, store: Store) -> None:
    """A header that is no UTF-8 does not keep a body out of quarantine.

    Once such a header could not be stored: 500 was answered, and nothing was kept.
    """
    assert client.server is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    head = b"Host: x\r\nConnection: close\r\nContent-Type: application/json; a=\xff\r\n"
    writer.write(b"POST /notify HTTP/1.1\r\n" + head + b"Content-Length: 1\r\n\r\n?")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 400 ")
    (entry,) = await store.quarantine(None, 10)
    assert entry.content_type == "application/json; a=\ufffd"


@pytest.mark.parametrize("path", ["/notify/us", "/notify/default%20", "/notify/EU"])
async def test_unknown_source(client: Client, store: Store, path: str) -> None:
    """A callback to a source that is not in the settings is 404, and not stored."""
    code, message = error_of(await notify(client, V2_JSON, path=path, status=404))

    assert code == "unknown_source"
    assert "[[source]]" in message
    assert await everything(store) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_post(client: Client, method: str) -> None:
    """Other methods are 405, and told which one is taken."""
    async with client.request(method, "/notify", data=b"") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        code, message = error_of(await response.json())

    assert code == "method_not_allowed"
    assert message == f"/notify accepts POST, not {method}"


async def test_too_large(client: Client) -> None:
    """A body beyond the limit is 413, and the process goes on."""
    said = await notify(client, b" " * (BODY_LIMIT + 1), status=413)

    code, message = error_of(said)
    assert code == "too_large"
    assert str(BODY_LIMIT) in message
    assert (await notify(client, V2_JSON))["stored"] == 1


@pytest.mark.parametrize("content_type", ["image/png", "text/html", "multipart/form-data", "x"])
async def test_unsupported_media_type(client: Client, store: Store, content_type: str) -> None:
    """A body that says it is neither JSON nor XML is 415, no report, and kept with the reason."""
    said = await notify(client, V2_JSON, {"Content-Type": content_type}, status=415)

    assert error_of(said)[0] == "unsupported_media_type"
    assert await everything(store) == []
    (kept,) = await store.quarantine(None, 10)
    assert (kept.size, kept.content_type) == (len(V2_JSON), content_type)
    assert kept.reason == f'expected JSON or XML, got "{content_type}"'


@pytest.mark.parametrize("body", [V2_JSON, b"?"])
async def test_store_unavailable(client: Client, store: Store, bell: Bell, body: bytes) -> None:
    """While the store cannot be written, 503 says when to come again; then the report is taken."""
    store.failure = StoreUnavailable("disk full")
    async with client.post("/notify", data=body, headers=JSON) as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        assert error_of(await response.json()) == ("store_unavailable", "disk full")
    assert bell.rung == 0

    store.failure = None
    await notify(client, body, status=400 if body == b"?" else 200)


async def test_defect(client: Client, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A defect of ours is 500 in the shape of all errors; the log has the rest."""
    store.failure = RuntimeError("the secret of the house")
    code, message = error_of(await notify(client, V2_JSON, status=500))

    assert code == "internal_error"
    assert "secret" not in message
    assert "the secret of the house" in caplog.text
    caplog.clear()


async def test_a_listener_that_fails(
    store: Store,
    aiohttp_client: AiohttpClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A callback whose reports are on disk is answered 200, whatever fails after that. The failure
    is logged, once a minute.

    A full disk of the log made a plain 500 of it, and the platform repeated what was stored.
    """
    heard: list[int] = []

    def full(_: CallbackAnswered) -> None:
        raise OSError("no space left on device")

    def wake() -> None:
        raise RuntimeError("the dispatcher is gone")

    receiver = Receiver(
        store,
        sources=["default"],
        now=lambda: NOON,
        on_stored=wake,
        listeners=[full, lambda event: heard.append(event.status)],
    )
    app = new_app(body_limit=BODY_LIMIT)
    receiver.add_routes(app)
    client: Client = await aiohttp_client(app)

    for number in range(3):
        body = a_json_body(an_item(messageId=str(number)))
        assert (await notify(client, body))["stored"] == 1
    assert heard == [200, 200, 200]
    assert caplog.text.count("OSError: no space left on device") == 1
    assert caplog.text.count("RuntimeError: the dispatcher is gone") == 1
    caplog.clear()


async def test_nothing_there(client: Client) -> None:
    """A path that is none is 404 in the shape of all errors."""
    async with client.get("/nothing/here") as response:
        assert response.status == 404
        assert error_of(await response.json()) == ("not_found", "not found: /nothing/here")


# --- health --------------------------------------------------------------------------------------


async def health_of(client: Client, path: str) -> tuple[int, Any]:
    async with client.get(path) as response:
        assert ("Retry-After" in response.headers) == (response.status == 503)
        return response.status, await response.json()


async def test_healthy(client: Client) -> None:
    """A process that runs is alive, and ready when its store can be written."""
    assert await health_of(client, "/healthz") == (200, {"alive": True})
    assert await health_of(client, "/readyz") == (200, {"ready": True})


async def test_not_ready_without_a_store(client: Client, store: Store) -> None:
    """While the store cannot be written the process is alive and not ready."""
    store.failure = StoreUnavailable("disk full")

    assert (await health_of(client, "/healthz"))[0] == 200
    status, said = await health_of(client, "/readyz")
    assert (status, *error_of(said)) == (503, "not_ready", "disk full")


async def test_not_ready_for_other_reasons(client: Client, store: Store, health: Health) -> None:
    """Each check that fails gives its reason."""
    store.failure = StoreUnavailable("disk full")
    health.add(lambda: "stopping")
    health.add(lambda: None)

    status, said = await health_of(client, "/readyz")
    assert (status, *error_of(said)) == (503, "not_ready", "stopping; disk full")
