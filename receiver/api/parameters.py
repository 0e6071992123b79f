"""Parameters of a query string, read one by one. What cannot be used is a BadQuery."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from receiver.answers import BadQuery
from receiver.dlr.instants import parse_instant

LIMIT_MAX = 1000
LIMIT_DEFAULT = 100

Parameters = Mapping[str, str]

_BLANK_FOR_PLUS = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$")


def limit(query: Parameters) -> int:
    """The parameter `limit`, 1 to 1000."""
    text = query.get("limit")
    if text is None:
        return LIMIT_DEFAULT
    value = number(text, "limit")
    if not 1 <= value <= LIMIT_MAX:
        raise BadQuery(f"limit: expected 1 to {LIMIT_MAX}, got {value}")
    return value


def cursor(query: Parameters) -> int | None:
    """The parameter `cursor`, as a former page gave it."""
    return number(query["cursor"], "cursor") if "cursor" in query else None


def only(query: Parameters, *known: str) -> None:
    """Refuse a misspelt filter: one that is ignored would show too much."""
    for name in query:
        if name not in known:
            expected = f"; expected {one_of(known)}" if known else ", and there is no other"
            raise BadQuery(f"{name}: there is no such parameter{expected}")


def number(text: str, name: str) -> int:
    """A number in a path or a query, as large as an id can be."""
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(text)
    raise BadQuery(f"{name}: expected a number, got {text[:40]!r}")


def truth(query: Parameters, name: str) -> bool | None:
    """`true` or `false`; `None` when it is not given."""
    text = query.get(name)
    if text in ("true", "false", None):
        return None if text is None else text == "true"
    raise BadQuery(f"{name}: expected true or false, got {text[:40]!r}")


def instant(query: Parameters, name: str) -> datetime | None:
    """An instant in RFC 3339 or in the provider's form; `None` when it is not given."""
    text = query.get(name)
    if text is None:
        return None
    try:
        return parse_instant(with_plus(text))
    except ValueError as error:
        expected = "expected an instant such as 2026-11-21T10:00:00Z"
        raise BadQuery(f"{name}: {expected}, got {text[:40]!r}") from error


def with_plus(text: str) -> str:
    """An instant with its + again: in a query string one that is not written %2B is a blank."""
    return _BLANK_FOR_PLUS.sub(r"\1+\2", text)


def ids_or_names(query: Parameters, name: str) -> tuple[int | str, ...]:
    """Ids or names with commas between them; names in capitals."""
    if name not in query:
        return ()
    words = tuple(id_or_name(word) for word in query[name].split(","))
    if "" in words:
        raise BadQuery(f"{name}: expected ids or names, got {query[name][:40]!r}")
    return words


def id_or_name(word: str) -> int | str:
    """A number as one, a name in capitals."""
    word = word.strip()
    digits = word.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 18:
        return int(word)
    return word.upper()


def one_of(names: Iterable[str]) -> str:
    return ", ".join(names)
