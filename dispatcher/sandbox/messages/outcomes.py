"""What becomes of a message: decided by rules when it is accepted. Pure; chance is handed in.

The order: rules that came by `POST /sandbox/outcomes` (the latest first), those of the settings,
the magic recipients, and at last: delivered after two seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Final

from msgspec import Struct

from dispatcher.expressions import Expression
from dispatcher.sandbox.messages.send import VALIDITY_MOST, Sms, TextContent
from dispatcher.sandbox.messages.statuses import UNDELIVERABLE_NOT_SENT
from dispatcher.settings.sandbox import OutcomeRule, Told
from receiver.dlr.number import comparable, comparable_prefix
from receiver.dlr.sms_errors import NO_ERROR
from receiver.dlr.statuses import EXPIRED, REJECTED, SMS_STATUSES, UNDELIVERABLE

Key = tuple[int, int]
"""(group, id) of a status."""

MILLISECOND = timedelta(milliseconds=1)
"""The provider's instants have no smaller unit."""


class Fate(Struct, frozen=True):
    """What will become of a message, unless its validity runs out before: `after` it has left."""

    status: Key
    error: str
    after: timedelta
    told: Told = "once"
    price: Decimal | None = None  # None: the usual one
    answered: Key | None = None  # what the request is answered with; None: as is usual there


MAGIC: Final[Mapping[str, tuple[OutcomeRule, str]]] = {
    "447700900001": (OutcomeRule(), "delivered after 2 s, like all other numbers"),
    "447700900002": (
        OutcomeRule(status="DELIVERED_TO_OPERATOR"),
        "`DELIVERED_TO_OPERATOR`, followed by nothing",
    ),
    "447700900003": (
        OutcomeRule(status="UNDELIVERABLE_NOT_DELIVERED", error="EC_UNKNOWN_SUBSCRIBER"),
        "undeliverable: `EC_UNKNOWN_SUBSCRIBER`, permanent",
    ),
    "447700900004": (
        OutcomeRule(after=2 * VALIDITY_MOST),
        "never reached: `EXPIRED_EXPIRED` when its validity runs out",
    ),
    "447700900005": (
        OutcomeRule(status="REJECTED_DESTINATION_BLOCKLISTED"),
        "accepted, then rejected, free of charge",
    ),
    "447700900006": (
        OutcomeRule(told="late-enroute"),
        "the final report overtakes the intermediate `PENDING_ENROUTE`",
    ),
    "447700900007": (OutcomeRule(told="twice"), "delivered, and the final report comes twice"),
    "447700900008": (OutcomeRule(after=timedelta(hours=1)), "slow: delivered after an hour"),
    "447700900009": (
        OutcomeRule(told="never"),
        "on its way forever: no outcome, no final report",
    ),
}
"""Recipients with their outcome, and the words for it. The numbers are ours: the provider documents
none. They are of a range that is kept free for films and books, and never reach anybody."""

_USUAL_ERRORS: Final = {UNDELIVERABLE: "EC_ABSENT_SUBSCRIBER", EXPIRED: "EC_VALIDITY_EXPIRED"}
"""By the group of the status. What is rejected before it is sent has none (reference, part 5)."""

STATUS_KEYS: Final[Mapping[str, Key]] = {name: key for key, name in reversed(SMS_STATUSES.items())}

_LAST = OutcomeRule()


def fate_of(sms: Sms, rules: Sequence[OutcomeRule], rng: Random) -> Fate:
    """The fate that the first rule gives which fits and whose share it is."""
    for rule in rules:
        if fits(rule, sms) and (rule.share == 1 or rng.random() < rule.share):
            return _fate(rule, rng)
    return _fate(MAGIC[sms.to][0] if sms.to in MAGIC else _LAST, rng)


def fits(rule: OutcomeRule, sms: Sms) -> bool:
    """Whether a rule is meant for this message."""
    return (
        is_to(rule.to, sms.to)
        and (not rule.sender or comparable(rule.sender) == comparable(sms.sender or ""))
        and _found(rule.text, sms.content.text if isinstance(sms.content, TextContent) else "")
        and _found(rule.callback_data, sms.delivery.callback_data or "")
    )


def usual_error(group: int) -> str:
    """The error that comes with a status of this group when nothing else is said."""
    return _USUAL_ERRORS.get(group, NO_ERROR)


def price_of(fate: Fate, status: Key, usual: Decimal) -> Decimal:
    """The price of a message that has this status. A rejected one costs nothing (reference, part
    1.2), and one that was never sent neither (ours)."""
    if fate.price is not None:
        return fate.price
    return Decimal(0) if status[0] == REJECTED or status == UNDELIVERABLE_NOT_SENT else usual


def is_to(pattern: str, number: str) -> bool:
    """Whether a number, digits only, fits the `to` of a rule."""
    if pattern.endswith("*"):
        return number.startswith(comparable_prefix(pattern[:-1]))
    return not pattern or comparable(pattern) == number


def _found(pattern: str, text: str) -> bool:
    return not pattern or Expression(pattern).found_in(text)


def _fate(rule: OutcomeRule, rng: Random) -> Fate:
    key = STATUS_KEYS[rule.status]
    return Fate(
        status=key,
        error=rule.error or usual_error(key[0]),
        after=_sample(rule, rng),
        told=rule.told,
        price=None if rule.price is None else Decimal(str(rule.price)),
        answered=None if rule.answered is None else STATUS_KEYS[rule.answered],
    )


def _sample(rule: OutcomeRule, rng: Random) -> timedelta:
    """A time whose mean is `after`, in milliseconds."""
    mean = rule.after / MILLISECOND
    match rule.distribution:
        case "uniform":
            mean = rng.uniform(0, 2 * mean)
        case "exponential":
            mean *= rng.expovariate(1.0)
    return round(mean) * MILLISECOND
