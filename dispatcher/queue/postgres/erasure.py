"""What an erasure asks of PostgreSQL (dispatcher/upkeep/erasing.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence

from dispatcher.forming.erasing import of_answers, of_bodies, of_replays, of_urls
from dispatcher.queue.postgres.insert_dispatch import insert_dispatches
from dispatcher.queue.postgres.members import members_of
from dispatcher.upkeep.base import Rows, StillLeased
from dispatcher.upkeep.erasing import (
    ErasureSearch,
    Found,
    Rest,
    cut_urls,
    formed_anew,
    message_of,
    rest_of,
)
from receiver.store.base import Traces
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.erasure import (
    Search,
    count_traces,
    each_span,
    erase_traces,
    find_traces,
)
from receiver.store.postgres.rows import ids_of, numbers
from receiver.store.recipient import Recipient

_THESE = "= ANY(%s::bigint[])"


class PostgresErasure(ErasureSearch):
    """Implements Erasure. The rows are gone when it returns. Their bytes stay in the server's files
    until it writes over them (VACUUM makes their room free), and in its log and backups until these
    are removed: that is the server's operator's."""

    def __init__(self, database: Database, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id

    async def count(self, recipient: Recipient) -> Rows:
        found = await self._find(recipient)
        return await self._database.question(
            lambda connection: (
                count_traces(connection, found.traces)
                | _count_queue(connection, _carrying(connection, found), found)
            )
        )

    async def erase(self, recipient: Recipient) -> Rows:
        found = await self._find(recipient)

        def erase(connection: Connection) -> Rows:
            dispatches = _carrying(connection, found)
            queue = _count_queue(connection, dispatches, found)
            erase_from_dispatches(
                connection, recipient, dispatches, found.traces.reports, self._new_id
            )
            _erase_from_history(connection, found)
            return erase_traces(connection, found.traces) | queue

        return await self._database.write(erase)

    async def left(self, _: Recipient) -> Sequence[str]:
        return []

    async def _traces(self, recipient: Recipient) -> Traces:
        return await find_traces(self._database, recipient)

    def _bodies(self, recipient: Recipient) -> AsyncIterator[int]:
        return each_span(self._database, _bodies(recipient))

    def _attempts(self, recipient: Recipient) -> AsyncIterator[int]:
        return each_span(self._database, _attempts(recipient))

    async def _own_answers(self, attempts: Sequence[int], recipient: Recipient) -> Sequence[int]:
        values = {"attempts": [*attempts], "source": recipient.source}
        return await self._database.question(lambda c: ids_of(c, _OWN_ANSWERS, values))

    async def _carrying_reports(self, reports: Sequence[int]) -> Sequence[int]:
        return await self._database.question(lambda c: _members(c, reports))

    async def _of_other_sources(
        self, dispatches: Collection[int], recipient: Recipient
    ) -> Sequence[int]:
        values = ([*dispatches], *message_of(recipient))
        return await self._database.question(lambda c: ids_of(c, _OF_OTHER_SOURCES, values))

    async def _replays(self, recipient: Recipient) -> Sequence[int]:
        rows = "SELECT id, key, selection FROM replay ORDER BY id"
        return await self._database.question(lambda c: of_replays(recipient, c.execute(rows)))


def _carrying(connection: Connection, found: Found) -> list[int]:
    """The dispatches that carry what was found, or whose bytes hold it though the reports are
    gone. Asked within the transaction that erases: one may have been formed meanwhile."""
    return sorted({*_members(connection, found.traces.reports), *found.bodies})


def _count_queue(connection: Connection, dispatches: Sequence[int], found: Found) -> dict[str, int]:
    """The rows that `erase_from_dispatches` and `_erase_from_history` would touch; replays only
    where there are any."""
    chosen, reports = [*dispatches], [*found.traces.reports]
    answers = f"attempt WHERE dispatch {_THESE} AND answer <> '' OR id {_THESE}"
    touched = {
        "dispatch": _count(connection, f"dispatch WHERE id {_THESE} AND state = 'waiting'", chosen),
        "dispatch_body": _count(connection, f"dispatch_body WHERE dispatch {_THESE}", chosen),
        "dispatch_report": _count(connection, f"dispatch_report WHERE report {_THESE}", reports),
        "attempt": _count(connection, answers, chosen, [*found.attempts]),
    }
    return touched | ({"replay": len(found.replays)} if found.replays else {})


# Nobody claims one of them between this look and what is done with them.
_LEASED = f"""
    SELECT count(*) FILTER (WHERE state = 'leased') FROM (
        SELECT state FROM dispatch WHERE id {_THESE} ORDER BY id FOR UPDATE
    ) AS chosen
"""


def erase_from_dispatches(
    connection: Connection,
    recipient: Recipient,
    dispatches: Sequence[int],
    report_ids: Sequence[int],
    new_id: Callable[[], str],
) -> None:
    """Erase within a transaction. Raises StillLeased."""
    chosen, ids, gone = [*dispatches], [*report_ids], set(report_ids)
    if leased := int(row_of(connection.execute(_LEASED, (chosen,)))[0]):
        raise StillLeased(leased)
    rows = connection.execute(
        "SELECT id, content_type, body FROM dispatch LEFT JOIN dispatch_body ON dispatch = id"
        f" WHERE id {_THESE} AND state = 'waiting'",
        (chosen,),
    ).fetchall()
    member_lists = members_of(connection, [row[0] for row in rows])
    for row in rows:
        members = member_lists.get(row[0], [])
        of_others = ids_of(connection, _OF_OTHERS, ([*members], *message_of(recipient)))
        rest = rest_of(row, members, gone, of_others, recipient)
        if rest is not None:
            _form_anew(connection, rest, new_id())
    for statement in (
        "UPDATE dispatch SET state = 'cancelled', due_at = NULL"
        f" WHERE id {_THESE} AND state = 'waiting'",
        f"DELETE FROM dispatch_body WHERE dispatch {_THESE}",
        f"DELETE FROM event_message WHERE dispatch {_THESE}",
        f"UPDATE attempt SET answer = '' WHERE dispatch {_THESE} AND answer <> ''",
    ):
        connection.execute(statement, (chosen,))
    connection.execute(f"DELETE FROM dispatch_report WHERE report {_THESE}", (ids,))
    urls = connection.execute(f"SELECT id, url FROM dispatch WHERE id {_THESE}", (chosen,))
    for change in cut_urls(recipient, urls.fetchall()):
        connection.execute("UPDATE dispatch SET url = %s WHERE id = %s", change)


def _erase_from_history(connection: Connection, found: Found) -> None:
    """What attempts and replays say. A replay without its key can be asked for once more."""
    connection.execute(
        f"UPDATE attempt SET answer = '', error = NULL WHERE id {_THESE}",
        ([*found.attempts],),
    )
    connection.execute(
        f"UPDATE replay SET key = NULL, selection = '{{}}' WHERE id {_THESE}",
        ([*found.replays],),
    )


def _members(connection: Connection, report_ids: Sequence[int]) -> list[int]:
    statement = f"SELECT DISTINCT dispatch FROM dispatch_report WHERE report {_THESE}"
    return ids_of(connection, statement, ([*report_ids],))


_BODIES = """
    SELECT id, reports, content_type, body FROM dispatch_body JOIN dispatch ON id = dispatch
    WHERE id = ANY(%s::bigint[])
"""
_BARE = """
    SELECT id, url FROM dispatch WHERE id = ANY(%s::bigint[]) AND state NOT IN ('waiting', 'leased')
        AND NOT EXISTS (SELECT FROM dispatch_body WHERE dispatch = id)
"""
_ATTEMPTS = "SELECT id, answer, error FROM attempt WHERE id > %s ORDER BY id LIMIT %s"


def _bodies(recipient: Recipient) -> Search:
    def search(connection: Connection, after: int, most: int) -> tuple[list[int], int | None]:
        some = "SELECT id FROM dispatch WHERE id > %s ORDER BY id LIMIT %s"
        ids = ids_of(connection, some, (after, most))
        bodies, bare = (
            connection.execute(statement, (numbers(ids),)).fetchall()
            for statement in (_BODIES, _BARE)
        )
        found = of_bodies(recipient, bodies) + of_urls(recipient, bare)
        return found, ids[-1] if ids else None

    return search


def _attempts(recipient: Recipient) -> Search:
    def search(connection: Connection, after: int, most: int) -> tuple[list[int], int | None]:
        rows = connection.execute(_ATTEMPTS, (after, most)).fetchall()
        return of_answers(recipient, rows), rows[-1][0] if rows else None

    return search


_OF_A_DISPATCH = """
    EXISTS (
        SELECT 1 FROM dispatch AS its JOIN dispatch_report AS member
            ON member.report BETWEEN its.first_report AND its.last_report
            AND member.dispatch = its.id
        JOIN report ON report.id = member.report
        WHERE its.id = {table}.dispatch AND report.source <> %(source)s
    )
"""
OF_OTHER_SOURCES = {
    "attempt": _OF_A_DISPATCH.format(table="attempt"),
}
"""Which rows belong to other sources, for `rows_that_name`. All reports of a callback are of one
source. What became of a bucket in which another source has reports belongs to that one too."""


_OWN_ANSWERS = f"""
    SELECT id FROM attempt WHERE id = ANY(%(attempts)s::bigint[])
        AND NOT ({OF_OTHER_SOURCES["attempt"]})
"""
_ANOTHERS = "report.message_key = %s AND report.source <> %s"
"""What has the recipient's messageId and is another source's."""

_OF_OTHERS = f"SELECT id FROM report WHERE id {_THESE} AND {_ANOTHERS}"
_OF_OTHER_SOURCES = f"""
    SELECT DISTINCT dispatch.id FROM dispatch JOIN dispatch_report AS member
        ON member.report BETWEEN first_report AND last_report AND member.dispatch = dispatch.id
    JOIN report ON report.id = member.report
    WHERE dispatch.id {_THESE} AND {_ANOTHERS}
"""
_DISPATCH = """
    SELECT endpoint, url, content_type, authorization_header, generation, attempts, created_at,
        due_at, replay
    FROM dispatch WHERE id = %s
"""


def _form_anew(connection: Connection, rest: Rest, webhook_id_end: str) -> None:
    row = row_of(connection.execute(_DISPATCH, (rest.dispatch,)))
    (fresh,) = insert_dispatches(connection, [formed_anew(rest, row, webhook_id_end)])
    # Their later reports go on waiting, for the new dispatch.
    connection.execute(
        "UPDATE message_under_way SET dispatch = %s WHERE dispatch = %s"
        " AND (source, message_key) IN"
        f" (SELECT source, message_key FROM report WHERE id {_THESE})",
        (fresh, rest.dispatch, [*rest.reports]),
    )


def _count(connection: Connection, rest: str, *ids: Sequence[int]) -> int:
    return int(row_of(connection.execute(f"SELECT count(*) FROM {rest}", ids))[0])
