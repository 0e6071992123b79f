"""What the provider's logs say: pages of entries, each read as the report that it stands for. Pure.

A log entry is not a report, though it has most of one (reference, part 6.6; OAS, Log and
SmsLogSmsMessageContent). What it has not got is absent in the report that is made of it:
`callbackData` above all. What only a log has, the text of the message and whatever is unknown, does
not become part of a report: reports never tell what was said. In v3 the recipient is `destination`
in the log and `to` in a report. The generation is that of the API that was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from receiver.dlr.errors import MalformedReport
from receiver.dlr.fields import describe
from receiver.dlr.item import read_item
from receiver.dlr.model import Generation, Report
from receiver.faults import misfit

Api = Literal["v1", "v3"]

GENERATIONS: dict[Api, Generation] = {"v1": "v2", "v3": "v3"}
"""/sms/1 speaks the shape that is called v2 here."""


class LogPage(Struct, frozen=True):
    """One answer. `size` counts all entries, `unreadable` says what is wrong with those that are
    no reports. `cursor` None: nothing follows, or the API has no cursors. `cut_off`: there is more
    than can be asked for.
    """

    entries: Sequence[Report]
    unreadable: Sequence[str]
    size: int
    cursor: str | None
    cut_off: bool = False


class NoPage(ValueError):
    """The answer holds no list of entries."""


class _Cursor(Struct, rename="camel"):
    next_cursor: str | None = None


class _Body(Struct):
    results: list[Any] | None
    cursor: _Cursor | None = None


_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def read_page(body: bytes, api: Api) -> LogPage:
    """The page that an answer holds. Raises `NoPage`, and nothing else."""
    try:
        document = _decode(body)
        read = msgspec.convert(document, _Body)
    except msgspec.ValidationError as error:
        raise NoPage(f"expected logs as JSON: {misfit(document, _Body)}") from error
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
        raise NoPage(f"expected logs as JSON, got something else: {error}") from error
    items = read.results or []
    entries: list[Report] = []
    unreadable: list[str] = []
    for index, item in enumerate(items):
        try:
            entries.append(report_of(item, api, f"results[{index}]"))
        except MalformedReport as error:
            unreadable.append(str(error))
    cursor = read.cursor and read.cursor.next_cursor
    return LogPage(entries, unreadable, len(items), cursor or None)


def report_of(item: object, api: Api, place: str) -> Report:
    """The report that a log entry stands for. Raises `MalformedReport`, also without messageId:
    nobody could say whose report it is."""
    if not isinstance(item, dict):
        raise MalformedReport(place, "an object", describe(item))
    fields = dict(item)
    if api == "v3":
        fields.setdefault("to", fields.pop("destination", None))
    report = read_item(fields, place, GENERATIONS[api])
    if not report.message_id:
        raise MalformedReport(f"{place}.messageId", "a text", "nothing")
    return structs.replace(report, generation=GENERATIONS[api], unknown=None)
