"""Statuses and errors as the sandbox writes them: the wire's texts, from the provider's tables.

A status that only the table of codes has comes without a text: its text is derived from its name.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from receiver.dlr.model import Error, Generation, Status
from receiver.dlr.sms_errors import errors
from receiver.dlr.statuses import GROUP_NAMES, SMS_STATUSES

PENDING_ACCEPTED: Final = (1, 26)
MESSAGE_ACCEPTED: Final = (0, 0)
UNDELIVERABLE_NOT_SENT: Final = (2, 31)
REJECTED_INVALID_UDH: Final = (5, 24)
REJECTED_MESSAGE_TOO_LONG: Final = (5, 25)
MISSING_TO: Final = (5, 51)
REJECTED_DESTINATION: Final = (5, 52)

_TEXTS: Final = {
    (0, 0): "Message accepted",
    (1, 1): "Time window violation",
    (1, 3): "Message sent, waiting for delivery report",
    (1, 7): "Message sent to next instance",
    (1, 26): "Message sent to next instance",
    (2, 4): "Message rejected by operator",
    (2, 9): "Message sent not delivered",
    (3, 2): "Message delivered to operator",
    (3, 5): "Message delivered to handset",
    (4, 15): "Message expired",
    (4, 22): "Unknown Reason",
    (5, 6): "Network is forbidden",
    (5, 8): "Number prefix missing",
    (5, 10): "Destination on DND list",
    (5, 11): "Invalid Source address",
    (5, 12): "Not enough credits",
    (5, 13): "By Sender",
    (5, 14): "By Destination",
    (5, 16): "Network not reachable",
    (5, 17): "Prepaid package expired",
    (5, 18): "Destination not registered",
    (5, 19): "Route not available",
    (5, 20): "Rejected flooding",
    (5, 21): "System error",
    (5, 23): "Rejected duplicate message ID",
    (5, 24): "Rejected invalid UDH",
    (5, 25): "Rejected message too long",
}

_ACTIONS: Final = {
    (5, 6): "Contact account manager",
    (5, 13): "Remove sender from blacklist",
    (5, 14): "Remove destination from blacklist",
    (5, 17): "Top-Up your account to extend the validity period",
    (5, 19): "Contact account manager",
    (5, 20): "STOP SPAMMING",
}


def status_of(group_id: int, status_id: int) -> Status:
    """The whole status of a (group, id), one of `SMS_STATUSES`."""
    key = (group_id, status_id)
    name = SMS_STATUSES[key]
    return Status(
        group_id=group_id,
        group_name=GROUP_NAMES[group_id],
        id=status_id,
        name=name,
        description=_TEXTS.get(key) or name.replace("_", " ").title(),
        action=_ACTIONS.get(key),
    )


def error_of(name: str, generation: Generation) -> Error:
    """The whole error of this name, one of `errors()`, as a generation writes it."""
    return as_written(errors()[name], generation)


def as_written(error: Error, generation: Generation) -> Error:
    """The same error in another generation: v1 and v2 call the group of no error "Ok", v3 calls it
    "OK" (the examples of OAS). All other groups have one name."""
    if error.group_id != 0:
        return error
    return structs.replace(error, group_name="OK" if generation == "v3" else "Ok")
