"""How dispatches are found by their state: conditions that the indexes of few states take.

Each of these indexes ends with the id, and holds the dispatches of a state alone: so a state stands
in the statement itself, where PostgreSQL sees it whatever the parameters are.
"""

from __future__ import annotations

from dispatcher.retrying.dispatch import TRANSITIONS, DispatchState

ENDPOINTS_WITH_WAITING = """
    SELECT endpoint FROM dispatch_count WHERE state = 'waiting'
    GROUP BY endpoint HAVING sum(count) > 0
"""

# Of each endpoint for which some wait as many as are asked for: no index has them all in one order.
_WAITING_ANYWHERE = f"""
    id IN (
        SELECT first.id FROM ({ENDPOINTS_WITH_WAITING}) AS each CROSS JOIN LATERAL (
            SELECT id FROM dispatch
            WHERE state = 'waiting' AND endpoint = each.endpoint AND {{place}}
            ORDER BY {{order}} LIMIT %s
        ) AS first
    )
"""


def in_state(state: DispatchState) -> str:
    """The condition that a dispatch is in this state."""
    assert state in TRANSITIONS
    return f"state = '{state}'"


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
        return f"WHERE {anywhere} ORDER BY {order} LIMIT %s", [at, limit, limit]
    conditions = [] if state is None else [in_state(state)]
    values: list[int | str] = []
    if endpoint is not None:
        conditions.append("endpoint = %s")
        values.append(endpoint)
    where = " AND ".join([*conditions, place])
    return f"WHERE {where} ORDER BY {order} LIMIT %s", [*values, at, limit]
