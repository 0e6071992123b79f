"""What is typed into the search of the inbox, made into the parameters of GET /api/reports. Pure.

    status:expired to:+4179 is:final after:14:00 callback:"order 7" anything else

A word with a colon is a row of WORDS. Everything else is one text that the messageId, the
recipient's number or the callbackData has to contain. A value with blanks stands in quotes, in
which a backslash goes before a quote and before a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from dispatcher.clocks.typed_time import read_time
from receiver.answers import BadQuery, timestamp
from receiver.api.filters import PLACE_STATES
from receiver.dlr.sms_errors import errors
from receiver.dlr.statuses import GROUP_NUMBERS, SMS_STATUSES

LONGEST = 500
"""Characters of a search."""

Parameters = Mapping[str, str]


class BadSearch(BadQuery):
    """A search that cannot be used; the text says what can be typed instead."""


class SearchWord(Struct, frozen=True):
    """`read` makes parameters of a value and of the time now, in the zone of whoever types.
    `values` are those that can be offered. `several`: it can be given again, and means either."""

    name: str
    words: str
    example: str
    read: Callable[[str, datetime], Parameters]
    values: Sequence[str] = ()
    several: bool = False


# --- values --------------------------------------------------------------------------------------


def _to(parameter: str) -> Callable[[str, datetime], Parameters]:
    return lambda value, _: {parameter: value}


def _status(value: str, _: datetime) -> Parameters:
    """A group or a status; REJECTED, which is both, is the group."""
    names = [each.strip() for each in value.split(",")]
    of_groups = [each.upper() in GROUP_NUMBERS for each in names]
    if any(of_groups) and not all(of_groups):
        raise BadSearch(
            "status: use either groups (status:EXPIRED,REJECTED) or statuses"
            " (status:EXPIRED_EXPIRED), not both"
        )
    return {"statusGroup" if all(of_groups) else "status": ",".join(names)}


_IS: Mapping[str, Parameters] = {
    "final": {"final": "true"},
    "intermediate": {"final": "false"},
    "permanent": {"permanent": "true"},
    "temporary": {"permanent": "false"},
}


def _is(value: str, _: datetime) -> Parameters:
    if value.lower() not in _IS:
        raise BadSearch(f'is: expected one of {", ".join(_IS)}, got "{value}"')
    return _IS[value.lower()]


def _when(name: str, parameter: str) -> Callable[[str, datetime], Parameters]:
    def read(value: str, now: datetime) -> Parameters:
        try:
            return {parameter: timestamp(read_time(value, now, now.tzinfo).at)}
        except ValueError as error:
            raise BadSearch(f"{name}: {error}") from None

    return read


# --- the table -----------------------------------------------------------------------------------

_STATUS_VALUES = (*GROUP_NUMBERS, *dict.fromkeys(SMS_STATUSES.values()))

WORDS: Sequence[SearchWord] = (
    SearchWord(
        "status",
        "the group or the status; separate several with commas",
        "status:EXPIRED,REJECTED",
        _status,
        _STATUS_VALUES,
        several=True,
    ),
    SearchWord("is", "final or intermediate; permanent or temporary", "is:final", _is, tuple(_IS)),
    SearchWord("to", "the beginning of the recipient's number", "to:+4179", _to("toPrefix")),
    SearchWord(
        "error",
        "the error, by name or id",
        "error:EC_ABSENT_SUBSCRIBER",
        _to("error"),
        tuple(errors()),
        several=True,
    ),
    SearchWord("after", "received then or later", "after:14:00", _when("after", "receivedSince")),
    SearchWord("before", "received before", "before:yesterday", _when("before", "receivedUntil")),
    SearchWord("message", "the messageId", "message:m-1", _to("messageId")),
    SearchWord("bulk", "the bulkId", "bulk:b-1", _to("bulkId")),
    SearchWord("sender", "the sender", "sender:InfoSMS", _to("sender")),
    SearchWord(
        "callback", "a part of the callbackData", 'callback:"order 7"', _to("callbackDataContains")
    ),
    SearchWord("source", "the source that the report came from", "source:default", _to("source")),
    SearchWord("endpoint", "taken for this endpoint", "endpoint:acme", _to("endpoint")),
    SearchWord(
        "state",
        "the state of the newest dispatch; unrouted: no endpoint took it",
        "state:exhausted",
        _to("state"),
        PLACE_STATES,
    ),
    SearchWord(
        "done-after", "doneAt then or later", "done-after:2h", _when("done-after", "doneSince")
    ),
    SearchWord(
        "done-before", "doneAt before", "done-before:today", _when("done-before", "doneUntil")
    ),
)
_BY_NAME = {each.name: each for each in WORDS}

# --- reading and writing -------------------------------------------------------------------------

_TERM = re.compile(
    r'(?:([A-Za-z][A-Za-z-]*):)?+(?:"((?:[^"\\]|\\.)*)"(?=\s|$)|([^\s"]\S*)|(?=\s|$))', re.S
)


def parameters_of(search: str, now: datetime) -> dict[str, str]:
    """The parameters of GET /api/reports that a search stands for. `now` has the zone of whoever
    typed it. Raises BadSearch."""
    if len(search) > LONGEST:
        raise BadSearch(f"a search has at most {LONGEST} characters, this one has {len(search)}")
    found: dict[str, str] = {}
    texts = []
    for name, value in _terms(search):
        if name is None:
            texts.append(value)
        else:
            _add(found, _word(name, value), value, now)
    if texts:
        found["text"] = " ".join(texts)
    return found


def _terms(search: str) -> list[tuple[str | None, str]]:
    found: list[tuple[str | None, str]] = []
    at = 0
    while rest := search[at:].lstrip():
        at = len(search) - len(rest)
        term = _TERM.match(search, at)
        if term is None or term.end() == at:
            raise BadSearch(
                f"a quote is not closed, or is inside a word: {rest[:40]} (write a value with"
                ' spaces as callback:"order 7", and a quote in it as \\")'
            )
        name, quoted, plain = term.groups()
        value = plain or "" if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.S)
        if name is not None or value:
            found.append((name, value))
        at = term.end()
    return found


def _word(name: str, value: str) -> SearchWord:
    word = _BY_NAME.get(name.lower())
    if word is None:
        raise BadSearch(
            f'unknown search word "{name}:"; expected one of {", ".join(_BY_NAME)}. To search'
            f' for the text itself, put it in quotes: "{name}:{value}"'
        )
    if not value.strip():
        raise BadSearch(f"{word.name}: expected a value, for example {word.example}")
    return word


def _add(found: dict[str, str], word: SearchWord, value: str, now: datetime) -> None:
    for parameter, read in word.read(value, now).items():
        if parameter in found and not word.several:
            raise BadSearch(f"{word.name}: used twice, but a report has only one")
        found[parameter] = f"{found[parameter]},{read}" if parameter in found else read
    if {"status", "statusGroup"} <= found.keys():
        raise BadSearch("status: use either groups or statuses, not both")


def term(name: str, value: str) -> str:
    """What to type so that a word has this value."""
    if value and not re.search(r'[\s"\\]', value):
        return f"{name}:{value}"
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'{name}:"{escaped}"'
