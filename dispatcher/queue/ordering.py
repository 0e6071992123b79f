"""What goes before what at an endpoint that keeps the order: the decisions, without the tables.

Reports that come by themselves and those of replays are held side by side; `replay` says for whom
(BY_ITSELF: for none). Of one message the earlier report goes first, whoever it is held for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dispatcher.queue.base import Forming
from receiver.store.base import Message

BY_ITSELF = 0
"""What a report that no replay brings is held for."""

Place = tuple[str, int, Message]
"""A report on its way to an endpoint: the endpoint, the report, its message."""


def placed_by(forming: Forming) -> list[Place]:
    """What of it gets on its way; nothing at an endpoint that keeps no order."""
    endpoint = forming.endpoint
    if not endpoint.ordered:
        return []
    reports = (report for bucket in forming.buckets for report in bucket.reports)
    return [(endpoint.name, report.id, report.message) for report in reports]


def held_by(forming: Forming) -> list[Place]:
    """What of it has to wait."""
    name = forming.endpoint.name
    return [(name, report.id, report.message) for report in forming.hold]


def has_to_wait(
    replay: int, place: Place, held: Iterable[tuple[int, int]], besides: Collection[tuple[str, int]]
) -> bool:
    """Whether an earlier report of its message is held and does not go along. `held`: each held
    report of the message at the endpoint, and its replay. `besides` (endpoint, report): those of
    this replay that go along."""
    endpoint, report, _ = place
    return any(
        (other, of) < (report, replay) and not (of == replay and (endpoint, other) in besides)
        for other, of in held
    )
