"""How dispatches are found by their state: the indexes, and the conditions that take them.

Each of these indexes ends with the id (0012_indexes.sql, 0017_one_index_of_what_waits.sql). They
are named because SQLite would take one of far more dispatches, or of another order.
"""

from __future__ import annotations

from dispatcher.retrying.dispatch import DispatchState

OF_FEW = "state IN ('exhausted', 'cancelled')"

# Of each endpoint for which some wait as many as are asked for: no index has them all in one order.
_WAITING_ANYWHERE = """
    id IN (
        SELECT value FROM dispatch_count, json_each((
            SELECT json_group_array(id) FROM (
                SELECT id FROM dispatch INDEXED BY dispatch_waiting
                WHERE state = 'waiting' AND endpoint = dispatch_count.endpoint AND {place}
                ORDER BY {order} LIMIT ?
            )
        )) WHERE dispatch_count.state = 'waiting' AND count > 0
    )
"""


def page(
    endpoint: str | None,
    state: DispatchState | None,
    *,
    place: str,
    at: int,
    order: str,
    limit: int,
) -> tuple[str, list[int | str]]:
    """What follows `FROM dispatch` for at most `limit` of an endpoint and a state (None: of any),
    and its values. `place` compares the id with `at`, and `order` goes along the ids."""
    if state == "waiting" and endpoint is None:
        anywhere = _WAITING_ANYWHERE.format(place=place, order=order)
        return f"WHERE {anywhere} ORDER BY {order} LIMIT ?", [at, limit, limit]
    index, of_few = _index(endpoint, state)
    given = {"endpoint = ?": endpoint, "state = ?": state}
    named = {text: value for text, value in given.items() if value is not None}
    where = " AND ".join([*named, *of_few, place])
    return f"{index} WHERE {where} ORDER BY {order} LIMIT ?", [*named.values(), at, limit]


def _index(endpoint: str | None, state: DispatchState | None) -> tuple[str, list[str]]:
    """The index, and what a statement must say to be allowed to use it."""
    if state == "waiting":
        return "INDEXED BY dispatch_waiting", ["state = 'waiting'"]
    if state in ("exhausted", "cancelled"):
        kind = "state" if endpoint is None else "endpoint_and_state"
        return f"INDEXED BY dispatch_of_{kind}", [OF_FEW]
    return ("NOT INDEXED" if endpoint is None else "INDEXED BY dispatch_of_endpoint"), []
