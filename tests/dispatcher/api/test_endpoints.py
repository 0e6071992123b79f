"""Endpoints over HTTP: what there is, and changes at run time."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestClient
from msgspec import json
from pytest_aiohttp.plugin import AiohttpClient

from dispatcher.api.endpoint_answer import EndpointAnswer
from dispatcher.api.endpoints import EndpointApi
from dispatcher.endpoints.base import StoredEndpoint
from dispatcher.endpoints.registry import Registry
from dispatcher.pushing.leads_to import LeadsTo
from dispatcher.security.addresses import DEFAULT_POLICY
from dispatcher.settings.security import SecuritySettings
from dispatcher.settings.settings import EndpointSettings
from receiver.api.openapi import Schemas
from receiver.callbacks.app import new_app
from receiver.routes import add_routes
from receiver.settings.configuration import Secret
from tests.dispatcher.support import Bench, a_bench, an_endpoint

ACME = EndpointSettings(
    "acme",
    "http://me:s3cret@acme.example/dlr?token=s3cret",
    headers={"Authorization": Secret("App s3cret")},
    security=SecuritySettings(type="hmac", secret_key=Secret("s3cret"), prefix="sha256="),
)
NEW = {"name": "beta", "url": "https://beta.example/dlr"}

Client = TestClient[Any, Any]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


@pytest.fixture
def registry(bench: Bench) -> Registry:
    return Registry(bench.storage.endpoints, [ACME], sources=["default"])


@pytest.fixture
async def client(bench: Bench, registry: Registry, aiohttp_client: AiohttpClient) -> Client:
    app = new_app(body_limit=10_000)
    add_routes(app, EndpointApi(registry, bench.queue, bench.storage.figures))
    return await aiohttp_client(app)


async def ask(
    client: Client, method: str, path: str = "", body: Any = None, status: int = 200
) -> Any:
    """What a request to /api/endpoints… is answered. No answer ever holds a secret."""
    async with client.request(method, f"/api/endpoints{path}", json=body) as response:
        text = await response.text()
        assert response.status == status, text
        assert response.content_type == "application/json"
        assert "s3cret" not in text
        return await response.json()


async def test_an_endpoint_with_every_setting(client: Client) -> None:
    """An endpoint is shown with each setting in camelCase, secrets as "set", and its dispatches."""
    assert await ask(client, "GET", "/acme") == {
        "name": "acme",
        "url": "http://acme.example/dlr?…",
        "contentType": "application/json",
        "generation": "as-received",
        "bucketSize": 100,
        "window": 20,
        "connectTimeout": "10s",
        "readTimeout": "10s",
        "rateLimit": 0.0,
        "ordered": False,
        "breakerFailures": 0,
        "breakerProbe": "30s",
        "schedule": "default",
        "headers": {"Authorization": "set"},
        "sources": [],
        "reports": "all",
        "statusGroups": [],
        "senders": [],
        "toPrefixes": [],
        "bulkIds": [],
        "applicationIds": [],
        "entityIds": [],
        "callbackDataPrefix": "",
        "callbackDataFields": {},
        "outcome": None,
        "security": {"type": "hmac", "secretKey": "set", "prefix": "set"},
        "tls": {
            "minimumVersion": "1.2",
            "caFile": None,
            "certificateFile": None,
            "keyFile": None,
        },
        "origin": "file",
        "changed": [],
        "paused": False,
        "faults": [],
        "gone": False,
        "unread": 0,
        "dispatches": {
            "waiting": 0,
            "leased": 0,
            "acknowledged": 0,
            "exhausted": 0,
            "cancelled": 0,
        },
    }


def test_clients_are_told_that_secrets_are_only_set() -> None:
    """OpenAPI promises "set" for each secret setting of `security`, and nothing else."""
    schemas = Schemas({})
    schemas.of(EndpointAnswer)
    security = schemas.found["Endpoint"]["properties"]["security"]
    assert security["additionalProperties"] == {"const": "set"}


async def test_counts_dispatches(bench: Bench, client: Client) -> None:
    """An endpoint says how many dispatches it has in each state."""
    await bench.receive()
    await bench.work()

    said = await ask(client, "GET", "/acme")

    assert (said["dispatches"]["acknowledged"], said["dispatches"]["waiting"]) == (1, 0)


async def test_the_list(client: Client) -> None:
    """The list is paged by name, the file's endpoints first; `next` is null on the last page, full
    or not."""
    for name in ("b", "a"):
        await ask(client, "POST", body={**NEW, "name": name}, status=201)

    async def names(query: str) -> tuple[list[str], str | None]:
        said = await ask(client, "GET", query)
        return [each["name"] for each in said["endpoints"]], said["next"]

    assert await names("") == (["acme", "a", "b"], None)
    assert await names("?limit=2") == (["acme", "a"], "a")
    assert await names("?limit=1&cursor=a") == (["b"], None)
    for query in ("?cursor=nobody", "?limit=0", "?state=waiting"):
        assert (await ask(client, "GET", query, status=400))["error"]["code"] == "bad_query"


async def test_add(client: Client, registry: Registry) -> None:
    """An endpoint is added with camelCase settings, in tables too; keys that are the user's stay as
    they are. Its URL is not the operator's word."""
    asked = {
        **NEW,
        "bucketSize": 5,
        "headers": {"X-Api_Key": "s3cret"},
        "callbackDataFields": {"customer_id": "7", "customerName": "a"},
        "outcome": {"retry4xx": False, "honourRetryAfter": True, "retryAfterMax": "6h"},
        "security": {"type": "hmac", "secretKey": "s3cret", "timestampHeader": "X-Time"},
        "tls": {"minimumVersion": "1.3"},
    }
    said = await ask(client, "POST", body=asked, status=201)

    assert (said["origin"], said["bucketSize"]) == ("run-time", 5)
    assert said["headers"] == {"X-Api_Key": "set"}
    assert said["callbackDataFields"] == {"customer_id": "7", "customerName": "a"}
    assert said["outcome"]["retry4xx"] is False
    assert said["security"] == {"type": "hmac", "secretKey": "set", "timestampHeader": "set"}
    (_, added) = await registry.endpoints()
    assert added.checked
    assert added.headers == {"X-Api_Key": "s3cret"}


async def test_a_name_that_is_taken(client: Client) -> None:
    """A name that the file or another has is 409."""
    said = await ask(client, "POST", body={**NEW, "name": "acme"}, status=409)

    assert said["error"]["code"] == "endpoint_exists"
    assert said["error"]["message"].startswith('there is already an endpoint "acme"')


async def test_all_faults_at_once(client: Client) -> None:
    """Everything that is wrong is told in one answer, by the names of the API, without secrets."""
    asked = {
        "name": "b b",
        "url": "http://0177.0.0.1/",
        "bucketSiz": 1,
        "readTimeout": 5,
        "sources": ["nowhere"],
        "security": {"type": "hmac", "secretKey": 7, "tokenUrl": "ftp://me:s3cret@t/"},
        "tls": {"caFile": "/etc/passwd", "keyFile": "/etc/shadow"},
    }
    error = (await ask(client, "POST", body=asked, status=400))["error"]

    assert error["code"] == "bad_settings"
    assert error["message"] == "; ".join(error["details"]["faults"])
    assert {fault.partition(": ")[0] for fault in error["details"]["faults"]} == {
        *("name", "url", "bucketSiz", "readTimeout", "sources[0]"),
        *("security.secretKey", "security.tokenUrl", "tls.caFile", "tls.keyFile"),
    }
    assert 'did you mean "bucketSize"?' in error["message"]
    assert "there is no such file" not in error["message"].lower()


@pytest.mark.parametrize("url", ["http://xn--.example/", "http://a/b c", "http://a/?b=ü"])
async def test_urls_that_would_be_mended(client: Client, url: str) -> None:
    """A host that IDNA cannot read was 500 and a traceback; it is 400 like what is not encoded."""
    for method, path, body in (
        ("POST", "", {**NEW, "url": url}),
        ("PATCH", "/acme", {"url": url, "headers": None, "security": None}),
        ("PATCH", "/acme", {"security": {"tokenUrl": url}}),
    ):
        error = (await ask(client, method, path, body, status=400))["error"]
        assert error["code"] == "bad_settings"
        assert "Url: expected" in error["message"] or "url: expected" in error["message"]


@pytest.mark.parametrize("body", ["", "[]", "null", "{", '{"name":"\\ud800"}', "[" * 5000])
async def test_what_is_no_object(client: Client, body: str) -> None:
    """A body that is no JSON object is 400, whatever it is."""
    for method, path in (("POST", ""), ("PATCH", "/acme")):
        async with client.request(method, f"/api/endpoints{path}", data=body) as response:
            assert response.status == 400
            said = await response.json()
            assert said["error"]["message"].startswith("expected a JSON object of settings")


async def test_change(client: Client) -> None:
    """A change touches what it names; null is the default; the answer is the endpoint as it is."""
    said = await ask(client, "PATCH", "/acme", {"window": 3, "rateLimit": 2})
    assert (said["window"], said["rateLimit"], said["bucketSize"]) == (3, 2.0, 100)
    assert said["changed"] == ["window", "rateLimit"]

    said = await ask(client, "PATCH", "/acme", {"window": None, "headers": {"X-New": "s3cret"}})
    assert said["window"] == 20
    assert said["headers"] == {"Authorization": "set", "X-New": "set"}


async def test_a_change_with_faults(client: Client) -> None:
    """A change that cannot be is 400 and changes nothing."""
    before = await ask(client, "GET", "/acme")
    for body, place in (
        ({"window": 0}, "window"),
        ({"windo": None}, "windo"),
        ({"name": "b"}, "name"),
        ({"paused": True}, "paused"),
        ({"url": None}, "url"),
        ({"url": "https://elsewhere.example/"}, "headers"),
        ({"tls": {"certificateFile": "me.pem"}}, "tls.certificateFile"),
        ({"security": {"oldSecretKey": "s3cret"}}, "security.oldSecretKey"),
    ):
        error = (await ask(client, "PATCH", "/acme", body, 400))["error"]
        assert error["details"]["faults"][0].startswith(f"{place}: "), error

    assert await ask(client, "GET", "/acme") == before


async def test_pause_and_resume(client: Client, registry: Registry) -> None:
    """Pausing and resuming answer with the endpoint as it is then; twice is as once."""
    for _ in range(2):
        assert (await ask(client, "POST", "/acme/pause"))["paused"] is True
    assert (await registry.endpoints())[0].paused
    for _ in range(2):
        assert (await ask(client, "POST", "/acme/resume"))["paused"] is False


async def test_remove_and_reset(bench: Bench, client: Client) -> None:
    """Removing says how many dispatches were cancelled by it; a reset brings back the file's."""
    bench.sender.always(503)
    await bench.receive()
    await bench.work()

    assert await ask(client, "DELETE", "/acme") == {"removed": "acme", "cancelled": 1}
    await ask(client, "GET", "/acme", status=404)
    assert (await ask(client, "POST", "/acme/reset"))["origin"] == "file"


async def test_unknown_endpoints(client: Client) -> None:
    """Whatever is asked of an endpoint that is not there is 404."""
    for method, path in (
        ("GET", "/nobody"),
        ("PATCH", "/nobody"),
        ("DELETE", "/nobody"),
        ("POST", "/nobody/pause"),
        ("POST", "/nobody/resume"),
        ("POST", "/nobody/reset"),
    ):
        error = (await ask(client, method, path, {}, 404))["error"]
        assert error["code"] == "not_found"
        assert error["message"].startswith('there is no endpoint "nobody"')


async def test_one_that_cannot_be_read(bench: Bench, client: Client) -> None:
    """An endpoint whose stored settings cannot be read is shown with its fault, and paused."""
    await ask(client, "POST", body=NEW, status=201)
    older = StoredEndpoint(json.encode({**NEW, "bucket_size": 0}).decode())
    await bench.storage.endpoints.put("beta", lambda _: older, known=())

    said = await ask(client, "GET", "/beta")

    assert said["paused"] is True
    assert said["faults"] == ["bucketSize: expected an integer from 1 to 2000, got 0"]
    assert set(said) == {
        *{"name", "origin", "changed", "paused", "faults", "gone", "unread", "dispatches"}
    }
    assert len((await ask(client, "GET"))["endpoints"]) == 2


# --- endpoints that left the settings file -------------------------------------------------------


async def a_gone_one(bench: Bench) -> None:
    """Of an earlier settings file: Old, for whom a dispatch waits and a report is unread."""
    old = an_endpoint("old")
    await bench.queue.adopt([old])
    bench.worker.use([old])
    bench.sender.always(503, endpoint="old")
    await bench.receive()
    await bench.work()
    bench.worker.use([])
    await bench.receive()


async def test_one_that_is_gone_is_listed(bench: Bench, client: Client) -> None:
    """It comes last, with what still waits for it; alone it is shown too, and cannot be changed."""
    await a_gone_one(bench)

    acme, old = (await ask(client, "GET"))["endpoints"]
    assert (acme["name"], acme["gone"], acme["origin"]) == ("acme", False, "file")
    assert (old["name"], old["gone"], old["origin"]) == ("old", True, "file")
    assert (old["dispatches"]["waiting"], old["unread"]) == (1, 1)
    assert await ask(client, "GET", "/old") == old
    for method, path, body in (
        ("POST", "/old/pause", None),
        ("POST", "/old/resume", None),
        ("PATCH", "/old", {"window": 3}),
    ):
        refused = await ask(client, method, path, body, status=404)
        assert "old --as NAME" in refused["error"]["message"]


async def test_one_that_is_gone_goes_on_under_another_name(bench: Bench, client: Client) -> None:
    """What waits for it waits for the other one then; whoever is in force keeps what it has."""
    await a_gone_one(bench)

    acme = await ask(client, "POST", "/old/resume?as=acme")

    assert (acme["name"], acme["dispatches"]["waiting"]) == ("acme", 1)
    assert [each["name"] for each in (await ask(client, "GET"))["endpoints"]] == ["acme"]
    await ask(client, "POST", "/old/resume?as=acme", status=404)
    await ask(client, "POST", "", NEW, status=201)
    refused = await ask(client, "POST", "/beta/resume?as=acme", status=409)
    assert refused["error"]["code"] == "endpoint_in_force"
    await ask(client, "POST", "/beta/resume?as=nobody", status=409)


async def test_one_that_is_gone_can_be_removed(bench: Bench, client: Client) -> None:
    """As any other: what waits for it is cancelled."""
    await a_gone_one(bench)

    assert await ask(client, "DELETE", "/old") == {"removed": "old", "cancelled": 1}
    assert len((await ask(client, "GET"))["endpoints"]) == 1
    await ask(client, "DELETE", "/old", status=404)


class Names(AbstractResolver):
    """A name server that knows a few names."""

    def __init__(self, **addresses: list[str]) -> None:
        self._addresses = {name.replace("_", "."): found for name, found in addresses.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in self._addresses:
            raise socket.gaierror("no such name")
        return [
            ResolveResult(hostname=host, host=each, port=port, family=int(family), proto=0, flags=0)
            for each in self._addresses[host]
        ]

    async def close(self) -> None:
        """Nothing is open."""


INSIDE = "url: no push will be made, because 10.1.2.3 is private (outgoing"


@pytest.mark.parametrize(
    ("url", "warning"),
    [
        ("https://public.example/dlr", None),
        ("https://inside.example/dlr", INSIDE),
        ("https://both.example/dlr", None),
        ("https://public.example:25/dlr", "url: no push will be made, because port 25 is not"),
        ("https://unknown.example/dlr", "url: the host name unknown.example cannot be resolved"),
    ],
)
async def test_an_address_that_is_never_called_is_told_at_once(
    bench: Bench, registry: Registry, aiohttp_client: AiohttpClient, url: str, warning: str | None
) -> None:
    """A customer's URL that leads to a private network was taken with 201, and then not one report
    was pushed. The answer to adding and to changing it warns; it is stored all the same, because
    names change. Nobody is warned where some address is allowed."""
    names = Names(
        public_example=["93.184.216.34"],
        inside_example=["10.1.2.3"],
        both_example=["10.1.2.3", "93.184.216.34"],
    )
    app = new_app(body_limit=10_000)
    leads_to = LeadsTo(DEFAULT_POLICY, names)
    add_routes(app, EndpointApi(registry, bench.queue, bench.storage.figures, leads_to=leads_to))
    client = await aiohttp_client(app)

    added = await ask(client, "POST", "", {"name": "beta", "url": url}, 201)
    changed = await ask(client, "PATCH", "/acme", {"url": url, "headers": None, "security": None})
    narrowed = await ask(client, "PATCH", "/acme", {"window": 5})

    for told in (added, changed):
        assert told["url"] == url
        if warning is None:
            assert "warnings" not in told
        else:
            assert told["warnings"][0].startswith(warning)
    assert "warnings" not in narrowed
    assert "warnings" not in await ask(client, "GET", "/beta")
