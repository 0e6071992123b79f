"""What a query string may say: one row a parameter, which reads it, describes it, and is the option
of the command line. What cannot be used is a BadQuery.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import force_setattr

from receiver.answers import BadQuery
from receiver.dlr.instants import parse_instant
from receiver.faults import Misfit, expected
from receiver.routes import Parameter, Shape

LIMIT_MAX = 1000
LIMIT_DEFAULT = 100

Parameters = Mapping[str, str]


class Kind(Struct, frozen=True):
    """How a value is written: `read` takes the text and the parameter's name and raises BadQuery.
    `words` is for clients."""

    read: Callable[[str, str], Any]
    shape: Shape
    words: str = ""


class Filter(Struct, frozen=True):
    """A parameter of a query string.

    `words` are the help of the command line, and with `more` what API clients are told. `field` is
    where its value goes in the query that the store or the queue is asked, and `option` is it on
    the command line (`None`: not there); both are called as it is unless they are given.
    `old_option` is what the option was called before.
    """

    name: str
    kind: Kind
    words: str
    more: str = ""
    field: str = ""
    option: str | None = ""
    old_option: str | None = None

    def __post_init__(self) -> None:
        name = snake(self.name)
        if not self.field:
            force_setattr(self, "field", name)
        if self.option == "":
            force_setattr(self, "option", f"--{name.replace('_', '-')}")

    def read(self, query: Parameters) -> Any:
        """The value in `query`; `None` when it is not given. Raises BadQuery."""
        if self.name not in query:
            return None
        return self.kind.read(whole(query[self.name], self.name), self.name)

    @property
    def parameter(self) -> Parameter:
        words = (each for each in (self.words, self.more, self.kind.words) if each)
        return Parameter(self.name, self.kind.shape, " ".join(words))


def snake(name: str) -> str:
    """A parameter's name as Python and the command line write it: `messageId`, `message_id`."""
    return re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", name)


def in_query(filters: Iterable[Filter]) -> list[Parameter]:
    """The filters as a route's description has them."""
    return [each.parameter for each in filters]


def in_path(name: str, shape: Shape, words: str) -> Parameter:
    return Parameter(name, shape, words, "path", required=True)


def read_query(query: Parameters, filters: Sequence[Filter]) -> dict[str, Any]:
    """The values that are given, by the fields of these filters. Raises BadQuery."""
    only(query, *(each.name for each in filters))
    given: dict[str, Filter] = {}
    for each in filters:
        if each.name in query:
            first = given.setdefault(each.field, each)
            if first is not each:
                reason = f"it is another name of {first.name}; use one of them"
                raise BadQuery(str(Misfit(each.name, reason)))
    return {field: each.read(query) for field, each in given.items()}


def only(query: Parameters, *known: str) -> None:
    """Refuse a misspelt filter: one that is ignored would show too much."""
    for name in query:
        if name not in known:
            others = f"; expected {listed(known)}" if known else "; there are no parameters here"
            raise BadQuery(str(Misfit(name, f"unknown parameter{others}")))


# --- kinds -------------------------------------------------------------------------------------


def unexpected(name: str, what: str, text: str) -> BadQuery:
    """What is raised for a value: its name, what was expected, and the beginning of what came."""
    return BadQuery(str(Misfit(name, expected(what, repr(text[:40])))))


def whole(text: str, name: str) -> str:
    """`text`, unless it holds half a character: a shell may pass bytes that are no UTF-8, and no
    database can be asked for them."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise unexpected(name, "text in UTF-8", text) from error
    return text


def _text(text: str, _: str) -> str:
    return text


def number(text: str, name: str) -> int:
    """A number in a path or a query, as large as an id can be."""
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(text)
    raise unexpected(name, "a number", text)


def _limit(text: str, name: str) -> int:
    value = number(text, name)
    if not 1 <= value <= LIMIT_MAX:
        raise BadQuery(str(Misfit(name, expected(f"1 to {LIMIT_MAX}", str(value)))))
    return value


def _truth(text: str, name: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise unexpected(name, "true or false", text)


def _instant(text: str, name: str) -> datetime:
    try:
        return parse_instant(with_plus(text))
    except ValueError as error:
        raise unexpected(name, "an instant such as 2026-11-21T10:00:00Z", text) from error


_BLANK_FOR_PLUS = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$")


def with_plus(text: str) -> str:
    """An instant with its + again: in a query string one that is not written %2B is a blank."""
    return _BLANK_FOR_PLUS.sub(r"\1+\2", text)


def _ids_or_names(text: str, name: str) -> tuple[int | str, ...]:
    words = tuple(id_or_name(word) for word in text.split(","))
    if "" in words:
        raise unexpected(name, "ids or names", text)
    return words


def id_or_name(word: str) -> int | str:
    """A number as one, a name in capitals."""
    word = word.strip()
    digits = word.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 18:
        return int(word)
    return word.upper()


def choice(words: Iterable[str], **more: Any) -> Kind:
    """One of these words."""
    known = list(words)

    def read(text: str, name: str) -> str:
        if text not in known:
            raise unexpected(name, listed(known), text)
        return text

    return Kind(read, {"type": "string", "enum": known, **more})


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


TEXT = Kind(_text, str)
EXACT = Kind(_text, str, "The whole value must be equal.")
NUMBER = Kind(
    _text,
    str,
    ("The number can be written in any form: 41793026727, +41 79 302 67 27, 0041793026727."),
)
TRUTH = Kind(_truth, bool)
INSTANT = Kind(
    _instant,
    {"type": "string", "examples": ["2026-11-21T10:00:00Z"]},
    "RFC 3339 or the provider's form.",
)
IDS_OR_NAMES = Kind(_ids_or_names, str, "Separate several values with commas.")

# --- pages -------------------------------------------------------------------------------------

LIMIT = Filter(
    "limit",
    Kind(_limit, {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}),
    "The largest number of entries on the page",
)


def cursor(kind: Kind) -> Filter:
    """Where the page begins, as the page before told it."""
    return Filter("cursor", kind, "`next` of the previous page", field="before")


CURSOR = cursor(Kind(number, {"type": "string", "pattern": "^[0-9]{1,18}$"}))

PAGE = (LIMIT, CURSOR)


class PageQuery(Struct, frozen=True):
    """A page of a list without other filters. `before` is the cursor."""

    limit: int = LIMIT_DEFAULT
    before: int | None = None


def page_query(query: Parameters) -> PageQuery:
    """The parameters of a list that has no others. Raises BadQuery."""
    return PageQuery(**read_query(query, PAGE))


class Row(Protocol):
    """What lists are of: each has an id, by which the next page begins."""

    @property
    def id(self) -> Any: ...


R = TypeVar("R", bound=Row)


def page_of(found: Sequence[R], limit: int) -> tuple[Sequence[R], Any]:
    """The page, and where the next one begins; `None` when there is none. `found` has one row more
    than the page to tell that."""
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def next_cursor(before: int | None) -> str | None:
    """The cursor of the next page as it stands in an answer."""
    return None if before is None else str(before)
