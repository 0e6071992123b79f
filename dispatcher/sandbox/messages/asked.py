"""What was asked for, in the provider's names: what is kept of a message, to be shown. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from dispatcher.sandbox.messages.send import Api, DeliveryTimeWindow, SendingSpeed, TextContent

DAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")

VALIDITY_UNITS: Final = {
    "SECONDS": timedelta(seconds=1),
    "MINUTES": timedelta(minutes=1),
    "HOURS": timedelta(hours=1),
}

SPEED_UNITS: Final = {
    "MINUTE": timedelta(minutes=1),
    "HOUR": timedelta(hours=1),
    "DAY": timedelta(days=1),
}


def validity_shown(validity: timedelta, api: Api) -> int | dict[str, Any]:
    """A validity period as the generation writes it: v1 and v2 in minutes, v3 in the largest unit
    that leaves a whole number."""
    if api != "v3":
        return validity // VALIDITY_UNITS["MINUTES"]
    whole = [(unit, name) for name, unit in VALIDITY_UNITS.items() if not validity % unit]
    unit, name = max(whole)
    return {"amount": validity // unit, "timeUnit": name}


def window_shown(window: DeliveryTimeWindow | None) -> dict[str, Any] | None:
    if window is None:
        return None
    shown: dict[str, Any] = {"days": [DAYS[day] for day in sorted(window.days)]}
    for name, at in (("from", window.start), ("to", window.end)):
        if at is not None:
            shown[name] = {"hour": at.hour, "minute": at.minute}
    return shown


def speed_shown(speed: SendingSpeed | None) -> dict[str, Any] | None:
    if speed is None:
        return None
    names = {unit: name for name, unit in SPEED_UNITS.items()}
    return {"amount": speed.amount, "timeUnit": names[speed.per]}


def language_shown(content: TextContent) -> dict[str, Any] | None:
    """What was asked for; `None`: nothing."""
    asked = {
        "languageCode": content.language_code,
        "singleShift": content.single_shift,
        "lockingShift": content.locking_shift,
    }
    return {name: value for name, value in asked.items() if value is not None} or None
