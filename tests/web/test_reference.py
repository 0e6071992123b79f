"""The HTTP reference: what it makes of an OpenAPI document."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from dispatcher.web.reference import (
    Operation,
    curl,
    example_of,
    grouped,
    operations,
    rows,
    type_words,
)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"], "format": "date-time"}, "string (date-time) or null"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer, 1 to 9"),
        ({"type": "string", "minLength": 0, "maxLength": 64}, "string, at most 64 characters"),
        (
            {"type": "array", "items": {"type": "boolean"}, "minItems": 1},
            "list of boolean, at least 1 items",
        ),
        ({"enum": ["a", "<b>"]}, "<code>a</code>, <code>&lt;b&gt;</code>"),
        ({"const": True}, "<code>true</code>"),
        ({"anyOf": [{"type": "null"}, {"type": "number"}]}, "null or number"),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            "object, each field integer",
        ),
        ({}, "any value"),
        (
            {"type": "array", "items": {"$ref": "#/components/schemas/A<b"}},
            'list of <a href="/docs/api/schemas/A%3Cb">A&lt;b</a>',
        ),
    ],
)
def test_types_in_words(schema: dict[str, Any], words: str) -> None:
    """Short, with links to what has a name, and nothing of it is markup."""
    assert type_words(schema) == words


def test_fields_within_fields() -> None:
    """Objects without a name of their own are unfolded where they stand."""
    schema = {
        "properties": {
            "a": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"b": {"type": "string"}},
                    "required": ["b"],
                },
            },
            "c": {
                "anyOf": [{"type": "string", "description": "words"}, {"type": "null"}],
                "default": 0,
            },
        },
    }
    assert [(each.name, each.required, each.words, each.default) for each in rows(schema)] == [
        ("a", False, "", None),
        ("a[].b", True, "", None),
        ("c", False, "words", "0"),
    ]


def test_an_example_has_what_must_be_there() -> None:
    """Examples and defaults of the document come first; what goes round in circles ends."""
    schemas = {
        "A": {
            "type": "object",
            "properties": {
                "inner": {"$ref": "#/components/schemas/A"},
                "n": {"type": "integer", "minimum": 5},
                "word": {"examples": ["said"]},
                "left": {"type": "string"},
            },
            "required": ["inner", "n", "word"],
        }
    }
    made = example_of({"$ref": "#/components/schemas/A"}, schemas)
    assert made["n"] == 5
    assert made["word"] == "said"
    assert "left" not in made


def _operation(method: str, path: str, **said: Any) -> Operation:
    return Operation("name", method, path, "", said)


_DOCUMENT = {
    "components": {
        "schemas": {},
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        },
    }
}


@pytest.mark.parametrize(
    ("operation", "command"),
    [
        (_operation("GET", "/a", security=[]), ["curl", "http://h/a"]),
        (
            _operation("POST", "/a", security=[{"token": []}]),
            ["curl", "-H", "Authorization: Bearer $TOKEN", "-X", "POST", "http://h/a"],
        ),
        (
            _operation("PUT", "/a", security=[{"key": []}]),
            ["curl", "-X", "PUT", "-H", "X-Key: $SECRET", "http://h/a"],
        ),
        (_operation("GET", "/a", security=[{"token": []}, {}]), ["curl", "http://h/a"]),
        (
            _operation(
                "POST",
                "/a",
                requestBody={
                    "content": {"application/json": {"examples": {"x": {"value": {"a": "it's"}}}}}
                },
            ),
            ["curl", "--json", '{"a": "it\'s"}', "http://h/a"],
        ),
        (
            _operation(
                "GET",
                "/a/{id}",
                parameters=[
                    {
                        "name": "id",
                        "in": "path",
                        "schema": {"type": "string", "examples": ["a/b c"]},
                    },
                    {"name": "q", "in": "query", "required": True, "schema": {"type": "string"}},
                    {"name": "r", "in": "query", "schema": {"type": "string"}},
                ],
            ),
            ["curl", "http://h/a/a%2Fb%20c?q=1"],
        ),
    ],
)
def test_commands_to_copy(operation: Operation, command: list[str]) -> None:
    """With what must be there, quoted for the shell, and secrets as its variables."""
    assert shlex.split(curl(operation, _DOCUMENT, "http://h")) == command


def test_groups_go_by_path() -> None:
    """Each operation is in one group, and a group that has none is not there."""
    paths = ("/notify", "/api/x", "/api/replays", "/sms/1/reports", "/sandbox/messages", "/readyz")
    document = {
        "paths": {path: {"get": {"operationId": path, "summary": ""}} for path in paths},
    }
    assert {
        title: [each.path for each in all] for title, all in grouped(operations(document)).items()
    } == {
        "Callbacks": ["/notify"],
        "Replays": ["/api/replays"],
        "Other questions": ["/api/x"],
        "Health and metrics": ["/readyz"],
        "Sandbox: for test suites": ["/sandbox/messages"],
        "Sandbox: the send API": ["/sms/1/reports"],
    }
