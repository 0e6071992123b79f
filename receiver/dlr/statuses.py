"""What a status means for the message: whether it is the last word, and how far it has come.

Finality is a function of (group, id), because an id alone is not a key and the group alone calls
"delivered to the operator" delivered (reference, parts 3 and 5).

The rule of the group: **the first of these that the provider's list has decides: the groupId, the
groupName.** So a name of the list counts where the number beside it is new to the list, and of two
that contradict each other the number counts, as the reference has it ("trust groupId"): names have
drifted between documents and numbers have not. If neither is in the list, the status is of a new
group and not final; only where neither came do the status's id and name tell.
"""

from __future__ import annotations

from typing import Final

from receiver.dlr.model import StatusFields

ACCEPTED: Final = 0
PENDING: Final = 1
UNDELIVERABLE: Final = 2
DELIVERED: Final = 3
EXPIRED: Final = 4
REJECTED: Final = 5

GROUP_NAMES: Final = {
    ACCEPTED: "ACCEPTED",
    PENDING: "PENDING",
    UNDELIVERABLE: "UNDELIVERABLE",
    DELIVERED: "DELIVERED",
    EXPIRED: "EXPIRED",
    REJECTED: "REJECTED",
}

SMS_STATUSES: Final[dict[tuple[int, int], str]] = {
    (0, 0): "MESSAGE_ACCEPTED",
    (1, 1): "PENDING_TIME_VIOLATION",
    (1, 3): "PENDING_WAITING_DELIVERY",
    (1, 7): "PENDING_ENROUTE",
    (1, 26): "PENDING_ACCEPTED",
    (2, 4): "UNDELIVERABLE_REJECTED_OPERATOR",
    (2, 9): "UNDELIVERABLE_NOT_DELIVERED",
    (2, 31): "UNDELIVERABLE_NOT_SENT",
    (2, 96): "NO_ANSWER",
    (2, 97): "BUSY",
    (2, 98): "CANCELLED",
    (3, 2): "DELIVERED_TO_OPERATOR",
    (3, 5): "DELIVERED_TO_HANDSET",
    (4, 15): "EXPIRED_EXPIRED",
    (4, 22): "EXPIRED_UNKNOWN",
    (4, 29): "EXPIRED_DLR_UNKNOWN",
    (4, 87): "SIGNALS_BLOCKED",
    (5, 6): "REJECTED_NETWORK",
    (5, 8): "REJECTED_PREFIX_MISSING",
    (5, 10): "REJECTED_DND",
    (5, 11): "REJECTED_SOURCE",
    (5, 12): "REJECTED_NOT_ENOUGH_CREDITS",
    (5, 13): "REJECTED_SENDER",
    (5, 14): "REJECTED_DESTINATION_BLOCKLISTED",
    (5, 16): "REJECTED_NOT_REACHABLE",
    (5, 17): "REJECTED_PREPAID_PACKAGE_EXPIRED",
    (5, 18): "REJECTED_DESTINATION_NOT_REGISTERED",
    (5, 19): "REJECTED_ROUTE_NOT_AVAILABLE",
    (5, 20): "REJECTED_FLOODING_FILTER",
    (5, 21): "REJECTED_SYSTEM_ERROR",
    (5, 23): "REJECTED_DUPLICATE_MESSAGE_ID",
    (5, 24): "REJECTED_INVALID_UDH",
    (5, 25): "REJECTED_MESSAGE_TOO_LONG",
    (5, 51): "MISSING_TO",
    (5, 52): "REJECTED_DESTINATION",
    (5, 87): "SIGNALS_BLOCKED",
    (5, 99): "REJECTED",
    (5, 100): "UNDELIVERABLE_REJECTED_PLATFORM",
}
"""(group_id, id) -> name of the statuses an SMS can have, those of the 2015 table included.

Used only to fill in what a minimal body leaves out; never to validate what came.
"""

_FINAL_GROUPS = frozenset({UNDELIVERABLE, EXPIRED, REJECTED})
_OPERATOR_ID: Final = 2
_OPERATOR_NAME: Final = "DELIVERED_TO_OPERATOR"

GROUP_NUMBERS = {name: group for group, name in GROUP_NAMES.items()}
# id 87 stands in two groups; both are final, so which one is found does not matter to finality.
_GROUP_BY_ID = {id: group for group, id in SMS_STATUSES}
_GROUP_BY_STATUS_NAME = {name: group for (group, _), name in SMS_STATUSES.items()}
_ID_BY_NAME = {name: id for (_, id), name in SMS_STATUSES.items()}

# Names that were in use before (reference, parts 5 and 8).
_GROUP_BY_STATUS_NAME["REJECTED_INVALID_DESTINATION"] = REJECTED
_GROUP_BY_STATUS_NAME["REJECTED_DESTINATION_PREFIX"] = REJECTED

STATUS_NAMES: Final = frozenset(_GROUP_BY_STATUS_NAME)

_PENDING_STEPS = {26: 2, 7: 3, 3: 4}  # accepted by the platform, passed on, with the operator
_OTHER_PENDING = 5
_WITH_OPERATOR = 6
_FINAL = 7


def is_final(status: StatusFields | None) -> bool:
    """Whether no further report is to be expected. What we do not know is not final."""
    if status is None:
        return False
    group = group_of(status)
    return group in _FINAL_GROUPS or (group == DELIVERED and not _is_with_operator(status))


def group_of(status: StatusFields | None) -> int | None:
    """The number of the group, by the rule above; a new group's own number, where it came.

    `None` when nothing tells. A group that is new to us hides the id and name beside it.
    """
    if status is None or status.group_id in GROUP_NAMES:
        return None if status is None else status.group_id
    if status.group_name:
        return GROUP_NUMBERS.get(_upper(status.group_name), status.group_id)
    if status.group_id is not None:
        return status.group_id
    if status.id in _GROUP_BY_ID:
        return _GROUP_BY_ID[status.id]
    return _GROUP_BY_STATUS_NAME.get(_upper(status.name or ""))


def names_two_groups(group_id: int | None, group_name: str | None) -> bool:
    """Whether the provider's list has both number and name of a group, for different groups."""
    name = GROUP_NAMES.get(group_id) if group_id is not None else None
    return name is not None and _upper(group_name or name) in GROUP_NUMBERS.keys() - {name}


def progress(status: StatusFields | None) -> int:
    """How far the message has come: of two intermediate reports the greater one is further on.

    The order is ours and not the provider's; use it only where the instants are equal.
    """
    group = group_of(status)
    if status is None or group not in GROUP_NAMES:
        return 0
    if group == ACCEPTED:
        return 1
    if group == PENDING:
        return _PENDING_STEPS.get(_id_of(status), _OTHER_PENDING)
    return _FINAL if is_final(status) else _WITH_OPERATOR


def _is_with_operator(status: StatusFields) -> bool:
    return status.id == _OPERATOR_ID or _upper(status.name or "") == _OPERATOR_NAME


def _id_of(status: StatusFields) -> int:
    if status.id is not None:
        return status.id
    return _ID_BY_NAME.get(_upper(status.name or ""), -1)


def _upper(name: str) -> str:
    return name.strip().upper()
