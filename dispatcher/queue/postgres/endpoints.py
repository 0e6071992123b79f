"""What was said of endpoints at run time, and how far they have read, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection

from receiver.store.postgres.database import Connection

_HIGHEST = "(SELECT coalesce(max(id), 0) FROM report)"
"""The last report there is, in SQL: who has read to there begins with the next."""

# An endpoint that was made for one replay reads nothing, and its row goes with it.
_OF_A_REPLAY = """
    EXISTS (SELECT FROM replay WHERE replay.url IS NOT NULL AND replay.id =
        CASE WHEN {name} ~ '^replay-[0-9]{{1,18}}$' THEN substr({name}, 8)::bigint END)
"""
_MAKE_KNOWN = f"""
    INSERT INTO endpoint (name, read_to)
    SELECT new.name, CASE
        WHEN EXISTS (SELECT FROM endpoint WHERE NOT {_OF_A_REPLAY.format(name="endpoint.name")})
        THEN {_HIGHEST} ELSE 0 END
    FROM unnest(%s::text[]) AS new (name)
    WHERE NOT {_OF_A_REPLAY.format(name="new.name")} ON CONFLICT DO NOTHING
"""


def make_known(connection: Connection, names: Collection[str]) -> None:
    """Have these endpoints read, each from the next report on unless it reads already.

    The first endpoints of a database read from its first report on. Nothing may be lost silently:
    what `dlr receive` took in before any dispatcher ran is pushed when one does. But a customer who
    is added to a store of a year does not get the year.
    """
    connection.execute(_MAKE_KNOWN, (sorted(names),))
