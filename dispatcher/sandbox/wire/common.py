"""The tables that routes share, and the values that are made of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time, timedelta
from typing import Any, Final, get_args

from dispatcher.sandbox.characters.text import Language
from dispatcher.sandbox.characters.transliteration import Transliteration
from dispatcher.sandbox.messages.asked import DAYS, SPEED_UNITS
from dispatcher.sandbox.messages.send import VALIDITY_MOST, DeliveryTimeWindow, SendingSpeed
from dispatcher.sandbox.messages.sending_times import open_for
from dispatcher.sandbox.wire.rules import (
    Boolean,
    Choice,
    ContentType,
    HttpUrl,
    Instant,
    Integer,
    Text,
)
from dispatcher.sandbox.wire.tables import Field, ListOf, Table, Values

SEND_AT: Final = Instant(ahead=timedelta(days=180))
MINUTES: Final = Integer(1, 2**63 - 1)
CALLBACK_DATA: Final = Text(4000)  # 200 in S3, 4000 everywhere else (reference, part 8)
CONTENT_TYPE: Final = ContentType()
TRANSLITERATION: Final = Choice(get_args(Transliteration))
LANGUAGE_CODE: Final = Choice(get_args(Language))
TO: Final = Text(64)

BULK_ID: Final = Text(clip=100)
MESSAGE_ID: Final = Text(clip=200)
"""Clipped when they are sent and "returned in response, reports and logs" like that (S0): whoever
asks for one that is too long means the clipped one."""


def validity(minutes: int | None) -> timedelta:
    """A validity period of v1 and v2; above 48 hours it is 48 hours."""
    return VALIDITY_MOST if minutes is None else timedelta(minutes=min(minutes, 48 * 60))


# --- deliveryTimeWindow --------------------------------------------------------------------------

_TIME_OF_DAY: Final = Table(
    Field("hour", Integer(0, 23), "S0, S3", required=True),
    Field("minute", Integer(0, 59), "S0, S3", required=True),
    make=lambda values: time(values["hour"], values["minute"]),
)


def _window_faults(values: Values, came: dict[str, Any]) -> Iterator[tuple[str, str]]:
    given = [name for name in ("from", "to") if came.get(name) is not None]
    if len(given) == 1:
        missing = "to" if given == ["from"] else "from"
        yield missing, f"must be given together with {given[0]}"
    start, end = values["from"], values["to"]
    if start is not None and end is not None and open_for(start, end) < timedelta(hours=1):
        yield "to", "must be at least 1 hour after from"


WINDOW: Final = Table(
    Field(
        "days",
        ListOf(Choice({name: n for n, name in enumerate(DAYS)}), ("days", "day"), commas=True),
        "S0, S3; with commas too: S0",
        required=True,
    ),
    Field("from", _TIME_OF_DAY, "S0, S3"),
    Field("to", _TIME_OF_DAY, "S0, S3; before from: of the next day (ours)"),
    check=_window_faults,
    make=lambda values: DeliveryTimeWindow(frozenset(values["days"]), values["from"], values["to"]),
)

# --- sendingSpeedLimit ---------------------------------------------------------------------------

SPEED: Final = Table(
    Field("amount", Integer(1, 2**31 - 1), "S0; at least 1: ours", required=True),
    Field("timeUnit", Choice(SPEED_UNITS), "S0", default=SPEED_UNITS["MINUTE"]),
    make=lambda values: SendingSpeed(values["amount"], values["timeUnit"]),
)

# --- regional ------------------------------------------------------------------------------------

REGIONAL: Final = Table(
    Field(
        "indiaDlt",
        Table(
            Field("principalEntityId", Text(), "S0", required=True),
            Field("contentTemplateId", Text(), "S0"),
            Field("telemarketerId", Text(), "S0"),
        ),
        "S0",
    ),
    Field(
        "turkeyIys",
        Table(
            Field("recipientType", Choice(("BIREYSEL", "TACIR")), "S0", required=True),
            Field("brandCode", Integer(), "S0"),
        ),
        "S0",
    ),
    Field(
        "southKorea",
        Table(Field("resellerCode", Integer(), "S0"), Field("title", Text(66), "S0")),
        "S0",
    ),
    make=lambda values: without_absent(values) or None,
)


def without_absent(values: Values) -> Values:
    """`values` and the objects in it without what was not given."""
    return {
        name: without_absent(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }


# --- urlOptions ----------------------------------------------------------------------------------

URL_OPTIONS: Final = Table(
    Field("shortenUrl", Boolean(), "OAS", default=True),
    Field("trackClicks", Boolean(), "OAS", default=True),
    Field("trackingUrl", HttpUrl(), "OAS"),
    Field("removeProtocol", Boolean(), "OAS", default=False),
    Field("customDomain", Text(255, least=1), "OAS; the size: ours"),
)
