"""The description of the send API is true: routes, requests and real answers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from dispatcher.sandbox.described import SENDING
from receiver.api.described import DESCRIBED as RECEIVER
from receiver.api.openapi import document, routes
from receiver.settings.settings import ReceiverSettings
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
    return document(app, ReceiverSettings(), {}, [RECEIVER, SENDING])


def fits(described: Document, schema: Document) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": described["components"]})


def test_it_has_each_route(provider: Sending, described: Document) -> None:
    """Each route is described, and none that is not there."""
    app = provider.client.server.app  # type: ignore[attr-defined]
    named = {(method, path) for path, methods in described["paths"].items() for method in methods}

    assert named == set(routes(app))
    assert {path for _, path in named} == set(GOOD)


def test_it_is_openapi(described: Document) -> None:
    """It is valid OpenAPI 3.1; each schema is used and each that is used is there."""
    part = {**described["components"], "schemas": _schemas(described)}
    OpenAPIV31SpecValidator({**described, "components": part}).validate()
    referred = set(re.findall(r"#/components/schemas/(\w+)", str(described["paths"])))

    assert set(SENDING.schemas) == referred - {"Error"}
    assert set(described["components"]["securitySchemes"]) == set(SENDING.schemes)


def _schemas(described: Document) -> Document:
    """Those of the send API, and the status that it takes from the receiver's."""
    names = {*SENDING.schemas, "Status", "Error", "Fault"}
    schemas = described["components"]["schemas"]
    return {name: each for name, each in schemas.items() if name in names}


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


def _needed(path: str) -> str:
    return next(name for name in ("messages", "text", "binary") if name in GOOD[path])
