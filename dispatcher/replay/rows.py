"""Rows of replays, as every database gives and takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from dispatcher.forming.new_dispatch import NewDispatch, new_dispatch
from dispatcher.queue.base import Forming
from dispatcher.queue.ordering import Place, held_by, placed_by
from dispatcher.replay.base import Portion
from dispatcher.replay.items import PIECE, Items, read_piece
from dispatcher.replay.pace import Fed, Original, Pace, Rate, rate
from dispatcher.replay.replay import Item, Replay, target_name
from dispatcher.replay.request import Request, Selection
from receiver.faults import without_credentials
from receiver.store.instants import instant, instant_or_none, micros

COLUMNS = (
    "id, key, state, created_at, selection, endpoint, url, rate, speed, stop_on_errors, total, fed,"
    " dropped, started_at, last_fed_at, anchor_at, ended_at"
)
NEW_COLUMNS = (
    "key, state, created_at, selection, endpoint, url, rate, speed, stop_on_errors, total,"
    " ended_at, endpoints"
)


class Count(NamedTuple):
    """How many dispatches of a replay, with how many reports, are in a state or `held`; or were
    `tried`, with how many attempts."""

    state: Any
    dispatches: int
    reports: int
    attempts: int = 0


class Cancelled(NamedTuple):
    """How many dispatches were cancelled, and whether nothing waits or is held any more."""

    dispatches: int
    last: bool


def replays_of(rows: Iterable[Sequence[Any]], counts: Iterable[tuple[int, Count]]) -> list[Replay]:
    """The rows: COLUMNS. `counts` of each replay, in the order of their states."""
    rows = list(rows)
    of_each: dict[int, list[Count]] = {row[0]: [] for row in rows}
    for number, count in counts:
        of_each[number].append(count)
    return [_replay(row, of_each[row[0]]) for row in rows]


def _replay(row: Sequence[Any], counts: Sequence[Count]) -> Replay:
    number, key, state, created_at, selection, endpoint, url, at_rate, speed, stop, *rest = row
    total, fed, dropped, started, last_fed, anchor, ended = rest
    tried = [count for count in counts if count.state == "tried"]
    return Replay(
        id=number,
        key=key,
        state=state,
        created_at=instant(created_at),
        selection=msgspec.json.decode(selection, type=Selection),
        endpoint=endpoint,
        url=url,
        pace=_pace(at_rate, speed),
        stop_on_errors=stop,
        total=total,
        fed=fed,
        dropped=dropped,
        held=sum(count.reports for count in counts if count.state == "held"),
        counts={
            count.state: count.reports for count in counts if count.state not in ("held", "tried")
        },
        tried=sum(count.dispatches for count in tried),
        attempts=sum(count.attempts for count in tried),
        acknowledged=sum(count.dispatches for count in counts if count.state == "acknowledged"),
        progress=Fed(instant_or_none(anchor), instant_or_none(last_fed)),
        started_at=instant_or_none(started),
        ended_at=instant_or_none(ended),
    )


def _pace(at_rate: str | None, speed: float | None) -> Pace:
    if at_rate is not None:
        return rate(at_rate)
    return None if speed is None else Original(speed)


def new_replay(request: Request, items: Items, now: datetime) -> tuple[Any, ...]:
    """The values of NEW_COLUMNS."""
    at = micros(now)
    return (
        request.key,
        "running" if items else "done",
        at,
        msgspec.json.encode(request.selection).decode(),
        request.to_endpoint,
        None if request.to_url is None else without_credentials(request.to_url),
        str(request.pace) if isinstance(request.pace, Rate) else None,
        request.pace.speed if isinstance(request.pace, Original) else None,
        request.stop_on_errors,
        len(items),
        None if items else at,
        encoded(items.endpoints),
    )


def own_endpoint(replay: int, url: str) -> tuple[str, Mapping[str, object]]:
    """The name and the table of the endpoint that a replay to a URL gets."""
    name = target_name(replay)
    return name, {"name": name, "url": url, "reports": "none"}


def encoded(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()


def placed_pieces(items: Items) -> list[tuple[int, str]]:
    """The pieces in which items are stored, each with the position of its first item."""
    return [(place * PIECE, piece) for place, piece in enumerate(items.pieces())]


def items_in(
    pieces: Iterable[tuple[int, str]], endpoints: str, position: int, limit: int
) -> list[Item]:
    """At most `limit` items from a position on. `pieces` are those that have them; `endpoints` as
    `encoded` wrote them."""
    names = msgspec.json.decode(endpoints, type=list[str])
    return [
        item
        for start, piece in pieces
        for place, item in enumerate(read_piece(piece, names), start)
        if position <= place < position + limit
    ]


class Writes(NamedTuple):
    """What a portion does, by tables. `placed` gets on its way, `hold` has to wait, and `freed`
    (endpoint, report) was held until now."""

    reports: set[int]
    endpoints: list[str]
    placed: list[Place]
    hold: list[Place]
    freed: list[tuple[str, int]]


def writes_of(portion: Portion) -> Writes:
    formings = portion.formings
    freed = [(each.endpoint.name, report) for each in formings for report in each.freed]
    return Writes(
        reports={number for forming in formings for number in _reports_of(forming)},
        endpoints=[each.endpoint.name for each in formings if each.buckets or each.hold],
        placed=[place for forming in formings for place in placed_by(forming)],
        hold=[place for forming in formings for place in held_by(forming)],
        freed=[*freed, *portion.gone],
    )


def _reports_of(forming: Forming) -> Iterable[int]:
    yield from (report.id for bucket in forming.buckets for report in bucket.reports)
    yield from (report.id for report in forming.hold)


def change_of(portion: Portion, at: int) -> tuple[int, ...]:
    """fed, dropped, anchor_at, last_fed_at, started_at; of which replay, and how far it was fed."""
    anchor = micros(portion.anchor_at)
    return portion.fed_to, portion.dropped, anchor, at, at, portion.replay, portion.fed_from


def dispatches_of(portion: Portion, at: int, new_id: Callable[[], str]) -> list[NewDispatch]:
    return [
        new_dispatch(
            forming.endpoint, bucket, body, at, webhook_id_end=new_id(), replay=portion.replay
        )
        for forming in portion.formings
        for bucket, body in zip(forming.buckets, forming.bodies, strict=True)
    ]
