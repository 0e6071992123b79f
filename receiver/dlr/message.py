"""The state of a message, as the set of its reports tells it, in whatever order they came."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from receiver.dlr.identity import identity
from receiver.dlr.model import Report
from receiver.dlr.statuses import is_final, progress

_NEVER = datetime.min.replace(tzinfo=UTC)


class MessageState(Struct, frozen=True):
    """Where a message stands: the report that says so, and whether that is the last word."""

    report: Report
    final: bool


def state_of(reports: Iterable[Report]) -> MessageState:
    """The state after these reports (at least one). It does not depend on their order.

    A final report outranks every intermediate one, however late that comes; of two of the same
    kind the one with the later `doneAt` counts; where that is missing or equal, the one that is
    further on its way, and at last, so that there is an answer, the greater identity.
    """
    report = max(reports, key=_rank)
    return MessageState(report, is_final(report.status))


def _rank(report: Report) -> tuple[bool, datetime, int, int]:
    return (
        is_final(report.status),
        report.done_at or _NEVER,
        progress(report.status),
        identity(report),
    )
