"""How reports are added: one transaction for a group of callbacks, beside those of other receivers.

    look up       which reports of the group are stored already
    take ids      for the others
    write keys    of them. The unique key decides between two receivers that have the same report at
                  once: the second waits for the first, and has a repeat
    write reports whose keys are ours

A key lies under its day, and is looked for in the last days. Around midnight two receivers may put
one report under two days, so that no key is there twice. Therefore a report that came within five
minutes of midnight has a key on each of the two days.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from receiver.store.base import DUPLICATE_DAYS, Counts
from receiver.store.callback import Callback, Entry, quarantine_digest
from receiver.store.fresh import Stored
from receiver.store.instants import MICROS_PER_DAY, micros
from receiver.store.postgres.database import Connection, row_of
from receiver.store.postgres.rows import numbers
from receiver.store.tally import CountedReport

CLOCKS_DIFFER_MICROS = 300_000_000
"""How far the clocks of two receivers may be apart."""

BEFORE_ALL = -(2**31)
"""A day before any."""

ANY_SOURCE = ""
"""The source in a key of SQLite's whose report had gone before keys had a source."""

Key = tuple[str, int, int]
"""Which report: its source, its message's key, its identity."""

_FIND = """
    SELECT source, message_key, identity, report FROM report_key
    WHERE day > %s AND message_key = ANY(%s::bigint[]) AND identity = ANY(%s::bigint[])
"""
_TAKE_IDS = "SELECT dlr_take_ids(%s::regclass, %s)"
_ADD_KEYS = """
    INSERT INTO report_key (day, message_key, source, identity, report)
    SELECT day, message_key, (%s::text[])[source], identity, report
    FROM unnest(%s::integer[], %s::bigint[], %s::integer[], %s::bigint[], %s::bigint[])
        AS key (day, message_key, source, identity, report)
    ON CONFLICT DO NOTHING
"""
_REMOVE_KEYS = """
    DELETE FROM report_key WHERE day > %s AND message_key = ANY(%s::bigint[])
        AND report = ANY(%s::bigint[])
"""
_ADD_REPORTS = """
    INSERT INTO report (id, received_at, source, format, generation, final, status_group,
        message_key, identity, item, notify_url, notify_format, body)
    SELECT id, received_at, (%s::text[])[kind], (%s::text[])[kind], (%s::text[])[kind],
        final = 1, status_group, message_key, identity, item,
        (%s::text[])[kind], (%s::text[])[kind], body
    FROM unnest(%s::bigint[], %s::bigint[], %s::integer[], %s::integer[], %s::bigint[],
        %s::bigint[], %s::bigint[], %b::bytea[], %s::bigint[])
        AS told (id, received_at, kind, final, status_group, message_key, identity, item, body)
"""
_ADD_BODIES = "INSERT INTO received_body (id, body) SELECT * FROM unnest(%s::bigint[], %b::bytea[])"
# Locked in one order, so that two receivers do not wait for each other.
_COUNT_REPEATS = """
    WITH repeat AS (
        SELECT report.id, times FROM report
        JOIN unnest(%s::bigint[], %s::bigint[]) AS repeat (id, times) USING (id)
        ORDER BY report.id FOR UPDATE OF report
    )
    UPDATE report SET duplicates = duplicates + times FROM repeat WHERE report.id = repeat.id
"""


class _Report:
    """A report of a group: where it came first, and how often again."""

    __slots__ = ("again", "callback", "entry", "id", "key")

    def __init__(self, key: Key, callback: int, entry: Entry) -> None:
        self.key = key
        self.callback = callback
        self.entry = entry
        self.again = 0
        self.id = 0


def add(
    connection: Connection, callbacks: Sequence[Callback], *, after_day: int | None = None
) -> tuple[list[Counts], Sequence[Stored]]:
    """As `PostgresStore.add`, as a part of a transaction. Returns what was stored, too. Repeats are
    looked for in the days after `after_day`."""
    reports = _reports_of(callbacks)
    if after_day is None and callbacks:
        after_day = min(_day(micros(each.received_at)) for each in callbacks) - DUPLICATE_DAYS
    new, earlier = _add_reports(connection, callbacks, reports, after_day or 0)
    _count_repeats(connection, reports, earlier)
    _add_quarantined(connection, callbacks)
    stored = [0] * len(callbacks)
    for report in new:
        stored[report.callback] += 1
    counts = [
        Counts(number, len(each.verdict.entries) - number, len(each.verdict.quarantined))
        for number, each in zip(stored, callbacks, strict=True)
    ]
    return counts, [_told(report, callbacks[report.callback]) for report in new]


def resolve(connection: Connection, entry_id: int, callback: Callback) -> Counts | None:
    """As `PostgresStore.resolve`, as a part of a transaction."""
    if connection.execute("DELETE FROM quarantine WHERE id = %s", (entry_id,)).rowcount != 1:
        return None
    (counts,), _ = add(connection, [callback], after_day=BEFORE_ALL)
    return counts


def _day(at: int) -> int:
    return at // MICROS_PER_DAY


def _days(at: int) -> range:
    """The days that have the key of a report, by its instant."""
    return range(_day(at - CLOCKS_DIFFER_MICROS), _day(at + CLOCKS_DIFFER_MICROS) + 1)


def _reports_of(callbacks: Sequence[Callback]) -> dict[Key, _Report]:
    """Each report of a group once, in the order in which they came."""
    reports: dict[Key, _Report] = {}
    for number, callback in enumerate(callbacks):
        for entry in callback.verdict.entries:
            key = (callback.source, entry.message_key, entry.identity)
            report = reports.get(key)
            if report is None:
                reports[key] = _Report(key, number, entry)
            else:
                report.again += 1
    return reports


def _add_reports(
    connection: Connection,
    callbacks: Sequence[Callback],
    reports: Mapping[Key, _Report],
    after_day: int,
) -> tuple[list[_Report], dict[Key, int]]:
    """Store those that are not. Returns them, and the others' ids."""
    if not reports:
        return [], {}
    earlier = _stored(connection, reports, after_day)
    new = [report for key, report in reports.items() if key not in earlier]
    if new:
        (ids,) = row_of(connection.execute(_TAKE_IDS, ("report_id", len(new))))
        for report, id in zip(new, ids, strict=True):
            report.id = id
        if not _add_keys(connection, callbacks, new):
            earlier |= _stored(connection, reports, after_day, besides=set(ids))
            lost = [report for report in new if report.key in earlier]
            _remove_keys(connection, lost, after_day)
            new = [report for report in new if report.key not in earlier]
        _write(connection, callbacks, new)
    return new, earlier


def _stored(
    connection: Connection,
    reports: Iterable[Key],
    after_day: int,
    besides: Container[int] = (),
) -> dict[Key, int]:
    """The ids of those reports that are stored already."""
    keys = list(reports)
    messages, identities = numbers(key[1] for key in keys), numbers(key[2] for key in keys)
    found = {
        (source, message, identity): report
        for source, message, identity, report in connection.execute(
            _FIND, (after_day, messages, identities)
        )
        if report not in besides
    }
    if not found:
        return {}
    of_any = {key: found.get((ANY_SOURCE, *key[1:])) for key in keys}
    ids = {key: found.get(key, of_any[key]) for key in keys}
    return {key: id for key, id in ids.items() if id is not None}


def _add_keys(
    connection: Connection, callbacks: Sequence[Callback], reports: Sequence[_Report]
) -> bool:
    """Whether all were free. In one order, so that two receivers do not wait for each other."""
    at = [micros(callback.received_at) for callback in callbacks]
    rows = sorted(
        (message, source, identity, day, report.id)
        for report in reports
        for source, message, identity in [report.key]
        for day in _days(at[report.callback])
    )
    messages, names, identities, days, ids = zip(*rows, strict=True)
    sources = list(dict.fromkeys(names))
    places = {source: place for place, source in enumerate(sources, 1)}
    lists = (days, messages, [places[name] for name in names], identities, ids)
    added = connection.execute(_ADD_KEYS, (sources, *map(numbers, lists)))
    return added.rowcount == len(rows)


def _remove_keys(connection: Connection, reports: Sequence[_Report], after_day: int) -> None:
    """Of reports that another receiver has stored: one of their two days may have been free."""
    messages = numbers(report.key[1] for report in reports)
    connection.execute(_REMOVE_KEYS, (after_day, messages, numbers(r.id for r in reports)))


def _write(
    connection: Connection, callbacks: Sequence[Callback], reports: Sequence[_Report]
) -> None:
    if not reports:
        return
    at = [micros(callback.received_at) for callback in callbacks]
    kinds: dict[tuple[str | None, ...], int] = {}
    bodies: dict[int, int] = {}  # of a callback, by the first report that came in it
    rows = []
    for report in reports:
        callback, entry = callbacks[report.callback], report.entry
        to = entry.notify_to
        where = (None, None) if to is None else (to.url, to.format)
        kind = kinds.setdefault(
            (callback.source, callback.format, entry.generation, *where), len(kinds) + 1
        )
        if callback.verdict.received is not None:
            bodies.setdefault(report.callback, report.id)
        rows.append(
            (
                report.id,
                at[report.callback],
                kind,
                int(entry.final),
                entry.status_group,
                entry.message_key,
                entry.identity,
                entry.item,
                bodies.get(report.callback),
            )
        )
    *whole, items, body = zip(*rows, strict=True)
    told = [list(each) for each in zip(*kinds, strict=True)]
    lists = (*map(numbers, whole), list(items), numbers(body))
    connection.execute(_ADD_REPORTS, (*told, *lists))
    if bodies:
        raw = [callbacks[number].verdict.received for number in bodies]
        connection.execute(_ADD_BODIES, (numbers(bodies.values()), raw))


def _count_repeats(
    connection: Connection, reports: Mapping[Key, _Report], earlier: Mapping[Key, int]
) -> None:
    """What came again in this group, too."""
    times: dict[int, int] = {}
    for key, report in reports.items():
        before = earlier.get(key)
        if before is not None or report.again:
            id = report.id if before is None else before
            times[id] = times.get(id, 0) + report.again + (before is not None)
    if times:
        connection.execute(_COUNT_REPEATS, (numbers(times), numbers(times.values())))


def _told(report: _Report, callback: Callback) -> Stored:
    entry = report.entry
    at = micros(callback.received_at)
    counted = CountedReport(report.id, at, callback.source, entry.final, entry.status_group)
    return counted, entry.summary


# --- quarantine --------------------------------------------------------------------------------

_KEEP = """
    INSERT INTO quarantine
        (id, received_at, source, content_type, reason, place, body, digest, repeats)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (digest) DO UPDATE SET repeats = quarantine.repeats + excluded.repeats + 1
"""


def _add_quarantined(connection: Connection, callbacks: Sequence[Callback]) -> None:
    """The same bytes from the same sender are kept once, and counted after that."""
    rows: dict[bytes, list[Any]] = {}
    for callback in callbacks:
        of = (callback.source, callback.content_type)
        for bad in callback.verdict.quarantined:
            digest = quarantine_digest(*of, bad.raw)
            if digest in rows:
                rows[digest][-1] += 1
            else:
                at = micros(callback.received_at)
                rows[digest] = [at, *of, bad.reason, bad.place, bad.raw, digest, 0]
    if not rows:
        return
    (ids,) = row_of(connection.execute(_TAKE_IDS, ("quarantine_id_seq", len(rows))))
    numbered = [(id, *row) for id, row in zip(ids, rows.values(), strict=True)]
    for row in sorted(numbered, key=lambda row: row[-2]):  # in one order, as the keys
        connection.execute(_KEEP, row)
