"""`dlr endpoints health`: what it prints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from operator import attrgetter

from dispatcher.api.endpoint_health import EndpointHealth, Healths
from dispatcher.clocks.clock import wall_time
from dispatcher.commands.console import Columns, encoded, fields, print_list
from dispatcher.commands.endpoints_output import asked
from dispatcher.commands.export import output
from dispatcher.commands.list_output import Listing
from dispatcher.endpoints.registry import Registry
from dispatcher.retrying.schedule import RetrySchedule
from dispatcher.storage import Storage


def _share(window: str) -> Callable[[EndpointHealth], object]:
    """The acknowledged share of a window in percent; nothing without attempts."""

    def percent(row: EndpointHealth) -> object:
        share = getattr(row, window).acknowledged_share
        return None if share is None else f"{share:.1%}"

    return percent


def _failures(row: EndpointHealth) -> str:
    return ", ".join(f"{name} {count}" for name, count in row.last_day.failures.items())


def _state(row: EndpointHealth) -> str | None:
    marks = {"paused": row.paused, "held": row.held, "gone": row.gone}
    return ", ".join(name for name, holds in marks.items() if holds) or None


HEALTH_COLUMNS: Columns = {
    **fields(EndpointHealth, "name"),
    "state": _state,
    "hour": attrgetter("last_hour.attempts"),
    "hour ok": _share("last_hour"),
    "hour p95 ms": attrgetter("last_hour.duration_ms.p95"),
    "hour late p95 s": attrgetter("last_hour.lateness.p95"),
    "day": attrgetter("last_day.attempts"),
    "day ok": _share("last_day"),
    "day p95 ms": attrgetter("last_day.duration_ms.p95"),
    "day late p95 s": attrgetter("last_day.lateness.p95"),
    "day failures": _failures,
    "unread": attrgetter("backlog.unread_reports"),
    "waiting": attrgetter("backlog.waiting_dispatches"),
    "due": attrgetter("backlog.due_dispatches"),
    "oldest s": attrgetter("backlog.oldest_waiting_seconds"),
    "first loss s": lambda row: row.first_loss and row.first_loss.seconds,
}


async def print_health(
    opened: Storage,
    registry: Registry,
    schedule: RetrySchedule,
    name: str | None,
    listing: Listing,
) -> None:
    """How the endpoints are; JSON is that of the API. What only a running process knows, such as
    its breakers, is not there."""
    await opened.activity.catch_up()
    healths = Healths(registry, opened.figures, opened.activity, schedule, wall_time)
    shown = await asked(registry, healths.of(name))
    with output(listing.path) as out:
        if listing.form == "json":
            out.file.write(encoded(shown) + "\n")
        else:
            await print_list(_each(shown.endpoints), HEALTH_COLUMNS, listing.form, out.file)


async def _each(rows: Sequence[EndpointHealth]) -> AsyncIterator[EndpointHealth]:
    for row in rows:
        yield row
