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

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from dispatcher.endpoints.endpoint import Target
from dispatcher.forming.carried import without
from dispatcher.forming.erasing import of_answers, of_bodies, of_replays, of_urls
from dispatcher.forming.new_dispatch import NewDispatch
from dispatcher.queue.postgres.insert_dispatch import insert_dispatches
from dispatcher.queue.postgres.members import members_of
from dispatcher.upkeep.base import Rows, StillLeased
from receiver.dlr.identity import key_of_message
from receiver.faults import without_credentials
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
from receiver.store.texts import unescaped

_THESE = "= ANY(%s::bigint[])"


class Found(Struct, frozen=True):
    """What is the recipient's: reports and quarantine, dispatches by their bodies, and attempts and
    replays that name it. Ids, ascending."""

    traces: Traces
    bodies: Sequence[int]
    attempts: Sequence[int]
    replays: Sequence[int]


class PostgresErasure:
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

    async def _find(self, recipient: Recipient) -> Found:
        database = self._database
        bodies = each_span(database, _bodies(recipient))
        attempts = each_span(database, _attempts(recipient))
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
        f" WHERE id {_THESE} AND state = 'waiting'",
        f"DELETE FROM dispatch_body WHERE dispatch {_THESE}",
        f"DELETE FROM event_message WHERE dispatch {_THESE}",
        f"UPDATE attempt SET answer = '' WHERE dispatch {_THESE} AND answer <> ''",
    ):
        connection.execute(statement, (chosen,))
    connection.execute(f"DELETE FROM dispatch_report WHERE report {_THESE}", (ids,))
    _cut_urls(connection, recipient, chosen)


def _cut_urls(connection: Connection, recipient: Recipient, chosen: Sequence[int]) -> None:
    """Nobody calls the URLs of these dispatches any more; one that names the recipient loses its
    query."""
    rows = connection.execute(f"SELECT id, url FROM dispatch WHERE id {_THESE}", (chosen,))
    for number, url in rows.fetchall():
        if recipient.is_named_in(unescaped(url)):
            shown = without_credentials(url)
            connection.execute("UPDATE dispatch SET url = %s WHERE id = %s", (shown, number))


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
    """The dispatches whose bytes name it. One that has ended and has no bytes is looked at for its
    URL, which may name it too."""

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


def _replays(connection: Connection, recipient: Recipient) -> list[int]:
    rows = connection.execute("SELECT id, key, selection FROM replay ORDER BY id")
    return of_replays(recipient, rows)


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


def _own_answers(
    connection: Connection, attempts: Sequence[int], recipient: Recipient
) -> list[int]:
    """Those whose dispatch carries no report of another source."""
    statement = "SELECT id FROM attempt WHERE id = ANY(%(attempts)s::bigint[])"
    own = f"{statement} AND NOT ({OF_OTHER_SOURCES['attempt']})"
    values = {"attempts": [*attempts], "source": recipient.source}
    return [number for (number,) in connection.execute(own, values)]


_OTHERS = "report.message_key = %s AND report.source <> %s"
"""What has the recipient's messageId and is another source's."""


def _others(recipient: Recipient) -> tuple[int, str | None]:
    return key_of_message(recipient.message_id or ""), recipient.source


def _spared(connection: Connection, members: Sequence[int], recipient: Recipient) -> set[int]:
    """The places in a body, of these reports, where other sources' messages lie."""
    statement = f"SELECT id FROM report WHERE id {_THESE} AND {_OTHERS}"
    spared = set(ids_of(connection, statement, ([*members], *_others(recipient))))
    return {place for place, report in enumerate(members) if report in spared}


def _of_other_sources(
    dispatches: Collection[int], recipient: Recipient
) -> Callable[[Connection], list[int]]:
    """Those that carry another source's message. (Where the reports are gone, nobody knows whose
    message it was: better one body too many.)"""
    statement = (
        "SELECT DISTINCT dispatch.id FROM dispatch JOIN dispatch_report AS member"
        " ON member.report BETWEEN first_report AND last_report AND member.dispatch = dispatch.id"
        f" JOIN report ON report.id = member.report WHERE dispatch.id {_THESE}"
        f" AND {_OTHERS}"
    )
    values = ([*dispatches], *_others(recipient))
    return lambda connection: ids_of(connection, statement, values)


_DISPATCH = """
    SELECT endpoint, url, content_type, authorization_header, generation, attempts, created_at,
        due_at, replay
    FROM dispatch WHERE id = %s
"""


def _form_anew(
    connection: Connection,
    dispatch: int,
    body: bytes | None,
    members: Sequence[int],
    webhook_id_end: str,
) -> None:
    endpoint, *to, generation, attempts, created_at, due_at, replay = row_of(
        connection.execute(_DISPATCH, (dispatch,))
    )
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
        "UPDATE message_under_way SET dispatch = %s WHERE dispatch = %s"
        " AND (source, message_key) IN"
        f" (SELECT source, message_key FROM report WHERE id {_THESE})",
        (fresh, dispatch, [*members]),
    )


def _count(connection: Connection, rest: str, *ids: Sequence[int]) -> int:
    return int(row_of(connection.execute(f"SELECT count(*) FROM {rest}", ids))[0])
