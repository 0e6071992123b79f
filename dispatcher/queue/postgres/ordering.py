"""The tables behind `ordered = true`: messages under way, and reports held for them (what goes
first: queue/ordering.py). What a dispatch holds up is freed when it ends, whatever ends it
(dispatcher/retrying/consequences.py).

Several processes form dispatches at once, and others end them. Two rules keep the tables right:

1. Whoever puts a message under way, or holds a report, has the row of its endpoint locked
   (`may_form`, `write`). So of those who form for one endpoint one goes after the other, and looks
   at what the one before has left.
2. Whoever holds a report locks what is under way of its message before it looks (`write`). The end
   of that dispatch deletes these rows before it frees what is held: either it waits and then frees
   the new report too, or the report finds nothing under way and is free from the start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from dispatcher.queue.ordering import BY_ITSELF, Place, has_to_wait
from dispatcher.queue.postgres.arrays import columns_of
from receiver.store.base import Message
from receiver.store.postgres.database import Connection

_LOCK = """
    SELECT name, read_to FROM endpoint WHERE name = ANY(%s::text[]) AND NOT removed
    ORDER BY name FOR NO KEY UPDATE
"""
_LOCK_FREE = f"{_LOCK} SKIP LOCKED"
# In a statement: the places of arrays. They are to be looked up one by one.
_PLACES = "unnest(%(endpoints)s::text[], %(sources)s::text[], %(keys)s::bigint[])"
_OF_PLACE = "(endpoint, source, message_key)"
_STATE = f"""
    SELECT endpoint, source, message_key, NULL::bigint, NULL::bigint FROM message_under_way
        JOIN {_PLACES} AS place {_OF_PLACE} USING {_OF_PLACE}
    UNION ALL SELECT endpoint, source, message_key, report, replay FROM held_report
        JOIN {_PLACES} AS place {_OF_PLACE} USING {_OF_PLACE}
"""
_TAKE = """
    SELECT count(*) FROM (
        SELECT FROM held_report JOIN unnest(%s::text[], %s::bigint[]) AS taken (endpoint, report)
            USING (endpoint, report)
        WHERE replay = %s FOR UPDATE OF held_report
    ) AS locked
"""
_LET_GO = """
    DELETE FROM held_report USING unnest(%s::text[], %s::bigint[]) AS taken (endpoint, report)
    WHERE held_report.endpoint = taken.endpoint AND held_report.report = taken.report
        AND replay = %s
"""
_WAIT_FOR_ENDS = f"""
    SELECT count(*) FROM (
        SELECT FROM message_under_way JOIN {_PLACES} AS place {_OF_PLACE} USING {_OF_PLACE}
        FOR KEY SHARE OF message_under_way
    ) AS locked
"""
_HOLD = """
    INSERT INTO held_report (endpoint, report, source, message_key, replay, freed)
    SELECT endpoint, report, source, message_key, %(replay)s::bigint, NOT EXISTS (
        SELECT FROM message_under_way AS way WHERE way.endpoint = held.endpoint
            AND way.source = held.source AND way.message_key = held.message_key
    )
    FROM unnest(%(endpoints)s::text[], %(sources)s::text[], %(keys)s::bigint[],
        %(reports)s::bigint[]) AS held (endpoint, source, message_key, report)
"""
_SET_UNDER_WAY = """
    INSERT INTO message_under_way (endpoint, source, message_key, dispatch)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[])
"""
_SET_WAITING = f"""
    UPDATE held_report SET freed = false FROM {_PLACES} AS place {_OF_PLACE}
    WHERE held_report.endpoint = place.endpoint AND held_report.source = place.source
        AND held_report.message_key = place.message_key AND freed
"""
_FREED = """
    SELECT endpoint, report FROM held_report AS mine
    WHERE freed AND replay = %s AND NOT EXISTS (
        SELECT FROM held_report AS other
        WHERE other.endpoint = mine.endpoint
            AND other.source = mine.source AND other.message_key = mine.message_key
            AND other.replay <> mine.replay
            AND (other.report, other.replay) < (mine.report, mine.replay)
    )
"""


class _State(Struct, frozen=True):
    """Of some messages at some endpoints: what is under way, and what is held (report, replay)."""

    under_way: frozenset[tuple[str, Message]]
    held: Mapping[tuple[str, Message], Sequence[tuple[int, int]]]


def lock_free_endpoints(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Nobody else forms for these endpoints, moves or removes them until this transaction ends.
    Returns how far each has read. Those that are not there, or removed, are left out, and those
    that somebody else has locked: a machine that was cut off while it formed for one endpoint does
    not hold up the others."""
    return dict(connection.execute(_LOCK_FREE, (sorted(set(names)),)).fetchall())


def may_form(
    connection: Connection,
    replay: int,
    placed: Sequence[Place],
    freed: Sequence[tuple[str, int]],
) -> bool:
    """Whether nobody else took the held reports `freed` meanwhile, or got one before those that
    are `placed` in buckets. Locks their endpoints."""
    if not placed and not freed:
        return True
    names = {*(endpoint for endpoint, _, _ in placed), *(endpoint for endpoint, _ in freed)}
    connection.execute(_LOCK, (sorted(names),))
    if not _are_held(connection, replay, freed):
        return False
    besides = set(freed)
    state = _state(connection, ((endpoint, message) for endpoint, _, message in placed))
    return not any(
        (endpoint, message) in state.under_way
        or has_to_wait(
            replay,
            (endpoint, report, message),
            state.held.get((endpoint, message), ()),
            besides,
        )
        for endpoint, report, message in placed
    )


def write(
    connection: Connection,
    replay: int,
    hold: Sequence[Place],
    freed: Sequence[tuple[str, int]],
) -> None:
    """Hold what has to wait, and take what waits no more."""
    if freed:
        connection.execute(_LET_GO, (*columns_of(freed, 2), replay))
    _hold(connection, replay, hold)


def hold(connection: Connection, places: Iterable[Place]) -> None:
    """Hold reports for no replay; those that are held already stay as they are."""
    _hold(connection, BY_ITSELF, list(places), "ON CONFLICT DO NOTHING")


def _hold(connection: Connection, replay: int, places: Sequence[Place], then: str = "") -> None:
    if not places:
        return
    connection.execute(_LOCK, (sorted({endpoint for endpoint, _, _ in places}),))
    values = _places((endpoint, message) for endpoint, _, message in places)
    connection.execute(_WAIT_FOR_ENDS, values)
    reports = [report for _, report, _ in places]
    connection.execute(f"{_HOLD} {then}", {**values, "reports": reports, "replay": replay})


def hold_what_is_under_way(
    connection: Connection, endpoint: str, messages: Iterable[Message]
) -> None:
    """What of these messages was free at another endpoint waits here for what is under way here."""
    values = _places((endpoint, message) for message in messages)
    connection.execute(
        f"{_SET_WAITING} AND EXISTS (SELECT FROM message_under_way AS way"
        " WHERE way.endpoint = held_report.endpoint AND way.source = held_report.source"
        " AND way.message_key = held_report.message_key)",
        values,
    )


def set_under_way(connection: Connection, ways: Sequence[tuple[str, Message, int]]) -> None:
    """These messages have a report on its way to the endpoint, in this dispatch."""
    if not ways:
        return
    values = _places((endpoint, message) for endpoint, message, _ in ways)
    connection.execute(_SET_UNDER_WAY, (*values.values(), [dispatch for *_, dispatch in ways]))
    # What did not fit into the same bucket waits again.
    connection.execute(_SET_WAITING, values)


def freed(connection: Connection, endpoint: str, limit: int) -> list[int]:
    """Reports held for no replay that wait for nothing any more, in the order of arrival."""
    rows = connection.execute(
        f"{_FREED} AND endpoint = %s ORDER BY report LIMIT %s", (BY_ITSELF, endpoint, limit)
    )
    return [report for _, report in rows]


def freed_of_replay(connection: Connection, replay: int, limit: int) -> list[tuple[str, int]]:
    """Endpoints, and reports held for a replay that wait for nothing any more; of an endpoint in
    the order of arrival. Those that the endpoint has still to read by itself go there first."""
    rows = connection.execute(
        f"{_FREED} AND NOT EXISTS (SELECT FROM endpoint"
        " WHERE name = mine.endpoint AND NOT removed AND read_to < mine.report)"
        ' ORDER BY endpoint COLLATE "C", report LIMIT %s',
        (replay, limit),
    )
    return [(endpoint, report) for endpoint, report in rows]


def blocked(
    connection: Connection,
    replay: int,
    endpoint: str,
    messages: Sequence[Message],
    besides: Sequence[int],
) -> frozenset[Message]:
    """Those of these messages that are under way, or have a held report which is not `besides`
    (of this replay)."""
    taken = {(report, replay) for report in besides}
    state = _state(connection, ((endpoint, message) for message in messages))
    waiting = (message for (_, message), held in state.held.items() if not taken.issuperset(held))
    return frozenset([*(message for _, message in state.under_way), *waiting])


def _are_held(connection: Connection, replay: int, reports: Sequence[tuple[str, int]]) -> bool:
    """Whether all of them are, and stay so until this transaction takes them."""
    if not reports:
        return True
    row = connection.execute(_TAKE, (*columns_of(reports, 2), replay)).fetchone()
    return row is not None and row[0] == len(set(reports))


def _state(connection: Connection, places: Iterable[tuple[str, Message]]) -> _State:
    under_way: set[tuple[str, Message]] = set()
    held: dict[tuple[str, Message], list[tuple[int, int]]] = defaultdict(list)
    rows = connection.execute(_STATE, _places(dict.fromkeys(places)))
    for endpoint, source, key, report, replay in rows:
        if report is None:
            under_way.add((endpoint, (source, key)))
        else:
            held[endpoint, (source, key)].append((report, replay))
    return _State(frozenset(under_way), held)


def _places(places: Iterable[tuple[str, Message]]) -> dict[str, Any]:
    """The values of _PLACES."""
    columns = columns_of([(endpoint, *message) for endpoint, message in places], 3)
    return dict(zip(("endpoints", "sources", "keys"), columns, strict=True))
