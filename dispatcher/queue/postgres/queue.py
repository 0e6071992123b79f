"""The queue of dispatches in the PostgreSQL database that also holds the reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Self

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.new_dispatch import dispatches_of, leased_of
from dispatcher.queue.base import (
    BytesGone,
    DispatchSearch,
    Forming,
    FoundDispatches,
    Lease,
    Leased,
    News,
    Pending,
    Readings,
    Record,
    ReportIds,
    StoredAttempt,
    StoredDispatch,
    StoredRequest,
)
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.ordering import BY_ITSELF, held_by, placed_by
from dispatcher.queue.postgres import dispatch_search, leaving, notices, ordering
from dispatcher.queue.postgres.arrays import columns_of
from dispatcher.queue.postgres.counts import COUNTS, Compaction
from dispatcher.queue.postgres.endpoints import make_known
from dispatcher.queue.postgres.insert_dispatch import insert_dispatches, repeat_event
from dispatcher.queue.postgres.placed import reports_in
from dispatcher.queue.postgres.readings import readings_of
from dispatcher.queue.postgres.states import page
from dispatcher.queue.postgres.stored import (
    LAST,
    attempts_of,
    of_reports,
    stored_dispatches,
)
from dispatcher.queue.rows import (
    attempt_of,
    change_of,
    check_cancelled,
    check_waits,
    counts_by_endpoint,
    leased,
    pending_of,
    state_of,
)
from dispatcher.queue.search import END
from dispatcher.retrying.dispatch import DispatchState
from receiver.store.base import Message, StoredReport
from receiver.store.instants import instant, micros
from receiver.store.postgres.database import Connection, Database, row_of

_NAME_QUEUE = """
    INSERT INTO queue_name (name) VALUES (%s) ON CONFLICT DO NOTHING
"""
_FOLLOW_URLS = """
    WITH mine AS MATERIALIZED (
        SELECT name, new.url FROM endpoint JOIN unnest(%s::text[], %s::text[]) AS new (name, url)
            USING (name)
        WHERE endpoint.url IS DISTINCT FROM new.url ORDER BY name FOR NO KEY UPDATE OF endpoint
    )
    UPDATE endpoint SET url = mine.url FROM mine WHERE endpoint.name = mine.name
"""
# The version: how many transactions of this cluster have ended, whatever they did and in whatever
# database, without those that have renewed a notice; and which ones are under way.
_NEWS = f"""
    SELECT concat(
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint - {notices.RENEWALS}, ':',
            split_part(pg_current_snapshot()::text, ':', 3)
        ),
        EXISTS (SELECT FROM dispatch WHERE state = 'leased' AND lease_until <= %s),
        (SELECT number FROM endpoint_version), EXISTS (SELECT FROM replay WHERE NOT tidy),
        {notices.NOTICES}
"""
_FIRST_DUE = """
    SELECT min(due_at) FROM dispatch WHERE state = 'waiting' AND endpoint = wanted.name
"""
_FIRST_EXPIRY = "SELECT min(lease_until) FROM dispatch WHERE state = 'leased'"
_READERS = f"""
    SELECT wanted.name, endpoint.read_to, ({_FIRST_DUE})
    FROM unnest(%s::text[]) AS wanted (name)
    LEFT JOIN endpoint ON endpoint.name = wanted.name AND NOT removed
"""
_PLACE = f"""
    SELECT (SELECT max(id) FROM report WHERE id <= %s), ({_FIRST_EXPIRY}),
        EXISTS (SELECT FROM held_report WHERE freed AND replay = 0)
"""
# Each endpoint's in the order of its index. What another one is just claiming is passed over.
_CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT mine.id, wanted.* FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::integer[])
            AS wanted (name, token, until, room)
        CROSS JOIN LATERAL (
            SELECT id FROM dispatch
            WHERE state = 'waiting' AND dispatch.endpoint = wanted.name AND due_at <= %s
            ORDER BY due_at, id LIMIT wanted.room FOR NO KEY UPDATE SKIP LOCKED
        ) AS mine
    )
    UPDATE dispatch SET state = 'leased', lease = due.token, lease_until = due.until,
        url = coalesce((SELECT url FROM endpoint WHERE name = due.name), dispatch.url)
    FROM due WHERE dispatch.id = due.id AND dispatch.state = 'waiting'
    RETURNING dispatch.endpoint, dispatch.id, dispatch.url, content_type, reports, attempts, due_at,
        (SELECT body FROM dispatch_body WHERE dispatch = dispatch.id), replay,
        authorization_header, generation, webhook_id_end
"""
_READ_ON = """
    UPDATE endpoint SET read_to = forming.read_to
    FROM unnest(%s::text[], %s::bigint[]) AS forming (name, read_to)
    WHERE endpoint.name = forming.name
"""
# The attempt, what it does to its dispatch, and the bytes of one that has failed first: one round
# trip. A lease that is another's by now holds nothing, even if it was this one's when the statement
# began: PostgreSQL looks again at a row that somebody else has changed.
_RECORD = """
    WITH recorded AS (
        SELECT * FROM unnest(
            %s::bigint[], %s::text[], %s::text[], %s::integer[], %s::bigint[], %s::bigint[],
            %s::double precision[], %s::integer[], %s::text[], %s::text[], %s::bytea[],
            %s::text[], %s::bytea[]
        ) WITH ORDINALITY AS record (dispatch, token, state, number, due_at, started_at,
            duration_ms, status, outcome, error, answer, note, body, nth)
    ),
    held AS (
        UPDATE dispatch SET state = recorded.state, attempts = recorded.number,
            due_at = recorded.due_at, lease = NULL, lease_until = NULL
        FROM recorded WHERE dispatch.id = recorded.dispatch AND dispatch.state = 'leased'
            AND dispatch.lease = recorded.token
        RETURNING dispatch.id, dispatch.state
    ),
    taken AS MATERIALIZED (
        SELECT dlr_take_ids('attempt_id', (SELECT count(*) FROM held)) AS ids
    ),
    made AS (
        INSERT INTO attempt (id, dispatch, number, started_at, duration_ms, status, outcome, error,
            answer, note)
        SELECT ids[(row_number() OVER (ORDER BY nth))::integer], dispatch, number, started_at,
            duration_ms, status, outcome, error, answer, note
        FROM recorded JOIN held ON id = dispatch CROSS JOIN taken
    ),
    kept AS (
        INSERT INTO dispatch_body (dispatch, body)
        SELECT id, body FROM recorded JOIN held ON id = dispatch
        WHERE held.state = 'waiting' AND body IS NOT NULL ON CONFLICT DO NOTHING
    )
    SELECT id FROM held
"""
_REQUEST = """
    SELECT content_type, generation, replay, authorization_header IS NOT NULL, body
    FROM dispatch LEFT JOIN dispatch_body ON dispatch_body.dispatch = id WHERE id = %s
"""
_KEEP_BODY = """
    INSERT INTO dispatch_body (dispatch, body) SELECT id, %s FROM dispatch
    WHERE id = %s AND state = 'leased' AND lease = %s FOR NO KEY UPDATE ON CONFLICT DO NOTHING
"""
_RELEASE = """
    WITH mine AS MATERIALIZED (
        SELECT dispatch.id, attempts, body
        FROM unnest(%(ids)s::bigint[], %(tokens)s::text[], %(bodies)s::bytea[])
            AS given (id, token, body)
        JOIN dispatch ON dispatch.id = given.id AND state = 'leased' AND lease = given.token
        ORDER BY dispatch.id FOR NO KEY UPDATE OF dispatch
    ),
    kept AS (
        INSERT INTO dispatch_body (dispatch, body) SELECT id, body FROM mine WHERE body IS NOT NULL
        ON CONFLICT DO NOTHING
    ),
    noted AS (
        INSERT INTO unrecorded_attempt (dispatch, number, until)
        SELECT id, attempts + 1, %(at)s::bigint FROM mine WHERE %(at)s::bigint IS NOT NULL
    )
    UPDATE dispatch SET state = 'waiting', lease = NULL, lease_until = NULL
    FROM mine WHERE dispatch.id = mine.id AND dispatch.state = 'leased'
"""
# What is just being recorded is passed over: it counts.
_RELEASE_EXPIRED = """
    WITH expired AS MATERIALIZED (
        SELECT id, attempts FROM dispatch WHERE state = 'leased' AND lease_until <= %(at)s
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    ),
    noted AS (
        INSERT INTO unrecorded_attempt (dispatch, number, until)
        SELECT id, attempts + 1, %(at)s FROM expired
    )
    UPDATE dispatch SET state = 'waiting', lease = NULL, lease_until = NULL
    FROM expired WHERE dispatch.id = expired.id AND dispatch.state = 'leased'
"""
_HAS_EXPIRED = "SELECT EXISTS (SELECT FROM dispatch WHERE state = 'leased' AND lease_until <= %s)"
_RETRY_PIECE = """
    WITH later AS MATERIALIZED (
        SELECT id FROM dispatch WHERE state = 'waiting' AND endpoint = %(endpoint)s
            AND due_at > %(at)s
        ORDER BY due_at, id LIMIT %(most)s FOR NO KEY UPDATE
    )
    UPDATE dispatch SET due_at = %(at)s FROM later
    WHERE dispatch.id = later.id AND dispatch.state = 'waiting'
"""


_TAKERS = """
    SELECT DISTINCT report, endpoint COLLATE "C" FROM dispatch_report
    JOIN dispatch ON dispatch.id = dispatch
    WHERE report = ANY(%s::bigint[]) AND replay IS NULL ORDER BY report, endpoint COLLATE "C"
"""


class PostgresQueue:
    """Implements DispatchQueue (base.py) on a Database. Make it with `open`."""

    takes_records_along = False
    """Two transactions run at once here. One would keep rows locked for as long as both."""

    def __init__(self, database: Database, name: str, new_id: Callable[[], str]) -> None:
        self._database = database
        self._names = DispatchNames(name)
        self._new_id = new_id
        self._endpoints: tuple[str, ...] = ()
        self._counts = Compaction(database)

    @classmethod
    async def open(
        cls, database: Database, new_name: Callable[[], str], new_id: Callable[[], str]
    ) -> Self:
        """Open the queue of a migrated database.

        `new_name` names a database that has none yet. The name is in front of each dispatch's id.
        `new_id` is random each time and what a webhook-id ends with: a customer who remembers them
        is never misled by another database: a new one, a copy, or this one after a restore.
        """
        name = await database.read(_queue_name)
        if name is None:
            fresh = new_name()
            await database.write(lambda c: c.execute(_NAME_QUEUE, (fresh,)).close())
            name = await database.read(_queue_name)
            assert name is not None
        return cls(database, name, new_id)

    async def adopt(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = tuple(endpoint.name for endpoint in endpoints)
        await self._database.write(lambda connection: _adopt(connection, endpoints))

    async def news(self, now: datetime) -> News:
        at = micros(now)
        version, expired, endpoints, replays, names, told = await self._database.read(
            lambda c: row_of(c.execute(_NEWS, (at,)))
        )
        return News(version, expired, endpoints, replays, dict(zip(names, told, strict=True)))

    async def put_up(self, notice: bytes) -> str:
        name = self._new_id()
        await self._database.write_unflushed(lambda c: notices.put_up(c, name, notice))
        return name

    async def renew(self, dispatcher: str, notice: bytes) -> bool:
        return await self._database.write_unflushed(lambda c: notices.renew(c, dispatcher, notice))

    async def take_down(self, dispatcher: str, notice: bytes | None = None) -> None:
        await self._database.write_unflushed(lambda c: notices.take_down(c, dispatcher, notice))

    async def pending(self, now: datetime) -> Pending:
        at, endpoints = micros(now), self._endpoints
        return await self._database.read_settled(
            "report_id", lambda c, settled: _pending(c, endpoints, at, settled)
        )

    async def claim_due(
        self, now: datetime, leases: Mapping[str, Lease], room: Mapping[str, int]
    ) -> list[Leased]:
        wanted = [(name, leases[name], places) for name, places in sorted(room.items())]
        values = (
            [name for name, _, _ in wanted],
            [lease.token for _, lease, _ in wanted],
            [micros(lease.until) for _, lease, _ in wanted],
            [places for _, _, places in wanted],
            micros(now),
        )

        def claim(connection: Connection) -> list[Leased]:
            rows = connection.execute(_CLAIM, values).fetchall()
            claimed = [leased(self._names, row, name, leases[name]) for name, *row in rows]
            return sorted(claimed, key=lambda dispatch: (dispatch.due_at, dispatch.id))

        # A claim that a power cut undoes is one that ran out: the dispatch is due as it was.
        return await self._database.write_unflushed(claim)

    async def form(
        self, now: datetime, leases: Mapping[str, Lease], formings: Sequence[Forming]
    ) -> list[Leased]:
        return await self._database.write(lambda c: self._form(c, now, leases, formings))

    async def form_and_record(
        self,
        now: datetime,
        leases: Mapping[str, Lease],
        formings: Sequence[Forming],
        records: Sequence[Record],
    ) -> tuple[list[Leased], list[bool]]:
        def work(connection: Connection) -> tuple[list[Leased], list[bool]]:
            # Rows are locked in the order in which a removed endpoint locks them: it goes first.
            leased = self._form(connection, now, leases, formings)
            return leased, _record(connection, records)

        done = await self._database.write(work)
        await self._counts.changed()
        return done

    def _form(
        self,
        connection: Connection,
        now: datetime,
        leases: Mapping[str, Lease],
        formings: Sequence[Forming],
    ) -> list[Leased]:
        new = [
            each
            for forming in _take_over(connection, formings)
            for each in dispatches_of(forming, leases, now, self._new_id)
        ]
        numbers = insert_dispatches(connection, [each for each, _ in new])
        return leased_of(self._names, numbers, new)

    async def keep_body(self, dispatch: Leased, body: bytes) -> bool:
        values = (body, dispatch.id, dispatch.lease.token)
        return await self._database.write(lambda c: c.execute(_KEEP_BODY, values).rowcount == 1)

    async def record(self, records: Sequence[Record]) -> list[bool]:
        held = await self._database.write(lambda connection: _record(connection, records))
        await self._counts.changed()
        return held

    async def release(
        self, dispatches: Sequence[Leased], *, broken_off: datetime | None = None
    ) -> None:
        values = {
            "ids": [each.id for each in dispatches],
            "tokens": [each.lease.token for each in dispatches],
            "bodies": [
                each.body if each.encoded and not each.attempts_made else None
                for each in dispatches
            ],
            "at": None if broken_off is None else micros(broken_off),
        }
        await self._database.write_unflushed(lambda c: c.execute(_RELEASE, values).close())

    async def release_expired(self, now: datetime) -> int:
        at = micros(now)
        if not await self._database.read(lambda c: row_of(c.execute(_HAS_EXPIRED, (at,)))[0]):
            return 0
        return await self._database.write(
            lambda c: c.execute(_RELEASE_EXPIRED, {"at": at}).rowcount
        )

    async def next_due(self, endpoints: Sequence[str] | None = None) -> datetime | None:
        names = self._endpoints if endpoints is None else endpoints
        return await self._database.read(lambda c: _next_due(c, names))

    async def first_due(self, endpoints: Sequence[str]) -> Mapping[str, datetime]:
        found = await self._database.read(lambda c: _first_due(c, endpoints))
        return {endpoint: instant(at) for endpoint, at in found.items()}

    async def freed(self, endpoint: str, limit: int) -> list[int]:
        return await self._database.read(lambda c: ordering.freed(c, endpoint, limit))

    async def blocked(
        self, endpoint: str, messages: Sequence[Message], besides: Sequence[int]
    ) -> frozenset[Message]:
        return await self._database.read(
            lambda c: ordering.blocked(c, BY_ITSELF, endpoint, messages, besides)
        )

    async def cancel(self, name: str) -> None:
        number = self._names.number(name)
        await self._database.write(lambda connection: _cancel(connection, name, number))

    async def retry(self, name: str, now: datetime) -> None:
        number = self._names.number(name)
        await self._database.write(lambda c: _retry(c, name, number, micros(now)))

    async def retry_all(self, endpoint: str, now: datetime) -> int:
        values = {"endpoint": endpoint, "at": micros(now), "most": leaving.PIECE}
        retried = 0
        while piece := await self._database.write(
            lambda c: c.execute(_RETRY_PIECE, values).rowcount
        ):
            retried += piece  # fewer than asked for: others may have claimed some of them
        return retried

    async def push_event_again(self, name: str, now: datetime) -> str:
        number = self._names.number(name)
        again = await self._database.write(
            lambda c: _repeat_event(c, name, number, self._new_id(), micros(now))
        )
        if again is None:
            raise BytesGone(name)
        return self._names.name(again)

    async def dispatches(
        self,
        *,
        before: str | None = None,
        limit: int = 100,
        endpoint: str | None = None,
        state: DispatchState | None = None,
        report_ids: Sequence[int] | None = None,
    ) -> list[StoredDispatch]:
        cursor = END if before is None else self._names.number(before)
        if report_ids is not None:
            where, values = of_reports(report_ids, cursor, endpoint, state)
            rest, values = f"WHERE {where} ORDER BY id DESC LIMIT %s", [*values, limit]
        else:
            rest, values = page(
                endpoint, state, place="id < %s", at=cursor, order="id DESC", limit=limit
            )
        return await self._database.question(
            lambda c: stored_dispatches(c, self._names, rest, values)
        )

    async def find(self, query: DispatchSearch) -> FoundDispatches:
        return await self._database.question(lambda c: dispatch_search.find(c, self._names, query))

    async def dispatch(self, name: str) -> tuple[StoredDispatch, list[StoredAttempt]] | None:
        found = self._names.read(name)
        if found is None:
            return None
        number, end = found

        def read(connection: Connection) -> tuple[StoredDispatch, list[StoredAttempt]] | None:
            this = "WHERE id = %s AND (%s::text IS NULL OR webhook_id_end = %s)"
            stored = stored_dispatches(connection, self._names, this, (number, end, end))
            attempts = attempts_of(connection, [number])
            return (stored[0], attempts.get(number, [])) if stored else None

        return await self._database.question(read)

    async def attempts(self, names: Sequence[str]) -> Mapping[str, Sequence[StoredAttempt]]:
        numbers = {self._names.number(name): name for name in names}
        found = await self._database.question(lambda c: attempts_of(c, numbers))
        return {name: found.get(number, []) for number, name in numbers.items()}

    async def reports_in(
        self, endpoint: str | None, state: DispatchState | None, before: int | None, limit: int
    ) -> ReportIds:
        return await self._database.question(
            lambda c: reports_in(c, endpoint, state, before, limit)
        )

    async def takers(self, report_ids: Sequence[int]) -> Sequence[tuple[int, str]]:
        ids = [*report_ids]
        return await self._database.question(
            lambda c: [(report, endpoint) for report, endpoint in c.execute(_TAKERS, (ids,))]
        )

    async def readings(self, report: StoredReport) -> Readings:
        return await self._database.question(lambda c: readings_of(c, self._names, report))

    async def last_attempts(self, names: Sequence[str]) -> Mapping[str, StoredAttempt]:
        numbers = {self._names.number(name): name for name in names}
        found = await self._database.question(lambda c: attempts_of(c, numbers, LAST))
        return {numbers[number]: attempts[-1] for number, attempts in found.items()}

    async def request(self, name: str) -> StoredRequest | None:
        number = self._names.number(name)
        row = await self._database.question(lambda c: c.execute(_REQUEST, (number,)).fetchone())
        return None if row is None else StoredRequest(*row)

    async def counts(self) -> Mapping[str, Mapping[DispatchState, int]]:
        return counts_by_endpoint(
            await self._database.question(lambda c: c.execute(COUNTS).fetchall())
        )


def _queue_name(connection: Connection) -> str | None:
    row = connection.execute("SELECT name FROM queue_name").fetchone()
    return row[0] if row else None


def _adopt(connection: Connection, endpoints: Sequence[Endpoint]) -> None:
    names = [endpoint.name for endpoint in endpoints]
    urls = [None if each.own_urls else each.url for each in endpoints]
    make_known(connection, names)
    connection.execute(_FOLLOW_URLS, (names, urls))


def _pending(connection: Connection, endpoints: Sequence[str], at: int, settled: int) -> Pending:
    highest, expiry, any_freed = row_of(connection.execute(_PLACE, (settled,)))
    freed = [e for e in endpoints if ordering.freed(connection, e, 1)] if any_freed else ()
    readers = connection.execute(_READERS, ([*endpoints],)).fetchall()
    return pending_of(
        at,
        first_due={name: due for name, _, due in readers if due is not None},
        read_to={name: read_to for name, read_to, _ in readers if read_to is not None},
        highest=highest or 0,
        freed=freed,
        expiry=expiry,
    )


def _take_over(connection: Connection, formings: Sequence[Forming]) -> list[Forming]:
    """Take the formings whose endpoint no other dispatcher has read on or is reading on now, and
    return them."""
    read_to = ordering.lock_free_endpoints(connection, (each.endpoint.name for each in formings))
    taken = []
    for forming in formings:
        name = forming.endpoint.name
        freed = [(name, report) for report in forming.freed]
        if read_to.get(name) == forming.read_from and ordering.may_form(
            connection, BY_ITSELF, placed_by(forming), freed
        ):
            ordering.write(connection, BY_ITSELF, held_by(forming), freed)
            read_to[name] = forming.read_to
            taken.append(forming)
    if taken:
        names = list(dict.fromkeys(each.endpoint.name for each in taken))
        connection.execute(_READ_ON, (names, [read_to[name] for name in names]))
    return taken


def _record(connection: Connection, records: Sequence[Record]) -> list[bool]:
    if not records:
        return []
    if len({record.dispatch for record in records}) < len(records):  # only one of them can hold
        return [held for record in records for held in _record(connection, [record])]
    rows = [(*change_of(record), *attempt_of(record)[2:], record.body) for record in records]
    found = {number for (number,) in connection.execute(_RECORD, columns_of(rows, 13))}
    return [record.dispatch in found for record in records]


def _next_due(connection: Connection, endpoints: Iterable[str]) -> datetime | None:
    found = list(_first_due(connection, endpoints).values())
    (until,) = row_of(connection.execute(_FIRST_EXPIRY))
    if until is not None:
        found.append(until)
    return instant(min(found)) if found else None


def _first_due(connection: Connection, endpoints: Iterable[str]) -> dict[str, int]:
    statement = f"SELECT name, ({_FIRST_DUE}) FROM unnest(%s::text[]) AS wanted (name)"
    found = connection.execute(statement, ([*endpoints],))
    return {name: at for name, at in found if at is not None}


def _cancel(connection: Connection, name: str, number: int) -> None:
    check_cancelled(name, _state(connection, name, number))
    connection.execute(
        "UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE id = %s", (number,)
    )


def _retry(connection: Connection, name: str, number: int, at: int) -> None:
    check_waits(name, _state(connection, name, number))
    connection.execute("UPDATE dispatch SET due_at = least(due_at, %s) WHERE id = %s", (at, number))


def _repeat_event(
    connection: Connection, name: str, number: int, webhook_id_end: str, at: int
) -> int | None:
    _state(connection, name, number)
    return repeat_event(connection, number, webhook_id_end, at)


def _state(connection: Connection, name: str, number: int) -> DispatchState:
    """The state that it keeps until this transaction ends."""
    row = connection.execute(
        "SELECT state FROM dispatch WHERE id = %s FOR NO KEY UPDATE", (number,)
    ).fetchone()
    return state_of(name, row)
