"""Finding dispatches (queue/search.py): where a step looks, and what it compares, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from dispatcher.queue.base import DispatchSearch, FoundDispatches, OfMessage
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.search import (
    END,
    ENDPOINTS_APART,
    STEP,
    Candidates,
    Stretch,
    newest_of,
    of_attempt,
    of_dispatch,
    states_of,
    step_of,
    these,
)
from dispatcher.queue.sqlite.states import OF_FEW
from dispatcher.queue.sqlite.stored import stored_dispatches
from dispatcher.retrying.dispatch import DispatchState
from receiver.store.instants import micros
from receiver.store.sqlite.rows import LISTED, ids_of, listed


class _Way(Struct, frozen=True):
    """Dispatches that are found along an index, or (`by` NOT INDEXED) along the table."""

    by: str
    where: str
    values: Sequence[Any] = ()


def find(
    connection: sqlite3.Connection, names: DispatchNames, query: DispatchSearch, step: int = STEP
) -> FoundDispatches:
    """One step of a search. Raises UnknownDispatch for a cursor that is no name of this queue."""
    below = END if query.before is None else names.number(query.before)
    compare = partial(_comparison(query), connection)
    found, following = step_of(query, below, step, _candidates(connection, query), compare)
    rest = f"WHERE id IN {LISTED} ORDER BY id DESC"
    dispatches = stored_dispatches(connection, names, rest, (listed(found),))
    return FoundDispatches(dispatches, None if following is None else names.name(following))


# --- what is compared --------------------------------------------------------------------------


def _comparison(
    query: DispatchSearch,
) -> Callable[[sqlite3.Connection, Sequence[int], int], list[int]]:
    """Which of some candidates fit, at most so many, in their order."""
    last = of_attempt(query)
    conditions = [*of_dispatch(query), *last]
    where = " AND ".join(["1", *(f"{column} ?" for column, _ in conditions)])
    attempts = (
        "CROSS JOIN attempt ON attempt.dispatch = dispatch.id AND attempt.number = attempts"
        if last
        else ""
    )
    statement = (
        f"SELECT dispatch.id FROM dispatch NOT INDEXED {attempts}"
        f" WHERE dispatch.id IN {LISTED} AND {where}"
        " ORDER BY dispatch.id DESC LIMIT ?"
    )
    values = [value for _, value in conditions]
    return lambda connection, ids, most: ids_of(connection, statement, (listed(ids), *values, most))


# --- where to look -----------------------------------------------------------------------------


def _candidates(connection: sqlite3.Connection, query: DispatchSearch) -> Candidates | None:
    """All that can fit; `None`: nothing can."""
    if not (states := states_of(query)):
        return None
    if query.message is not None:
        return these(_of_message(connection, query.message))
    stretch = _formed_between(connection, query)
    if stretch.ids is not None:
        return these(stretch.ids)
    return _along(connection, _ways(connection, query, states), stretch)


def _of_message(connection: sqlite3.Connection, message: OfMessage) -> list[int]:
    of_reports = f"SELECT dispatch FROM dispatch_report WHERE report IN {LISTED}"
    of_event = "SELECT dispatch FROM event_message WHERE message_id = ?"
    values = (listed(message.reports), message.event)
    return ids_of(connection, f"{of_reports} UNION {of_event}", values)


def _formed_between(connection: sqlite3.Connection, query: DispatchSearch) -> Stretch:
    """Instants do not ascend with ids after a clock that was wrong, so each one is looked at, in
    the index alone."""
    if query.created_since is None and query.created_until is None:
        return Stretch()
    values = (
        -END if query.created_since is None else micros(query.created_since),
        END if query.created_until is None else micros(query.created_until),
    )
    formed = "FROM dispatch INDEXED BY dispatch_formed WHERE created_at >= ? AND created_at < ?"
    ids = ids_of(connection, f"SELECT id {formed} LIMIT {STEP + 1}", values)
    if len(ids) <= STEP:
        return Stretch(ids=ids)
    low, high = connection.execute(f"SELECT min(id), max(id) {formed}", values).fetchone()
    return Stretch(low, high)


def _ways(
    connection: sqlite3.Connection, query: DispatchSearch, states: Collection[DispatchState]
) -> list[_Way]:
    """Each of these indexes ends with the id."""
    if query.replay is not None:
        return [_Way("INDEXED BY dispatch_of_replay", "replay = ?", (query.replay,))]
    if "acknowledged" not in states:
        ways = [_of_state(connection, state, query.endpoint) for state in sorted(states)]
        if all(each is not None for each in ways):
            return [way for each in ways for way in each or ()]
    if query.endpoint is not None:
        return [_Way("INDEXED BY dispatch_of_endpoint", "endpoint = ?", (query.endpoint,))]
    return [_Way("NOT INDEXED", "1")]


def _of_state(
    connection: sqlite3.Connection, state: DispatchState, endpoint: str | None
) -> list[_Way] | None:
    """The dispatches in a state; `None`: it is quicker to look at all."""
    if state == "waiting":
        return _waiting(connection, endpoint)
    at, values = ("", ()) if endpoint is None else (" AND endpoint = ?", (endpoint,))
    if state == "leased":  # never many, and their index does not end with the id
        where = f"state = 'leased' AND lease_until > 0{at}"
        return [_Way("INDEXED BY dispatch_lease", where, values)]
    index = "dispatch_of_state" if endpoint is None else "dispatch_of_endpoint_and_state"
    return [_Way(f"INDEXED BY {index}", f"state = ? AND {OF_FEW}{at}", (state, *values))]


def _waiting(connection: sqlite3.Connection, endpoint: str | None) -> list[_Way] | None:
    """No index has what waits for all endpoints in one order, so each has a way of its own."""
    endpoints = [endpoint] if endpoint is not None else _with_waiting(connection)
    if len(endpoints) > ENDPOINTS_APART:
        return None
    where = "state = 'waiting' AND endpoint = ?"
    return [_Way("INDEXED BY dispatch_waiting", where, (name,)) for name in endpoints]


def _with_waiting(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(
        "SELECT endpoint FROM dispatch_count WHERE state = 'waiting' AND count > 0 LIMIT ?",
        (ENDPOINTS_APART + 1,),
    )
    return [name for (name,) in rows]


def _along(connection: sqlite3.Connection, ways: Sequence[_Way], stretch: Stretch) -> Candidates:
    def candidates(below: int, most: int) -> Sequence[int]:
        ends = (min(below, stretch.high + 1), stretch.low)
        found = [
            ids_of(
                connection,
                f"SELECT id FROM dispatch {way.by} WHERE {way.where} AND id < ? AND id >= ?"
                " ORDER BY id DESC LIMIT ?",
                (*way.values, *ends, most),
            )
            for way in ways
        ]
        return newest_of(found, most)

    return candidates
