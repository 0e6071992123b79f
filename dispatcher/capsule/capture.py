"""Out of a database into a capsule, in pieces: the memory is flat for any number of reports."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from dispatcher.capsule.capsule import SharedAttempt, SharedDispatch, SharedReport, Writer
from dispatcher.capsule.pseudonyms import Pseudonyms
from dispatcher.capsule.shared_item import shared
from dispatcher.settings.settings import DispatchSettings, EndpointSettings
from receiver.settings.writing import as_table
from receiver.store.sqlite.database import Database, instant, micros

PIECE = 5_000
"""Ids that one reading goes through: some 20 ms."""

_SHARED_SETTINGS = (
    *("content_type", "generation", "bucket_size", "window", "connect_timeout", "read_timeout"),
    *("rate_limit", "ordered", "breaker_failures", "breaker_probe", "schedule", "outcome"),
)
"""No name, no URL, no header, no security, and no rule: rules name senders, numbers and ids. Which
reports went to the endpoint is decided already."""

_REPORTS = """
    SELECT received_at, format, item FROM report r
    WHERE id BETWEEN :first AND :last AND received_at >= :since AND received_at < :until
    AND (:endpoint IS NULL OR EXISTS (
        SELECT 1 FROM dispatch_report m JOIN dispatch d ON d.id = m.dispatch
        WHERE m.report = r.id AND d.endpoint = :endpoint
    )) ORDER BY id
"""
_DISPATCHES = """
    SELECT d.id, d.created_at, d.reports, d.state, a.started_at, a.duration_ms, a.outcome, a.status
    FROM dispatch d LEFT JOIN attempt a ON a.dispatch = d.id
    WHERE d.id BETWEEN :first AND :last AND d.endpoint = :endpoint AND d.replay IS NULL
    AND EXISTS (
        SELECT 1 FROM dispatch_report m JOIN report r ON r.id = m.report
        WHERE m.report BETWEEN d.first_report AND d.last_report AND m.dispatch = d.id
        AND r.received_at >= :since AND r.received_at < :until
    ) ORDER BY d.id, a.number
"""

Watch = Callable[[float], bool]
"""Told after each piece how much is done, 0 to 1. False breaks it off."""


class BrokenOff(Exception):
    """The watch wanted no more."""


def shared_settings(settings: EndpointSettings) -> dict[str, Any]:
    """What of an endpoint's settings goes into a capsule."""
    if settings.outcome is not None:  # the expression could be a text of anybody's
        settings = replace(settings, outcome=replace(settings.outcome, body_matches=""))
    table = as_table(settings)
    return {name: table[name] for name in _SHARED_SETTINGS if name in table}


def shared_schedule(settings: DispatchSettings) -> dict[str, Any]:
    return as_table(settings)


async def capture(
    database: Database,
    writer: Writer,
    *,
    since: datetime,
    until: datetime,
    endpoint: str | None,
    pseudonyms: Pseudonyms,
    watch: Watch = lambda _: True,
) -> None:
    """Write what was received from `since` on and before `until`, and what became of it.

    With an endpoint it is what went there; dispatches of replays are left out, for they are no
    part of what happened. Raises BrokenOff.
    """
    asked = {"since": micros(since), "until": micros(until), "endpoint": endpoint}
    reports = await _last_id(database, "report")
    dispatches = await _last_id(database, "dispatch") if endpoint is not None else 0
    done, whole = 0, max(1, reports + dispatches)

    def piece_done() -> None:
        nonlocal done
        done += PIECE
        if not watch(min(1.0, done / whole)):
            raise BrokenOff

    async for rows in _pieces(database, _REPORTS, reports, asked):
        for received_at, form, item in rows:
            writer.report(SharedReport(instant(received_at), form, shared(item, pseudonyms)))
        piece_done()
    async for rows in _pieces(database, _DISPATCHES, dispatches, asked):
        for dispatch in _dispatches(rows):
            writer.dispatch(dispatch)
        piece_done()


async def _last_id(database: Database, table: str) -> int:
    def last(connection: sqlite3.Connection) -> int:
        return int(connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])

    return await database.read(last)


async def _pieces(
    database: Database, query: str, last: int, asked: Mapping[str, object]
) -> AsyncIterator[list[tuple[Any, ...]]]:
    for first in range(1, last + 1, PIECE):
        piece = {**asked, "first": first, "last": first + PIECE - 1}
        yield await database.read(partial(_rows, query, piece))


def _rows(
    query: str, piece: Mapping[str, object], connection: sqlite3.Connection
) -> list[tuple[Any, ...]]:
    return connection.execute(query, piece).fetchall()


def _dispatches(rows: list[tuple[Any, ...]]) -> Iterator[SharedDispatch]:
    for _, found in groupby(rows, key=itemgetter(0)):
        lines = list(found)
        _, created_at, reports, state, *_ = lines[0]
        attempts = [
            SharedAttempt(instant(started_at), duration_ms, outcome, status)
            for *_, started_at, duration_ms, outcome, status in lines
            if started_at is not None
        ]
        yield SharedDispatch(instant(created_at), reports, state, attempts)
