"""What the dispatchers on one PostgreSQL database tell each other."""

from __future__ import annotations

from receiver.store.postgres.database import Connection

# How many transactions have renewed a notice that is up.
RENEWALS = "(SELECT coalesce(sum(renewals), 0)::bigint FROM live_dispatcher)"
NOTICES = """
    (SELECT coalesce(array_agg(name ORDER BY name), '{}') FROM live_dispatcher),
    (SELECT coalesce(array_agg(notice ORDER BY name), '{}') FROM live_dispatcher)
"""
_TAKE_DOWN = """
    DELETE FROM live_dispatcher
    WHERE name = %(name)s AND (%(notice)s::bytea IS NULL OR notice = %(notice)s::bytea)
"""


def put_up(connection: Connection, name: str, notice: bytes) -> None:
    connection.execute("INSERT INTO live_dispatcher VALUES (%s, %s)", (name, notice))


def renew(connection: Connection, name: str, notice: bytes) -> bool:
    changed = connection.execute(
        "UPDATE live_dispatcher SET notice = %s, renewals = renewals + 1 WHERE name = %s",
        (notice, name),
    )
    return changed.rowcount == 1


def take_down(connection: Connection, name: str, notice: bytes | None) -> None:
    connection.execute(_TAKE_DOWN, {"name": name, "notice": notice})
