"""What one log entry means beside the reports that came of its message. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from receiver.dlr.message import state_of
from receiver.dlr.model import Error, Report, Status
from receiver.dlr.statuses import REJECTED, group_of, is_final

Comparison = Literal["agrees", "open", "under_way", "missing", "differing"]
"""`agrees`: a report that says the same has come. `open`: the log has no last word yet; whoever
did not ask for intermediate reports never gets one, so that none came is no loss. So is the entry
of a second message that was refused for its messageId: it says nothing of the first. `under_way`:
it ended so recently that its report may still be. `missing`: no last word has come. `differing`:
another last word has come."""


def judged(
    said: Report, came: Sequence[Report], *, now: datetime, under_way: timedelta
) -> Comparison:
    """How what a log has `said` compares with the reports that came of that message."""
    if any(says_the_same(said, report) for report in came):
        return "agrees"
    if not is_final(said.status) or _is_of_another(said.status):
        return "open"
    if said.done_at is not None and now - said.done_at < under_way:
        return "under_way"
    return "differing" if has_ended(came) else "missing"


_DUPLICATE: Final = (REJECTED, 23)


def _is_of_another(status: Status | None) -> bool:
    """Whether it is of a message that was refused because another one has its messageId."""
    return status is not None and (group_of(status), status.id) == _DUPLICATE


def has_ended(came: Sequence[Report]) -> bool:
    return bool(came) and state_of(came).final


def says_the_same(one: Report, other: Report) -> bool:
    """Whether both tell the same status, and the same error where both tell one.

    Not asked: `doneAt`. That the provider's logs and its reports agree in it to the millisecond is
    documented nowhere, and to take them for two would push one outcome twice.
    """
    if one.status is None or other.status is None:
        return False
    if group_of(one.status) != group_of(other.status) or not _same(one.status, other.status):
        return False
    return one.error is None or other.error is None or _same(one.error, other.error)


def _same(one: Status | Error, other: Status | Error) -> bool:
    """By ids where both have them, else by names; minimal bodies have only one of the two."""
    return _equal(one.group_id, other.group_id, one.group_name, other.group_name) and _equal(
        one.id, other.id, one.name, other.name
    )


def _equal(one: int | None, other: int | None, name: str | None, other_name: str | None) -> bool:
    if one is not None and other is not None:
        return one == other
    if name is not None and other_name is not None:
        return name.upper() == other_name.upper()
    return True


class Finding(Struct, frozen=True, kw_only=True):
    """A report that did not come. `by` says who told; `state` is where the message stood in the
    store, `None` when nothing of it had come.
    """

    verdict: Literal["missing", "differing"]
    by: Literal["pull", "log"]
    said: Report
    state: Report | None


def finding(said: Report, came: Sequence[Report], by: Literal["pull", "log"]) -> Finding:
    """The finding that `said` has not come."""
    ended = has_ended(came)
    return Finding(
        verdict="differing" if ended and is_final(said.status) else "missing",
        by=by,
        said=said,
        state=state_of(came).report if came else None,
    )
