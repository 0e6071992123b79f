"""What an erasure asks of SQLite (dispatcher/upkeep/erasing.py)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path

from dispatcher.forming.erasing import of_answers, of_bodies, of_replays, of_urls
from dispatcher.queue.sqlite.insert_dispatch import insert_dispatches
from dispatcher.queue.sqlite.members import members_of
from dispatcher.sandbox.store.sqlite.removal import count_messages, erase_messages
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
from receiver.store.recipient import Recipient
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.disk import (
    file_of,
    is_named_in_file,
    log_of,
    overwrite_free_pages,
    rows_that_name,
)
from receiver.store.sqlite.erasure import (
    Search,
    count_traces,
    each_span,
    erase_traces,
    find_traces,
)
from receiver.store.sqlite.rows import LISTED, ids_of, listed


class SqliteErasure(ErasureSearch):
    """Implements Erasure. What is erased is overwritten in the file and in its write-ahead log; in
    the log only if no other process is reading just then, which `left` tells."""

    def __init__(self, database: Database, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id

    async def count(self, recipient: Recipient) -> Rows:
        found = await self._find(recipient)
        return await self._database.question(
            lambda connection: (
                count_traces(connection, found.traces)
                | _count_queue(connection, _carrying(connection, found), found)
                | count_messages(connection, recipient)
            )
        )

    async def erase(self, recipient: Recipient) -> Rows:
        found = await self._find(recipient)

        def erase(connection: sqlite3.Connection) -> Rows:
            connection.execute("PRAGMA secure_delete = ON")
            dispatches = _carrying(connection, found)
            queue = _count_queue(connection, dispatches, found)
            erase_from_dispatches(
                connection, recipient, dispatches, found.traces.reports, self._new_id
            )
            _erase_from_history(connection, found)
            messages = erase_messages(connection, recipient)
            return erase_traces(connection, found.traces) | queue | messages

        touched = await self._database.write(erase)
        await self._database.checkpoint()
        if await self._is_in_file(recipient):
            await overwrite_free_pages(self._database)
            await self._database.checkpoint()
        return touched

    async def left(self, recipient: Recipient) -> Sequence[str]:
        file = await file_of(self._database)
        if file is None:
            return []
        emptied = await self._database.checkpoint()
        if not emptied and await asyncio.to_thread(is_named_in_file, log_of(file), recipient):
            return [f"{log_of(file)}: another process reads the database; end it, then erase again"]
        if not await self._is_in_file(recipient):
            return []
        rows = await rows_that_name(self._database, recipient, OF_OTHER_SOURCES)
        if not rows and await self._is_anothers(recipient):
            return []
        if not rows:
            return [f"{file}: in unused space; `sqlite3 {file} VACUUM` rewrites the file"]
        return [
            f"{file}: rows of {table} that name it but belong to others: {number}"
            for table, number in rows.items()
        ]

    async def _is_anothers(self, recipient: Recipient) -> bool:
        """Whether the file names the messageId because another source has such a message."""
        whoever = Recipient(message_id=recipient.message_id)
        return recipient.source is not None and bool(
            await rows_that_name(self._database, whoever, {})
        )

    async def _is_in_file(self, recipient: Recipient) -> bool:
        file: Path | None = await file_of(self._database)
        return file is not None and await asyncio.to_thread(is_named_in_file, file, recipient)

    async def _traces(self, recipient: Recipient) -> Traces:
        return await find_traces(self._database, recipient)

    def _bodies(self, recipient: Recipient) -> AsyncIterator[int]:
        return each_span(self._database, "dispatch", _bodies(recipient))

    def _attempts(self, recipient: Recipient) -> AsyncIterator[int]:
        return each_span(self._database, "attempt", _attempts(recipient))

    async def _own_answers(self, attempts: Sequence[int], recipient: Recipient) -> Sequence[int]:
        values = {"attempts": listed(attempts), "source": recipient.source}
        return await self._database.question(
            lambda c: [number for (number,) in c.execute(_OWN_ANSWERS, values)]
        )

    async def _carrying_reports(self, reports: Sequence[int]) -> Sequence[int]:
        return await self._database.question(lambda c: _members(c, reports))

    async def _of_other_sources(
        self, dispatches: Collection[int], recipient: Recipient
    ) -> Sequence[int]:
        values = (listed(dispatches), *message_of(recipient))
        return await self._database.question(lambda c: ids_of(c, _OF_OTHER_SOURCES, values))

    async def _replays(self, recipient: Recipient) -> Sequence[int]:
        rows = "SELECT id, key, selection FROM replay ORDER BY id"
        return await self._database.question(lambda c: of_replays(recipient, c.execute(rows)))


def _carrying(connection: sqlite3.Connection, found: Found) -> list[int]:
    """The dispatches that carry what was found, or whose bytes hold it though the reports are
    gone. Asked within the transaction that erases: one may have been formed meanwhile."""
    return sorted({*_members(connection, found.traces.reports), *found.bodies})


def _count_queue(
    connection: sqlite3.Connection, dispatches: Sequence[int], found: Found
) -> dict[str, int]:
    """The rows that `erase_from_dispatches` and `_erase_from_history` would touch; replays only
    where there are any."""
    chosen, reports = listed(dispatches), listed(found.traces.reports)
    answers = f"attempt WHERE dispatch IN {LISTED} AND answer <> x'' OR id IN {LISTED}"
    touched = {
        "dispatch": _count(
            connection, f"dispatch WHERE id IN {LISTED} AND state = 'waiting'", chosen
        ),
        "dispatch_body": _count(connection, f"dispatch_body WHERE dispatch IN {LISTED}", chosen),
        "dispatch_report": _count(connection, f"dispatch_report WHERE report IN {LISTED}", reports),
        "attempt": _count(connection, answers, chosen, listed(found.attempts)),
    }
    return touched | ({"replay": len(found.replays)} if found.replays else {})


def erase_from_dispatches(
    connection: sqlite3.Connection,
    recipient: Recipient,
    dispatches: Sequence[int],
    report_ids: Sequence[int],
    new_id: Callable[[], str],
) -> None:
    """Erase within a transaction. Raises StillLeased."""
    chosen, ids, gone = listed(dispatches), listed(report_ids), set(report_ids)
    if leased := _count(connection, f"dispatch WHERE id IN {LISTED} AND state = 'leased'", chosen):
        raise StillLeased(leased)
    rows = connection.execute(
        "SELECT id, content_type, body FROM dispatch LEFT JOIN dispatch_body ON dispatch = id"
        f" WHERE id IN {LISTED} AND state = 'waiting'",
        (chosen,),
    ).fetchall()
    member_lists = members_of(connection, [row[0] for row in rows])
    for row in rows:
        members = member_lists.get(row[0], [])
        of_others = ids_of(connection, _OF_OTHERS, (listed(members), *message_of(recipient)))
        rest = rest_of(row, members, gone, of_others, recipient)
        if rest is not None:
            _form_anew(connection, rest, new_id())
    for statement in (
        "UPDATE dispatch SET state = 'cancelled', due_at = NULL"
        f" WHERE id IN {LISTED} AND state = 'waiting'",
        f"DELETE FROM dispatch_body WHERE dispatch IN {LISTED}",
        f"DELETE FROM event_message WHERE dispatch IN {LISTED}",
        f"UPDATE attempt SET answer = x'' WHERE dispatch IN {LISTED} AND answer <> x''",
    ):
        connection.execute(statement, (chosen,))
    connection.execute(f"DELETE FROM dispatch_report WHERE report IN {LISTED}", (ids,))
    urls = connection.execute(f"SELECT id, url FROM dispatch WHERE id IN {LISTED}", (chosen,))
    for change in cut_urls(recipient, urls.fetchall()):
        connection.execute("UPDATE dispatch SET url = ? WHERE id = ?", change)


def _erase_from_history(connection: sqlite3.Connection, found: Found) -> None:
    """What attempts and replays say. A replay without its key can be asked for once more."""
    connection.execute(
        f"UPDATE attempt SET answer = x'', error = NULL WHERE id IN {LISTED}",
        (listed(found.attempts),),
    )
    connection.execute(
        f"UPDATE replay SET key = NULL, selection = '{{}}' WHERE id IN {LISTED}",
        (listed(found.replays),),
    )


def _members(connection: sqlite3.Connection, report_ids: Sequence[int]) -> list[int]:
    statement = f"SELECT DISTINCT dispatch FROM dispatch_report WHERE report IN {LISTED}"
    return ids_of(connection, statement, (listed(report_ids),))


def _bodies(recipient: Recipient) -> Search:
    def search(connection: sqlite3.Connection, after: int, last: int) -> list[int]:
        rows = connection.execute(
            "SELECT id, reports, content_type, body FROM dispatch_body"
            " JOIN dispatch ON id = dispatch WHERE id > ? AND id <= ?",
            (after, last),
        )
        bare = connection.execute(
            "SELECT id, url FROM dispatch WHERE id > ? AND id <= ?"
            " AND state NOT IN ('waiting', 'leased')"
            " AND NOT EXISTS (SELECT 1 FROM dispatch_body WHERE dispatch = id)",
            (after, last),
        )
        return of_bodies(recipient, rows) + of_urls(recipient, bare)

    return search


def _attempts(recipient: Recipient) -> Search:
    def search(connection: sqlite3.Connection, after: int, last: int) -> list[int]:
        rows = connection.execute(
            "SELECT id, answer, error FROM attempt"
            " WHERE id > ? AND id <= ? AND (answer <> x'' OR error IS NOT NULL)",
            (after, last),
        )
        return of_answers(recipient, rows)

    return search


_OF_A_DISPATCH = """
    EXISTS (
        SELECT 1 FROM dispatch AS its CROSS JOIN dispatch_report AS member
            ON member.report BETWEEN its.first_report AND its.last_report
            AND member.dispatch = its.id
        CROSS JOIN report ON report.id = member.report
        WHERE its.id = {table}.dispatch AND report.source <> :source
    )
"""
OF_OTHER_SOURCES = {
    "search_key": "(SELECT source FROM report WHERE id = search_key.report) <> :source",
    "received_body": """
        (SELECT source FROM report WHERE id BETWEEN first_report AND last_report) <> :source
    """,
    "dispatch_body": _OF_A_DISPATCH.format(table="dispatch_body"),
    "attempt": _OF_A_DISPATCH.format(table="attempt"),
}
"""Which rows belong to other sources, for `rows_that_name`. All reports of a callback are of one
source. What became of a bucket in which another source has reports belongs to that one too."""


_OWN_ANSWERS = f"""
    SELECT id FROM attempt WHERE id IN (SELECT value FROM json_each(:attempts))
        AND NOT ({OF_OTHER_SOURCES["attempt"]})
"""
_ANOTHERS = "report.message_key = ? AND report.source <> ?"
"""What has the recipient's messageId and is another source's."""

_OF_OTHERS = f"SELECT id FROM report WHERE id IN {LISTED} AND {_ANOTHERS}"
_OF_OTHER_SOURCES = f"""
    SELECT DISTINCT dispatch.id FROM dispatch CROSS JOIN dispatch_report AS member
        ON member.report BETWEEN first_report AND last_report AND member.dispatch = dispatch.id
    CROSS JOIN report ON report.id = member.report
    WHERE dispatch.id IN {LISTED} AND {_ANOTHERS}
"""
_DISPATCH = """
    SELECT endpoint, url, content_type, authorization, generation, attempts, created_at, due_at,
        replay
    FROM dispatch WHERE id = ?
"""


def _form_anew(connection: sqlite3.Connection, rest: Rest, webhook_id_end: str) -> None:
    row = connection.execute(_DISPATCH, (rest.dispatch,)).fetchone()
    (fresh,) = insert_dispatches(connection, [formed_anew(rest, row, webhook_id_end)])
    # Their later reports go on waiting, for the new dispatch.
    connection.execute(
        "UPDATE message_under_way SET dispatch = ? WHERE dispatch = ?"
        " AND (source, message_key) IN"
        f" (SELECT source, message_key FROM report WHERE id IN {LISTED})",
        (fresh, rest.dispatch, listed(rest.reports)),
    )


def _count(connection: sqlite3.Connection, rest: str, *ids: str) -> int:
    count: int = connection.execute(f"SELECT count(*) FROM {rest}", ids).fetchone()[0]
    return count
