"""Finding dispatches, newest first, in steps of bounded time.

    what is asked for                     where a step looks
    ------------------------------------------------------------------------------------------------
    a message                             the dispatches of its reports and events
    an instant of forming                 these dispatches, if they are few; otherwise from the
                                          first to the last of them, as for what else is asked for
    a replay                              its dispatches
    waiting, exhausted, cancelled,        the dispatches in these states
    leased; an outcome other than
    acknowledged
    an endpoint                           its dispatches
    anything else                         each one

Whatever the way, each candidate is compared with the whole query: the way decides only how fast an
answer comes, never what it says. One step looks at a bounded number of candidates.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from heapq import nlargest
from typing import Any, get_args

from msgspec import Struct

from dispatcher.queue.base import DispatchSearch, FoundDispatches, OfMessage
from dispatcher.queue.sqlite.names import DispatchNames
from dispatcher.queue.sqlite.states import OF_FEW
from dispatcher.queue.sqlite.stored import stored_dispatches
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.retrying.outcome import Outcome
from receiver.store.instants import micros
from receiver.store.sqlite.rows import LISTED, ids_of, listed

STEP = 20_000
"""Dispatches that one step looks at: at most 0.1 s (measured)."""

PIECE = 1_000
"""Dispatches that are looked at between two looks at what has been found."""

ENDPOINTS_APART = 20
"""If more endpoints than these have something waiting, what waits is not looked for by endpoint."""

_END = 2**63 - 1

_Candidates = Callable[[int, int], Sequence[int]]
"""The next candidates below an id, newest first, and at most so many: fewer are the last."""


class _Way(Struct, frozen=True):
    """Dispatches that are found along an index, or (`by` NOT INDEXED) along the table."""

    by: str
    where: str
    values: Sequence[Any] = ()


class _Stretch(Struct, frozen=True):
    """All wanted dispatches lie between these ids, both included. `ids`: these are all of them, in
    any order; `None`: they are many."""

    low: int = 0
    high: int = _END
    ids: Sequence[int] | None = None


def find(
    connection: sqlite3.Connection, names: DispatchNames, query: DispatchSearch, step: int = STEP
) -> FoundDispatches:
    """One step of a search. Raises UnknownDispatch for a cursor that is no name of this queue."""
    below = _END if query.before is None else names.number(query.before)
    found, following = _step(connection, query, below, step)
    rest = f"WHERE id IN {LISTED} ORDER BY id DESC"
    dispatches = stored_dispatches(connection, names, rest, (listed(found),))
    return FoundDispatches(dispatches, None if following is None else names.name(following))


def _step(
    connection: sqlite3.Connection, query: DispatchSearch, below: int, most: int
) -> tuple[list[int], int | None]:
    """What is found below an id, and below which the next step begins."""
    if (candidates := _candidates(connection, query)) is None:
        return [], None
    compare = _comparison(query)
    found: list[int] = []
    size = min(query.limit, PIECE)  # of most queries all fit
    while most > 0:
        ids = candidates(below, size)
        found += compare(connection, ids, query.limit - len(found))
        if len(found) == query.limit:
            return found, found[-1]
        if len(ids) < size:
            return found, None
        below, most, size = ids[-1], most - size, PIECE
    return found, below


# --- what is compared --------------------------------------------------------------------------


def _comparison(
    query: DispatchSearch,
) -> Callable[[sqlite3.Connection, Sequence[int], int], list[int]]:
    """Which of some candidates fit, at most so many, in their order."""
    conditions = [*_of_dispatch(query), *_of_attempt(query)]
    where = " AND ".join(["1", *(text for text, _ in conditions)])
    attempts = (
        "CROSS JOIN attempt ON attempt.dispatch = dispatch.id AND attempt.number = attempts"
        if any(_of_attempt(query))
        else ""
    )
    statement = (
        f"SELECT dispatch.id FROM dispatch NOT INDEXED {attempts}"
        f" WHERE dispatch.id IN {LISTED} AND {where}"
        " ORDER BY dispatch.id DESC LIMIT ?"
    )
    values = [value for _, given in conditions for value in given]
    return lambda connection, ids, most: ids_of(connection, statement, (listed(ids), *values, most))


_Condition = tuple[str, Sequence[Any]]


def _of_dispatch(query: DispatchSearch) -> list[_Condition]:
    said = {
        "endpoint = ?": query.endpoint,
        "state = ?": query.state,
        "replay = ?": query.replay,
        "created_at >= ?": query.created_since and micros(query.created_since),
        "created_at < ?": query.created_until and micros(query.created_until),
    }
    return [(text, (value,)) for text, value in said.items() if value is not None]


def _of_attempt(query: DispatchSearch) -> list[_Condition]:
    """Those of the last attempt. A dispatch that was never tried fits none of them."""
    said = {
        "outcome = ?": query.outcome,
        "started_at >= ?": query.attempted_since and micros(query.attempted_since),
        "started_at < ?": query.attempted_until and micros(query.attempted_until),
    }
    conditions: list[_Condition] = [(t, (value,)) for t, value in said.items() if value is not None]
    if query.status_class == "none":
        conditions.append(("status IS NULL", ()))
    elif query.status_class is not None:
        conditions.append(("status / 100 = ?", (int(query.status_class[0]),)))
    return conditions


# --- where to look -----------------------------------------------------------------------------


def _candidates(connection: sqlite3.Connection, query: DispatchSearch) -> _Candidates | None:
    """All that can fit; `None`: nothing can."""
    if not (states := _states(query)):
        return None
    if query.message is not None:
        return _these(_of_message(connection, query.message))
    stretch = _formed_between(connection, query)
    if stretch.ids is not None:
        return _these(stretch.ids)
    return _along(connection, _ways(connection, query, states), stretch)


def _states(query: DispatchSearch) -> frozenset[DispatchState]:
    """Those that a wanted dispatch can be in. An attempt that acknowledges ends its dispatch as
    acknowledged, and no other one does."""
    states: frozenset[DispatchState] = frozenset(get_args(DispatchState))
    if query.outcome is not None:
        ended: frozenset[DispatchState] = frozenset({"acknowledged"})
        states = ended if query.outcome == Outcome.ACKNOWLEDGED.value else states - ended
    return states if query.state is None else states & {query.state}


def _these(ids: Sequence[int]) -> _Candidates:
    newest_first = sorted(ids, reverse=True)

    def candidates(below: int, most: int) -> Sequence[int]:
        return [each for each in newest_first if each < below][:most]

    return candidates


def _of_message(connection: sqlite3.Connection, message: OfMessage) -> list[int]:
    of_reports = f"SELECT dispatch FROM dispatch_report WHERE report IN {LISTED}"
    of_event = "SELECT dispatch FROM event_message WHERE message_id = ?"
    values = (listed(message.reports), message.event)
    return ids_of(connection, f"{of_reports} UNION {of_event}", values)


def _formed_between(connection: sqlite3.Connection, query: DispatchSearch) -> _Stretch:
    """Instants do not ascend with ids after a clock that was wrong, so each one is looked at, in
    the index alone."""
    if query.created_since is None and query.created_until is None:
        return _Stretch()
    values = (
        -_END if query.created_since is None else micros(query.created_since),
        _END if query.created_until is None else micros(query.created_until),
    )
    formed = "FROM dispatch INDEXED BY dispatch_formed WHERE created_at >= ? AND created_at < ?"
    ids = ids_of(connection, f"SELECT id {formed} LIMIT {STEP + 1}", values)
    if len(ids) <= STEP:
        return _Stretch(ids=ids)
    low, high = connection.execute(f"SELECT min(id), max(id) {formed}", values).fetchone()
    return _Stretch(low, high)


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


def _along(connection: sqlite3.Connection, ways: Sequence[_Way], stretch: _Stretch) -> _Candidates:
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
        return found[0] if len(found) == 1 else nlargest(most, (id for ids in found for id in ids))

    return candidates
