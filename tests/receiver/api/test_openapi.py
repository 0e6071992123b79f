"""Schemas of GET /api/openapi.json are those of the Structs that are encoded."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from receiver.answers import Count, Instant
from receiver.api.openapi import Schemas
from receiver.routes import Schema, ref


class PartAnswer(Struct):
    price: Decimal


class WholeAnswer(Struct, rename="camel"):
    """What is told,
    in two lines."""

    part: PartAnswer | None
    done_at: Annotated[Instant | None, Meta(description="null: not yet")]
    state: Literal["b", "a"] | None
    named: Annotated[dict[str, Count], Meta(extra_json_schema=ref("Named"))]
    later: str | UnsetType = UNSET


def found() -> dict[str, Schema]:
    schemas = Schemas({"Named": {"type": "object"}, "Unused": {}})
    return schemas.complete(schemas.of(WholeAnswer))


def test_a_struct_is_called_without_answer() -> None:
    """`WholeAnswer` is `Whole` for clients, and so are those that it refers to. Of the schemas
    without a type only those are there that something refers to."""
    assert found().keys() == {"Whole", "Part", "Named"}


def test_a_schema_says_what_is_encoded() -> None:
    """Names are in camelCase, decimals are numbers, null is told, and what may be left out is not
    required."""
    whole = found()["Whole"]
    properties = whole["properties"]

    assert whole["description"] == "What is told, in two lines."
    assert whole["required"] == ["part", "doneAt", "state", "named"]
    assert found()["Part"]["properties"]["price"] == {"type": "number"}
    assert properties["part"] == {"anyOf": [ref("Part"), {"type": "null"}]}
    assert properties["doneAt"]["type"] == ["string", "null"]
    assert properties["doneAt"]["format"] == "date-time"
    assert properties["doneAt"]["description"] == "null: not yet"
    assert properties["state"]["anyOf"][0] == {"type": "string", "enum": ["a", "b"]}


def test_two_types_of_one_name_are_refused() -> None:
    """Whoever gives two Structs the same name hears of it, instead of showing one for the other."""
    schemas = Schemas({})
    schemas.of(PartAnswer)

    with pytest.raises(AssertionError, match="two types called Part"):
        schemas.of(defstruct("Part", [("price", int)]))
