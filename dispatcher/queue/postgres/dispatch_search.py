"""Finding dispatches (queue/search.py): where a step looks, and what it compares, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from dispatcher.queue.base import DispatchSearch, FoundDispatches, OfMessage
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.postgres.states import ENDPOINTS_WITH_WAITING, in_state
from dispatcher.queue.postgres.stored import stored_dispatches
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
from dispatcher.retrying.dispatch import DispatchState
from receiver.store.instants import micros
from receiver.store.postgres.database import Connection, row_of

_OF_MESSAGE = """
    SELECT dispatch FROM dispatch_report WHERE report = ANY(%s::bigint[])
    UNION SELECT dispatch FROM event_message WHERE message_id = %s
"""
# OFFSET 0 keeps PostgreSQL from looking for the lowest id along the ids, past all that are older.
_FORMED = "(SELECT id FROM dispatch WHERE created_at >= %s AND created_at < %s OFFSET 0) AS formed"


class _Way(Struct, frozen=True):
    """Dispatches that are found along an index, or along the table."""

    where: str
    values: Sequence[Any] = ()


def find(
    connection: Connection, names: DispatchNames, query: DispatchSearch, step: int = STEP
) -> FoundDispatches:
    """One step of a search. Raises UnknownDispatch for a cursor that is no name of this queue."""
    below = END if query.before is None else names.number(query.before)
    compare = partial(_compared, connection, query)
    found, following = step_of(query, below, step, _candidates(connection, query), compare)
    rest = "WHERE id = ANY(%s::bigint[]) ORDER BY id DESC"
    dispatches = stored_dispatches(connection, names, rest, (found,))
    return FoundDispatches(dispatches, None if following is None else names.name(following))


def _compared(
    connection: Connection, query: DispatchSearch, ids: Sequence[int], most: int
) -> Sequence[int]:
    """Which of some candidates fit, at most so many, in their order."""
    last = of_attempt(query)
    conditions = [*of_dispatch(query), *last]
    attempts = (
        "JOIN attempt ON attempt.dispatch = dispatch.id AND attempt.number = attempts"
        if last
        else ""
    )
    statement = (
        f"SELECT dispatch.id FROM dispatch {attempts} WHERE"
        f" {' AND '.join(['dispatch.id = ANY(%s::bigint[])', *(f'{c} %s' for c, _ in conditions)])}"
        " ORDER BY dispatch.id DESC LIMIT %s"
    )
    return _ids(connection, statement, ([*ids], *(value for _, value in conditions), most))


# --- where to look -----------------------------------------------------------------------------


def _candidates(connection: Connection, query: DispatchSearch) -> Candidates | None:
    """All that can fit; `None`: nothing can."""
    if not (states := states_of(query)):
        return None
    if query.message is not None:
        return these(_of_message(connection, query.message))
    stretch = _formed_between(connection, query)
    if stretch.ids is not None:
        return these(stretch.ids)
    return partial(_along, connection, _ways(connection, query, states), stretch)


def _of_message(connection: Connection, message: OfMessage) -> Sequence[int]:
    return _ids(connection, _OF_MESSAGE, ([*message.reports], message.event))


def _formed_between(connection: Connection, query: DispatchSearch) -> Stretch:
    """Instants do not ascend with ids after a clock that was wrong, so each one is looked at, in
    the index alone."""
    if query.created_since is None and query.created_until is None:
        return Stretch()
    values = (
        -END if query.created_since is None else micros(query.created_since),
        END if query.created_until is None else micros(query.created_until),
    )
    ids = _ids(connection, f"SELECT id FROM {_FORMED} LIMIT {STEP + 1}", values)
    if len(ids) <= STEP:
        return Stretch(ids=ids)
    low, high = row_of(connection.execute(f"SELECT min(id), max(id) FROM {_FORMED}", values))
    return Stretch(low, high)


def _ways(
    connection: Connection, query: DispatchSearch, states: Collection[DispatchState]
) -> list[_Way]:
    """Each of these is an index that ends with the id."""
    if query.replay is not None:
        return [_Way("replay = %s", (query.replay,))]
    if "acknowledged" not in states:
        ways = [_of_state(connection, state, query.endpoint) for state in sorted(states)]
        if all(each is not None for each in ways):
            return [way for each in ways for way in each or ()]
    if query.endpoint is not None:
        return [_Way("endpoint = %s", (query.endpoint,))]
    return [_Way("true")]


def _of_state(
    connection: Connection, state: DispatchState, endpoint: str | None
) -> list[_Way] | None:
    """The dispatches in a state; `None`: it is quicker to look at all."""
    if endpoint is not None:
        return [_Way(f"{in_state(state)} AND endpoint = %s", (endpoint,))]
    if state != "waiting":
        return [_Way(in_state(state))]
    # No index has what waits for all endpoints in one order, so each has a way of its own.
    some = connection.execute(f"{ENDPOINTS_WITH_WAITING} LIMIT {ENDPOINTS_APART + 1}").fetchall()
    if len(some) > ENDPOINTS_APART:
        return None
    return [_Way(f"{in_state(state)} AND endpoint = %s", (name,)) for (name,) in some]


def _along(
    connection: Connection, ways: Sequence[_Way], stretch: Stretch, below: int, most: int
) -> Sequence[int]:
    ends = (min(below, stretch.high + 1), stretch.low)
    found = [
        _ids(
            connection,
            f"SELECT id FROM dispatch WHERE {way.where} AND id < %s AND id >= %s"
            " ORDER BY id DESC LIMIT %s",
            (*way.values, *ends, most),
        )
        for way in ways
    ]
    return newest_of(found, most)


def _ids(connection: Connection, statement: str, values: Sequence[Any]) -> list[int]:
    return [number for (number,) in connection.execute(statement, values)]
