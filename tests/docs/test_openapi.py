"""GET /api/openapi.json is OpenAPI 3.1, and true: it has each route, and real answers fit it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from dispatcher.service import Parts, Service, service
from dispatcher.settings.settings import read_settings
from tests.docs.test_readme import routes
from tests.end_to_end.processes import LIMIT, an_endpoint, customer, eventually
from tests.receiver.payloads import a_json_body, a_v3_item, an_item

Document = dict[str, Any]

BOTH = Parts()

TOKEN = "token-0123456789abcdef"

GUARDED = f"""
[server]
trusted_proxies = 1
[[api.token]]
name = "ops"
scope = "operate"
secret = "{TOKEN}"
[[source]]
name = "default"
[source.basic]
username = "platform"
passwords = ["x"]
[source.query]
tokens = ["y"]
parameter = "key"
[[source]]
name = "signed"
[source.hmac]
keys = ["z"]
[source.certificate]
"""


@asynccontextmanager
async def served(
    folder: Path, text: str = "", parts: Parts = BOTH
) -> AsyncIterator[tuple[Service, aiohttp.ClientSession]]:
    """A service with the settings `text`, and somebody who may ask it everything."""
    file = folder / "dlr.toml"
    file.write_text(text)
    environment = {"DLR_SERVER_PORT": "0", "DLR_STORE_DATABASE": str(folder / "dlr.db")}
    timeout = aiohttp.ClientTimeout(total=LIMIT)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        service(read_settings(file, environment), parts=parts) as running,
        aiohttp.ClientSession(running.url, headers=headers, timeout=timeout) as client,
    ):
        yield running, client


async def described(client: aiohttp.ClientSession) -> Document:
    async with client.get("/api/openapi.json") as response:
        assert response.status == 200
        document: Document = await response.json()
        return document


@pytest.fixture
async def document(tmp_path: Path) -> Document:
    """The description that `dlr serve` gives without any settings."""
    async with served(tmp_path) as (_, client):
        return await described(client)


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def fits(document: Document, schema: Document) -> Draft202012Validator:
    """What judges values by a schema of the document."""
    whole = {**schema, "components": document["components"]}
    return Draft202012Validator(whole, validate_formats=True)


def closed(schema: Any) -> Any:
    """The schema without leave for properties that it does not name. Users have that leave, so that
    new ones break nothing; our own answers must not have any that is not described."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(each) for name, each in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


# --- the document ------------------------------------------------------------------------------


async def test_it_is_openapi_3_1(tmp_path: Path) -> None:
    """The description is valid OpenAPI 3.1, with tokens and secrets of sources and without."""
    for text in ("", GUARDED):
        async with served(tmp_path, text) as (_, client):
            document = await described(client)

        OpenAPIV31SpecValidator(document).validate()
        assert document["openapi"].startswith("3.1")


@pytest.mark.parametrize(
    "parts", [BOTH, Parts(dispatches=False), Parts(receives=False)], ids=["both", "in", "out"]
)
async def test_it_has_each_route(tmp_path: Path, parts: Parts) -> None:
    """The description names each route of the process, and none that is not there."""
    async with served(tmp_path, parts=parts) as (running, client):
        document = await described(client)

        named = {f"{method.upper()} {path}" for method, path, _ in operations(document)}
        assert named == routes(running.app)


async def test_it_has_each_parameter(tmp_path: Path) -> None:
    """The parameters that a route takes are those that are described. A route that takes some
    names them when it is given another one."""
    asked = 0
    async with served(tmp_path) as (_, client):
        document = await described(client)
        for method, path, operation in operations(document):
            if method != "get":
                continue
            async with client.get(re.sub("{.*?}", "1", path), params={"nonsense": "1"}) as response:
                said = await response.text()
            known = re.search(r"unknown parameter; expected ([\w, ]+)", said)
            taken = known[1].split(", ") if known else []
            parameters = operation.get("parameters", ())
            assert taken == [each["name"] for each in parameters if each["in"] == "query"], path
            asked += bool(taken)
    assert asked > 8


async def test_its_examples_fit(document: Document) -> None:
    """Every example fits the schema beside it."""
    found = list(examples(document))

    for schema, example in found:
        fits(document, schema).validate(example)
    assert len(found) > 10


def examples(value: Any) -> Iterator[tuple[Document, Any]]:
    """Every example with its schema: a schema's own, and those of bodies and answers."""
    if isinstance(value, list):
        for each in value:
            yield from examples(each)
    if not isinstance(value, dict):
        return
    if isinstance(value.get("examples"), list):
        yield from ((value, example) for example in value["examples"])
    if isinstance(value.get("examples"), dict) and isinstance(value.get("schema"), dict):
        yield from ((value["schema"], each["value"]) for each in value["examples"].values())
    for each in value.values():
        yield from examples(each)


async def test_references_lead_somewhere_and_schemas_are_used(document: Document) -> None:
    """Every reference has its target, and every shared schema and answer is referred to."""
    referred = set(re.findall(r'"#/components/([^"]+)"', json.dumps(document)))
    events = {"schemas/AttemptEvent"}  # only the words of a stream can name it
    shared = {
        f"{kind}/{name}"
        for kind in ("schemas", "responses")
        for name in document["components"][kind]
    }
    without_tokens = {"responses/Unauthorized", "responses/Forbidden"}

    assert referred | events | without_tokens == shared


async def test_secrets_are_asked_for_as_set(tmp_path: Path) -> None:
    """With tokens the API asks for one, and says 401 and, where something changes, 403. A callback
    needs all that its source demands; an open one needs nothing. No secret is told."""
    async with served(tmp_path, GUARDED) as (_, client):
        document = await described(client)
    paths = document["paths"]

    assert paths["/api/reports"]["get"]["security"] == [{"token": []}]
    assert paths["/healthz"]["get"]["security"] == []
    assert "401" in paths["/api/reports"]["get"]["responses"]
    assert "403" not in paths["/api/reports"]["get"]["responses"]
    assert "403" in paths["/api/replays"]["post"]["responses"]
    default: dict[str, list[str]] = {"default-basic": [], "default-query": []}
    signed: dict[str, list[str]] = {"signed-hmac": [], "signed-certificate": []}
    assert paths["/notify"]["post"]["security"] == [default]
    assert paths["/notify/{source}"]["post"]["security"] == [default, signed]
    schemes = document["components"]["securitySchemes"]
    assert set(schemes) == {*default, *signed, "token"}
    assert schemes["default-query"]["name"] == "key"
    assert TOKEN not in json.dumps(document)


async def test_an_open_callback_asks_for_nothing(document: Document) -> None:
    """Without secrets a callback needs none, and its path names the sources that there are."""
    callback = document["paths"]["/notify/{source}"]["post"]

    assert callback["security"] == [{}]
    assert callback["parameters"][0]["schema"]["enum"] == ["default"]


# --- real answers ------------------------------------------------------------------------------


class Asked:
    """Asks a service, and holds each answer against the description."""

    def __init__(self, client: aiohttp.ClientSession, document: Document) -> None:
        self.answered: set[tuple[str, str]] = set()
        self._client = client
        self._document = document

    async def __call__(
        self, method: str, path: str, status: int = 200, *, where: str = "", **how: Any
    ) -> Any:
        """The body of the answer, of JSON or of bytes. `where` stands for what is in braces."""
        operation = self._document["paths"][path][method]
        url = re.sub("{.*?}", where, path)
        async with self._client.request(method, url, **how) as response:
            body = await response.read()
            assert response.status == status, (method, url, body)
            schema = self._schema(operation["responses"][str(status)], response.content_type)
        value = json.loads(body) if response.content_type == "application/json" else body
        if schema is not None:
            judged = value if isinstance(value, dict) else body.decode()
            fits(closed(self._document), closed(schema)).validate(judged)
        if status < 300:
            self.answered.add((method, path))
        return value

    def _schema(self, answer: Document, content_type: str) -> Document | None:
        if "$ref" in answer:
            answer = self._document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        found: Document | None = answer["content"][content_type].get("schema")
        return found

    async def events(self, number: int) -> None:
        """The first events of the stream, each against the schema of its kind."""
        kinds = {"report": "Report", "attempt": "AttemptEvent"}
        document = closed(self._document)
        headers = {"Last-Event-ID": "r0.a0"}
        async with self._client.get("/api/events", headers=headers) as response:
            answer = self._document["paths"]["/api/events"]["get"]["responses"]["200"]
            assert response.content_type in answer["content"]
            seen = set()
            while number:
                event = (await response.content.readuntil(b"\n\n")).decode()
                if found := re.search("event: (.*)\ndata: (.*)\n", event):
                    schema = {"$ref": f"#/components/schemas/{kinds[found[1]]}"}
                    fits(document, schema).validate(json.loads(found[2]))
                    seen.add(found[1])
                    number -= 1
            assert seen == kinds.keys()
        self.answered.add(("get", "/api/events"))


async def filled(ask: Asked) -> None:
    """Reports of both formats and generations, one of them twice, and what cannot be read."""
    strange = {"messageId": "m3", "new": {"a": [1]}, "status": {"groupName": "NEW", "x": 1}}
    item = b"<messageId>m4</messageId><status/>"
    xml = b"<DeliveryReports><results><result>%b</result></results></D>" % item
    bodies = [
        a_json_body(an_item(messageId="m1"), an_item(messageId="m1")),
        a_json_body(a_v3_item(messageId="m2"), strange, {"error": {}}),
        xml.replace(b"</D>", b"</DeliveryReports>"),
    ]
    for body in bodies:
        kind = "application/xml" if body.startswith(b"<") else "application/json"
        await ask("post", "/notify", data=body, headers={"Content-Type": kind})
    await ask("post", "/notify/{source}", where="default", data=b'{"results":[{"to":{}}]}')
    await ask("post", "/notify", 400, data=b"{")
    await ask("post", "/notify", 415, data=b"x", headers={"Content-Type": "image/png"})

    async def tried() -> bool:
        found = (await ask("get", "/api/dispatches"))["dispatches"]
        carried = dict.fromkeys(("acme", "down"), 0)
        for each in found:
            carried[each["endpoint"]] += each["reports"] * (each["attempts"] > 0)
        return all(count == 5 for count in carried.values())

    await eventually(tried, "each report was tried at each endpoint")


async def test_real_answers_fit(tmp_path: Path) -> None:
    """Each operation answers as it is described, with nothing that is not: reports, messages,
    totals, quarantine, dispatches, endpoints, replays and events of a service that has some."""
    async with customer() as acme, customer(lambda _: 503) as down:
        text = an_endpoint(acme.url) + an_endpoint(down.url, "down")
        async with served(tmp_path, text) as (_, client):
            document = await described(client)
            ask = Asked(client, document)
            await filled(ask)
            await of_the_receiver(ask)
            await of_dispatches(ask)
            await of_endpoints(ask)
            await of_replays(ask)
            await ask.events(10)

    assert ask.answered == {(method, path) for method, path, _ in operations(document)}


async def of_the_receiver(ask: Asked) -> None:
    for path in ("/api/openapi.json", "/healthz", "/readyz", "/metrics", "/api/unrouted"):
        await ask("get", path)
    reports = await ask("get", "/api/reports", params={"received": "true", "limit": "2"})
    await ask("get", "/api/reports", params={"cursor": reports["next"]})
    await ask("get", "/api/reports", 400, params={"limit": "0"})
    await ask("get", "/api/reports", 417, headers={"Expect": "something"})
    await ask("get", "/api/events", 400, params={"types": "something"})
    await ask("get", "/api/reports/{id}", where="1", params={"received": "true"})
    await ask("get", "/api/reports/{id}", 404, where="99")
    assert (await ask("get", "/api/reports/{id}/why", where="1"))["endpoints"]
    await ask("get", "/api/reports/{id}/why", 404, where="99")
    await ask("get", "/api/reports/{id}/why", 400, where="1", params={"source": "x"})
    await ask("get", "/api/messages")
    assert (await ask("get", "/api/messages/{messageId}", where="m1"))["dispatches"]
    await ask("get", "/api/messages/{messageId}", 404, where="none")
    assert (await ask("get", "/api/totals"))["total"]["prices"]
    assert len((await ask("get", "/api/quarantine"))["items"]) == 3
    assert (await ask("get", "/api/callbacks/not-taken"))["notTaken"]
    await ask("get", "/api/quarantine/{id}", where="1")
    await ask("get", "/api/quarantine/{id}/body", where="1")
    await ask("post", "/api/quarantine/{id}/retry", where="1")
    await ask("post", "/api/quarantine/{id}/retry", 404, where="99")
    await ask("delete", "/api/quarantine/{id}", where="1")
    await ask("delete", "/api/quarantine/{id}", 404, where="1")
    outcomes = [each["outcome"] for each in (await ask("get", "/api/audit"))["items"]]
    assert outcomes == ["refused", "done"] * 2
    await ask("get", "/api/audit", 400, params={"since": "yesterday"})


async def of_dispatches(ask: Asked) -> None:
    states = {}
    for each in (await ask("get", "/api/dispatches"))["dispatches"]:
        states[each["state"]] = each["id"]
    await ask("get", "/api/dispatches", 400, params={"state": "delivered"})
    for dispatch in states.values():
        assert (await ask("get", "/api/dispatches/{id}", where=dispatch))["history"]
    await ask("post", "/api/dispatches/{id}/again", 409, where=states["waiting"])
    await ask("post", "/api/dispatches/{id}/retry", where=states["waiting"])
    await ask("post", "/api/dispatches/{id}/retry", 404, where="none")

    async def waits() -> bool:
        one = await ask("get", "/api/dispatches/{id}", where=states["waiting"])
        return bool(one["state"] == "waiting")

    await eventually(waits, "it waits again")
    await ask("post", "/api/dispatches/{id}/cancel", where=states["waiting"])
    await ask("post", "/api/dispatches/{id}/retry", 409, where=states["waiting"])
    await ask("post", "/api/dispatches/{id}/again", 201, where=states["waiting"])
    await ask("post", "/api/dispatches/{id}/again", 404, where="none")
    await ask("post", "/api/dispatches/{id}/cancel", 409, where=states["waiting"])
    await ask("post", "/api/dispatches/{id}/cancel", 404, where="none")


async def of_endpoints(ask: Asked) -> None:
    await ask("get", "/api/endpoints")
    new = {
        "name": "added",
        "url": "https://u:p@127.0.0.1/dlr?key=1",
        "headers": {"X-Key": "1"},
        "security": {"type": "basic", "username": "u", "password": "p"},
        "outcome": {"stopOn": ["410"], "honourRetryAfter": True},
        "callbackDataFields": {"shop": "1"},
        "reports": "final",
    }
    await ask("post", "/api/endpoints", 201, json=new)
    await ask("post", "/api/endpoints", 409, json=new)
    await ask("post", "/api/endpoints", 400, json={"name": "added"})
    await ask("get", "/api/endpoints/{name}", where="added")
    await ask("get", "/api/endpoint-health")
    await ask("get", "/api/alerts")
    await ask("get", "/api/endpoints/{name}/health", where="acme")
    await ask("get", "/api/endpoints/{name}/health", 404, where="none")
    await ask("patch", "/api/endpoints/{name}", where="acme", json={"window": 3, "outcome": None})
    await ask("patch", "/api/endpoints/{name}", 400, where="acme", json={"window": 0})
    await ask("post", "/api/endpoint-tests", json=new)
    await ask("post", "/api/endpoint-tests", 400, json={"name": "added"})
    for name in ("pause", "resume", "reset", "retry", "test"):
        await ask("post", f"/api/endpoints/{{name}}/{name}", where="acme")
        await ask("post", f"/api/endpoints/{{name}}/{name}", 404, where="none")
    await ask("delete", "/api/endpoints/{name}", where="added")


async def of_replays(ask: Asked) -> None:
    asked = {"endpoint": "acme", "since": "00:00", "rate": "1/h", "stopOnErrors": 0.5, "key": "k"}
    assert (await ask("post", "/api/replays", json={**asked, "dryRun": True}))["first"]
    made = await ask("post", "/api/replays", 201, json=asked)
    await ask("post", "/api/replays", json=asked)
    await ask("post", "/api/replays", 201, json={"ids": [1], "pace": "original", "speed": 2})
    await ask("post", "/api/replays", 201, json={"ids": [1], "to": "https://127.0.0.1/"})
    await ask("post", "/api/replays", 400, json={})
    await ask("get", "/api/replays")
    await ask("get", "/api/replays/{id}", where=str(made["id"]))
    await ask("post", "/api/replays/{id}/cancel", where=str(made["id"]))
    await ask("post", "/api/replays/{id}/cancel", 409, where=str(made["id"]))
    await ask("get", "/api/replays/{id}", 404, where="99")
