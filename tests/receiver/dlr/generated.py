"""Reports made up by a seed, few values each, so that every filter finds some and misses some."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import to_builtins

from receiver.dlr.instants import format_instant
from receiver.store.callback import Callback
from tests.contracts.report_store import NOON, a_callback
from tests.receiver.payloads import STATUSES, a_v3_item, an_item

Item = dict[str, Any]

NUMBERS = [
    "41793026727",
    "+41793026727",
    "0041 79 302 67 27",
    "tel:+41-79-302-68-34",
    "41793026834",
    "4179",
    "4917012345",
    "",
    "\u0001\U0010ffff",
]
BULKS = ["BULK-1", "BULK-2", "", "x" * 60 + "1", "x" * 60 + "2"]
SENDERS = ["InfoSMS", "Acme", "Ünï", "+41790000000", "41790000000"]
CALLBACK_DATA = ["order 4711", "order 4712", "", "äöü%_", 'say "hi"']
SOURCES = ["default", "eu"]
ERRORS: list[Item] = [
    {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "permanent": False},
    {"groupId": 1, "groupName": "HANDSET_ERRORS", "id": 1, "name": "EC_UNKNOWN", "permanent": True},
    {"id": 27, "name": "ec_absent"},
    {"name": "EC_NEW"},
    {},
]
BARE_STATUSES: list[Item] = [
    {"groupId": 3, "id": 5},
    {"name": "delivered_to_handset"},
    {"groupName": "EXPIRED", "name": "EXPIRED_EXPIRED"},
    {"groupId": 9, "id": 5},
    {"groupName": "NOVEL", "name": "NOVEL_THING"},
    {},
]
PRICES: list[Item] = [
    {"pricePerMessage": Decimal("0.0100"), "currency": "EUR"},
    {"pricePerMessage": Decimal("0.1"), "currency": "usd"},
    {"pricePerMessage": Decimal("1" + "0" * 30 + ".000000000000000000000000000001")},
    {"currency": "EUR"},
]


def an_instant(rng: random.Random) -> datetime:
    return NOON + timedelta(milliseconds=rng.randrange(-200_000_000, 200_000_000))


def a_generated_item(rng: random.Random) -> Item:
    """An item in either generation, with some fields missing."""
    sent = an_instant(rng)
    done = sent + timedelta(milliseconds=int(10 ** rng.uniform(0, 8)) - 5)
    status = [to_builtins(STATUSES[name]) for name in STATUSES] + BARE_STATUSES
    fields: Item = {
        "messageId": rng.choice([f"m{rng.randrange(40)}", ...]),
        "bulkId": rng.choice([*BULKS, ...]),
        "to": rng.choice([*NUMBERS, ...]),
        "sentAt": rng.choice([format_instant(sent), ...]),
        "doneAt": rng.choice([format_instant(done), format_instant(done), ...]),
        "callbackData": rng.choice([*CALLBACK_DATA, ...]),
        "price": rng.choice([*PRICES, ...]),
        "status": rng.choice([*status, ...]),
        "error": rng.choice([*ERRORS, ...]),
    }
    sender = rng.choice([*SENDERS, ...])
    if rng.random() < 0.5:
        return a_v3_item(**fields, sender=sender)
    return an_item(**fields, from_=sender)


def generated_callbacks(seed: int, reports: int) -> Iterator[Callback]:
    """Callbacks with about so many reports, in both formats; the clock is not steady."""
    rng = random.Random(seed)
    left = reports
    while left > 0:
        count = min(left, rng.randint(1, 7))
        items = [a_generated_item(rng) for _ in range(count)]
        yield a_callback(*items, at=an_instant(rng), source=rng.choice(SOURCES))
        left -= count
