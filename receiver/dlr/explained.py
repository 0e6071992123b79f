"""What a status and an error mean, in words for whoever reads a report. Pure.

The meanings stand in sms_statuses.tsv and sms_errors.tsv: our words for what the provider's page
"Response status and error codes" says, and for statuses that left that page its REST documentation
of 2015.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from receiver.dlr.model import ErrorFields, StatusFields
from receiver.dlr.statuses import GROUP_NAMES, group_of, is_final, names_two_groups

_OF_GROUPS: Final = {
    0: "The message is accepted.",
    1: "The message is on its way.",
    2: "The message cannot be delivered.",
    3: "The message is delivered.",
    4: "The message has expired.",
    5: "The message is rejected.",
}

_UNKNOWN_STATUS: Final = (
    "This status is not in the provider's table. It is kept as it was received and counts as"
    " intermediate."
)


def explain_status(status: StatusFields | None) -> str:
    """Some sentences: what the status means, and whether another report can follow."""
    if status is None:
        return "The report has no status, so it counts as intermediate."
    group = group_of(status)
    if group not in GROUP_NAMES:
        return _UNKNOWN_STATUS
    said = [_meaning_of_status(group, status)]
    if is_final(status):
        said.append("It is final: no other report will follow.")
    else:
        said.append("It is intermediate: another report follows.")
    if names_two_groups(status.group_id, status.group_name):
        said.append("groupId and groupName contradict each other. The number is used.")
    return " ".join(said)


def explain_error(error: ErrorFields | None) -> str | None:
    """Some sentences; None when there is no error, or nothing is known of it."""
    if error is None or error.id == 0 or _upper(error.name) == "NO_ERROR":
        return None
    return " ".join(_of_error(error)) or None


def _meaning_of_status(group: int, status: StatusFields) -> str:
    known = _meanings("sms_statuses.tsv")
    by_id, by_name = known.get((group, str(status.id))), known.get((group, _upper(status.name)))
    return by_id or by_name or _OF_GROUPS[group]


def _of_error(error: ErrorFields) -> Iterator[str]:
    known = _meanings("sms_errors.tsv")
    meaning = None
    if error.group_id is not None:
        meaning = known.get((error.group_id, str(error.id)))
    meaning = meaning or known.get((None, _upper(error.name)))
    if meaning:
        yield f"{meaning[0].upper()}{meaning[1:].removesuffix('.')}."
    if error.permanent is not None:
        yield (
            "The error is permanent: sending again will fail again."
            if error.permanent
            else "The error is temporary: sending again later can succeed."
        )


def _upper(name: str | None) -> str:
    return (name or "").strip().upper()


@cache
def _meanings(file: str) -> Mapping[tuple[int | None, str], str]:
    """By group with id, by group with name, and by name alone. Without those that are not known."""
    text = files("receiver.dlr").joinpath(file).read_text("utf-8")
    found: dict[tuple[int | None, str], str] = {}
    for row in csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        if meaning := row["meaning"]:
            group, name = int(row["group"]), row["name"].upper()
            for key in ((group, row["id"]), (group, name), (None, name)):
                found.setdefault(key, meaning)
    return found
