"""What is wrong with input is said in one way: where, what was expected, what came."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from receiver.faults import Misfit, either, expected, joined, misfit, quoted, without_credentials


class Loaf(Struct, rename="camel", forbid_unknown_fields=True):
    weight_grams: Annotated[int, Meta(ge=1, le=5000)]
    salt: Annotated[float, Meta(gt=0, le=1)] = 0.1
    of: Literal["wheat", "rye"] | None = None
    baked_at: datetime | None = None
    marks: tuple[int | Annotated[str, Meta(min_length=1, max_length=3)], ...] = ()


class Shop(Struct):
    name: str
    open: bool = True
    loaves: list[Loaf] = []
    prices: dict[str, Annotated[float, Meta(ge=0)]] = {}


SHOP: dict[str, Any] = {"name": "north"}
LOAF: dict[str, Any] = {"weightGrams": 500}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (3, "expected an object, got 3"),
        ({}, "name: expected a text, got nothing"),
        ({"name": None}, "name: expected a text, got null"),
        ({**SHOP, "open": "yes"}, 'open: expected true or false, got "yes"'),
        ({**SHOP, "loaves": {}}, "loaves: expected a list, got an object"),
        ({**SHOP, "loaves": [LOAF, 7]}, "loaves[1]: expected an object, got 7"),
        ({**SHOP, "prices": []}, "prices: expected an object, got a list"),
        ({**SHOP, "prices": {"a b": -1}}, 'prices."a b": expected a number of at least 0, got -1'),
    ],
)
def test_a_misfit_is_told_where_it_is(value: Any, told: str) -> None:
    """The place is that of the innermost part that cannot be used; of all of it there is none."""
    assert str(misfit_of(value, Shop)) == told


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ({"weightGrams": 0}, "weightGrams: expected an integer from 1 to 5000, got 0"),
        ({"weightGrams": 1.5}, "weightGrams: expected an integer from 1 to 5000, got 1.5"),
        ({"salt": 0}, "salt: expected a number above 0 and of at most 1, got 0"),
        ({"of": "oats"}, 'of: expected "wheat" or "rye", got "oats"'),
        ({"of": []}, 'of: expected "wheat" or "rye", got a list'),
        ({"bakedAt": "x"}, 'bakedAt: expected an instant such as 2026-11-21T10:00:00Z, got "x"'),
        (
            {"marks": [1, ""]},
            'marks[1]: expected an integer or a text of 1 to 3 characters, got ""',
        ),
        ({"weight_grams": 3}, "weight_grams: unknown field"),
        ({"salt": 2, "sugar": 1}, "salt: expected a number above 0 and of at most 1, got 2"),
    ],
)
def test_what_was_expected_is_said_as_the_settings_say_it(field: Any, told: str) -> None:
    """Numbers with their bounds, texts with their length, choices with all of them."""
    assert str(misfit_of({**LOAF, **field}, Loaf)) == told


def misfit_of(value: Any, kind: Any) -> Misfit:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, kind)
    return misfit(value, kind)


def test_a_misfit_tells_no_password() -> None:
    """A URL that came in a wrong place is told Without user name, password and query."""
    told = misfit_of({**SHOP, "open": "https://me:sesame@host/?token=sesame"}, Shop)

    assert told.reason == 'expected true or false, got "https://host/?…"'


def test_words() -> None:
    """Places, quotes and choices are written in one way."""
    assert joined("", "a", "b", 2, "c d") == 'a.b[2]."c d"'
    assert quoted("x" * 99) == f'"{"x" * 79}…"'
    assert (either("a"), either("a", 3, "b")) == ('"a"', '"a", 3 or "b"')
    assert expected("a text", "3") == "expected a text, got 3"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("https://host/path", "https://host/path"),
        ("https://me:pw@host:80/path", "https://host:80/path"),
        ("https://me@host", "https://host"),
        ("https://host/@team", "https://host/@team"),
        ("https://host:80/@a:b", "https://host:80/@a:b"),
        ("https://host/?token=pw", "https://host/?…"),
        ("https://me:p/w@host/", "https://host/"),
        ("https://me:p?w@host/", "https://host/"),
        ("https://me:p@w@host/", "https://host/"),
        ("https://me:pw@[::1]:80/", "https://[::1]:80/"),
        ("https:/me:pw@host", "host"),
        ("me:pw@host", "host"),
        ("postgresql://me:pw@one:1,two:2/db?password=pw", "postgresql://one:1,two:2/db?…"),
        ("sqlite:///dlr.db", "sqlite:///dlr.db"),
        ("var/dlr.db", "var/dlr.db"),
        ("me@home", "me@home"),
    ],
)
def test_without_credentials(text: str, printed: str) -> None:
    """A printed URL has no user, no password and no query, however broken it is."""
    assert without_credentials(text) == printed
