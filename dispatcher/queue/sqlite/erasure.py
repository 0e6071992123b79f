"""One recipient's data, in the store and in the queue: it goes in one transaction.

In the queue those are bodies, members and answers of the dispatches that carry it.

A retried push is the same bytes, so a body is never rewritten. An ended dispatch loses its body,
which nobody will send again. A waiting one is cancelled, and what it carried of others becomes a
new dispatch: with a new id, because its bytes are new; due at the same time and with as many
attempts made, because the duty is the old one. A leased one is being sent just now: nothing is
touched at all, and the erasure is to be asked for again.

Answers of customers to these dispatches go as well: they may repeat what was pushed. So does any
other answer that names the recipient, and the key and the selection of a replay that do.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from msgspec import Struct

from dispatcher.endpoints.endpoint import Target
from dispatcher.forming.carried import without
from dispatcher.forming.erasing import of_answers, of_bodies, of_replays, of_urls
from dispatcher.forming.new_dispatch import NewDispatch
from dispatcher.queue.sqlite.insert_dispatch import insert_dispatches
from dispatcher.queue.sqlite.members import members_of
from dispatcher.sandbox.store.sqlite.removal import count_messages, erase_messages
from dispatcher.upkeep.base import Rows, StillLeased
from receiver.dlr.identity import key_of_message
from receiver.faults import without_credentials
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
from receiver.store.texts import unescaped


class Found(Struct, frozen=True):
    """What is the recipient's: reports and quarantine, dispatches by their bodies, and attempts and
    replays that name it. Ids, ascending."""

    traces: Traces
    bodies: Sequence[int]
    attempts: Sequence[int]
    replays: Sequence[int]


class SqliteErasure:
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

    async def _find(self, recipient: Recipient) -> Found:
        database = self._database
        bodies = each_span(database, "dispatch", _bodies(recipient))
        attempts = each_span(database, "attempt", _attempts(recipient))
        traces = await find_traces(database, recipient)
        carrying = [number async for number in bodies]
        answers = [number async for number in attempts]
        if recipient.source is not None:
            answers = await database.question(lambda c: _own_answers(c, answers, recipient))
            own = set(await database.question(lambda c: _members(c, traces.reports)))
            others = _of_other_sources(set(carrying) - own, recipient)
            spared = set(await database.question(others))
            carrying = [number for number in carrying if number not in spared]
        return Found(
            traces=traces,
            bodies=carrying,
            attempts=answers,
            replays=await database.question(lambda c: _replays(c, recipient)),
        )


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
    member_lists = members_of(connection, [number for number, *_ in rows])
    for number, content_type, body in rows:
        members = member_lists.get(number, [])
        left = [report for report in members if report not in gone]
        spared = _spared(connection, members, recipient)
        rest = None if body is None else without(body, content_type, recipient, spared)
        if left and (body is None or rest is not None):
            _form_anew(connection, number, rest, left, new_id())
    for statement in (
        "UPDATE dispatch SET state = 'cancelled', due_at = NULL"
        f" WHERE id IN {LISTED} AND state = 'waiting'",
        f"DELETE FROM dispatch_body WHERE dispatch IN {LISTED}",
        f"DELETE FROM event_message WHERE dispatch IN {LISTED}",
        f"UPDATE attempt SET answer = x'' WHERE dispatch IN {LISTED} AND answer <> x''",
    ):
        connection.execute(statement, (chosen,))
    connection.execute(f"DELETE FROM dispatch_report WHERE report IN {LISTED}", (ids,))
    _cut_urls(connection, recipient, chosen)


def _cut_urls(connection: sqlite3.Connection, recipient: Recipient, chosen: str) -> None:
    """Nobody calls the URLs of these dispatches any more; one that names the recipient loses its
    query."""
    rows = connection.execute(f"SELECT id, url FROM dispatch WHERE id IN {LISTED}", (chosen,))
    for number, url in rows.fetchall():
        if recipient.is_named_in(unescaped(url)):
            shown = without_credentials(url)
            connection.execute("UPDATE dispatch SET url = ? WHERE id = ?", (shown, number))


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
    """The dispatches whose bytes name it. One that has ended and has no bytes is looked at for its
    URL, which may name it too."""

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


def _replays(connection: sqlite3.Connection, recipient: Recipient) -> list[int]:
    rows = connection.execute("SELECT id, key, selection FROM replay ORDER BY id")
    return of_replays(recipient, rows)


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


def _own_answers(
    connection: sqlite3.Connection, attempts: Sequence[int], recipient: Recipient
) -> list[int]:
    """Those whose dispatch carries no report of another source."""
    statement = "SELECT id FROM attempt WHERE id IN (SELECT value FROM json_each(:attempts))"
    own = f"{statement} AND NOT ({OF_OTHER_SOURCES['attempt']})"
    values = {"attempts": listed(attempts), "source": recipient.source}
    return [number for (number,) in connection.execute(own, values)]


_OTHERS = "report.message_key = ? AND report.source <> ?"
"""What has the recipient's messageId and is another source's."""


def _others(recipient: Recipient) -> tuple[int, str | None]:
    return key_of_message(recipient.message_id or ""), recipient.source


def _spared(
    connection: sqlite3.Connection, members: Sequence[int], recipient: Recipient
) -> set[int]:
    """The places in a body, of these reports, where other sources' messages lie."""
    statement = f"SELECT id FROM report WHERE id IN {LISTED} AND {_OTHERS}"
    spared = set(ids_of(connection, statement, (listed(members), *_others(recipient))))
    return {place for place, report in enumerate(members) if report in spared}


def _of_other_sources(
    dispatches: Collection[int], recipient: Recipient
) -> Callable[[sqlite3.Connection], list[int]]:
    """Those that carry another source's message. (Where the reports are gone, nobody knows whose
    message it was: better one body too many.)"""
    statement = (
        "SELECT DISTINCT dispatch.id FROM dispatch CROSS JOIN dispatch_report AS member"
        " ON member.report BETWEEN first_report AND last_report AND member.dispatch = dispatch.id"
        f" CROSS JOIN report ON report.id = member.report WHERE dispatch.id IN {LISTED}"
        f" AND {_OTHERS}"
    )
    values = (listed(dispatches), *_others(recipient))
    return lambda connection: ids_of(connection, statement, values)


def _form_anew(
    connection: sqlite3.Connection,
    dispatch: int,
    body: bytes | None,
    members: Sequence[int],
    webhook_id_end: str,
) -> None:
    endpoint, *to, generation, attempts, created_at, due_at, replay = connection.execute(
        "SELECT endpoint, url, content_type, authorization, generation, attempts, created_at,"
        " due_at, replay FROM dispatch WHERE id = ?",
        (dispatch,),
    ).fetchone()
    new = NewDispatch(
        endpoint=endpoint,
        to=Target(*to),
        generation=generation,
        body=body,
        report_ids=members,
        webhook_id_end=webhook_id_end,
        created_at=created_at,
        due_at=due_at,
        attempts=attempts,
        replay=replay,
    )
    (fresh,) = insert_dispatches(connection, [new])
    # Their later reports go on waiting, for the new dispatch.
    connection.execute(
        "UPDATE message_under_way SET dispatch = ? WHERE dispatch = ?"
        " AND (source, message_key) IN"
        f" (SELECT source, message_key FROM report WHERE id IN {LISTED})",
        (fresh, dispatch, listed(members)),
    )


def _count(connection: sqlite3.Connection, rest: str, *ids: str) -> int:
    count: int = connection.execute(f"SELECT count(*) FROM {rest}", ids).fetchone()[0]
    return count
