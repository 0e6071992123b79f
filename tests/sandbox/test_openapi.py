"""GET /api/openapi.json of a sandbox is true: routes, requests and real answers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from dispatcher.sandbox.api.openapi import CREDENTIALS
from dispatcher.sandbox.api.send import REQUESTS
from receiver.api.openapi import document
from receiver.api.provider import PROVIDER
from receiver.settings.settings import ReceiverSettings
from tests.docs.test_openapi import closed, operations
from tests.docs.test_openapi import fits as fits_document
from tests.docs.test_readme import routes
from tests.sandbox.playing import Played, playing
from tests.sandbox.sending import Sending, sending
from tests.sandbox.test_validation_rules import GOOD, planted

Document = dict[str, Any]


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


@pytest.fixture
def described(provider: Sending) -> Document:
    app = provider.client.server.app  # type: ignore[attr-defined]
    return document(app, ReceiverSettings(), {**PROVIDER, **REQUESTS})


def fits(described: Document, schema: Document) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": described["components"]})


def test_it_has_each_route(provider: Sending, described: Document) -> None:
    """Each route is described, and none that is not there."""
    app = provider.client.server.app  # type: ignore[attr-defined]
    named = {f"{method.upper()} {path}" for method, path, _ in operations(described)}

    assert named == routes(app)
    assert set(described["paths"]) == set(GOOD)


def test_it_is_openapi(described: Document) -> None:
    """It is valid OpenAPI 3.1; each schema is used and each that is used is there."""
    OpenAPIV31SpecValidator(described).validate()
    schemas = described["components"]["schemas"]
    referred = set(re.findall(r"#/components/schemas/(\w+)", str(described)))

    assert set(REQUESTS) <= set(schemas) == referred
    assert set(described["components"]["securitySchemes"]) == set(CREDENTIALS.schemes)


@pytest.mark.parametrize("path", GOOD)
async def test_real_requests_and_answers_fit(
    provider: Sending, described: Document, path: str
) -> None:
    """What is taken fits the description of requests, what is answered that of answers."""
    (operation,) = described["paths"][path].values()
    if "query" in path:
        assert {each["name"] for each in operation["parameters"] if each.get("required")} == {
            "to",
            "text",
        }
        query = "&".join(f"{name}={value}" for name, value in GOOD[path].items())
        status, answer = await provider.get(f"{path}?{query}")
        bad, fault = await provider.get(path)
    else:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        fits(described, schema).validate(GOOD[path])
        assert not fits(described, schema).is_valid(planted(GOOD[path], _needed(path), {}))
        status, answer = await provider.post(path, GOOD[path])
        bad, fault = await provider.post(path, {})

    assert (status, bad) == (200, 400)
    if not path.endswith(".xml"):
        answers = operation["responses"]
        for number, body in (("200", answer), ("400", fault)):
            schema = answers[number]["content"]["application/json"]["schema"]
            fits(described, schema).validate(body)


@pytest.mark.parametrize("path", [path for path in GOOD if "query" not in path])
async def test_each_example_can_be_sent(provider: Sending, described: Document, path: str) -> None:
    """Whoever pastes it gets an answer, and nothing of it is refused."""
    content = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    (example,) = content["examples"].values()

    fits(described, content["schema"]).validate(example["value"])
    status, answer = await provider.post(path, example["value"])

    assert status == 200
    assert "REJECTED" not in str(answer)


def _needed(path: str) -> str:
    return next(name for name in ("messages", "text", "binary") if name in GOOD[path])


# --- of a process ------------------------------------------------------------------------------


async def shown(sandbox: Played) -> Document:
    document: Document = await sandbox.get("/api/openapi.json")
    return document


async def test_that_of_a_process_has_each_route(tmp_path: Path) -> None:
    """The description is valid, with each route of the process and none that is not there."""
    async with playing(tmp_path) as sandbox:
        document = await shown(sandbox)

        OpenAPIV31SpecValidator(document).validate()
        assert document["servers"] == [{"url": sandbox.running.url}]
        named = {f"{method.upper()} {path}" for method, path, _ in operations(document)}
        assert named == routes(sandbox.running.app)
        names = [each["operationId"] for _, _, each in operations(document)]
        assert len(names) == len(set(names))


async def test_real_answers_of_a_process_fit(tmp_path: Path) -> None:
    """What the routes answer is what is described, with nothing more."""
    async with playing(tmp_path) as sandbox:
        document = await shown(sandbox)
        await sandbox.send(bulk={"bulkId": "B"})
        await sandbox.send("no number")
        answered = {
            "post /sandbox/advance": await sandbox.advance("1m"),
            "get /sandbox/messages": await sandbox.get("/sandbox/messages"),
            "get /sms/1/bulks": await sandbox.get("/sms/1/bulks?bulkId=B"),
            "get /sms/1/bulks/status/": await sandbox.get("/sms/1/bulks/status/?bulkId=B"),
            "get /sms/1/logs": await sandbox.get("/sms/1/logs"),
            "get /sms/3/logs": await sandbox.get("/sms/3/logs?useCursor=true"),
            "get /sms/3/reports": await sandbox.get("/sms/3/reports"),
            "post /sandbox/reset": (await sandbox.ask("POST", "/sandbox/reset"))[1],
        }

    for method, path, operation in operations(document):
        if (value := answered.pop(f"{method} {path}", None)) is not None:
            content = operation["responses"]["200"]["content"]["application/json"]
            schema = content["schema"]
            strict = {**document, "components": closed(document["components"])}
            fits_document(strict if path.startswith("/sandbox") else document, schema).validate(
                value
            )
    assert answered == {}


async def test_it_has_each_parameter(tmp_path: Path) -> None:
    """The parameters that the routes for test suites take are those that are described."""
    async with playing(tmp_path) as sandbox:
        document = await shown(sandbox)
        for method, path, operation in operations(document):
            if path.startswith("/sandbox/") and path != "/sandbox/outcomes":
                asked = path.replace("{messageId}", "1")
                _, fields = await sandbox.ask(method.upper(), asked, params={"nonsense": "1"})
                words = fields["error"]["message"]
                assert "unknown parameter" in words, path
                known = re.search(r"unknown parameter; expected ([\w, ]+)", words)
                taken = known[1].split(", ") if known else []
                said = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
                assert taken == [each["name"] for each in said], path
