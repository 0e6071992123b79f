"""One recipient's data: where it lies, and how it goes.

It is searched as a text through the whole table, because search keys follow later and may be cut
off, and what lies in quarantine has none: seconds for each million reports. What is found is then
compared exactly: a report's `to` with the number (a leading + does not count), its messageId with
the id. A quarantined body is found by the bytes of the number or id, in UTF-8 and in UTF-16, where
no digit or letter stands before or after it. Bytes that hold it otherwise (escaped, in another
charset) are not found.

The text is overwritten, not only unlinked (`secure_delete`), and the write-ahead log that may still
have it is emptied. Backups and logs are the operator's.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Callable

from receiver.dlr.json_format import decode_item
from receiver.store.base import Traces
from receiver.store.recipient import Recipient
from receiver.store.sqlite.database import MICROS_PER_DAY, Database
from receiver.store.sqlite.retention import remove_reports
from receiver.store.sqlite.rows import LISTED, ends_of, listed

SPAN = 20_000
"""Ids that are searched in one go: 20 ms."""


async def find_traces(database: Database, recipient: Recipient) -> Traces:
    """All reports and quarantine entries of the recipient."""
    return Traces(
        [number async for number in each_span(database, "report", _reports(recipient))],
        [number async for number in each_span(database, "quarantine", _bodies(recipient))],
    )


def count_traces(connection: sqlite3.Connection, traces: Traces) -> dict[str, int]:
    """The rows that `erase_traces` would touch."""
    ids = listed(traces.reports)
    keys = connection.execute(f"SELECT count(*) {_KEYS}", (ids,)).fetchone()[0]
    bodies = connection.execute(f"SELECT count(*) {_BODIES}", (ids,)).fetchone()[0]
    return {
        "report": len(traces.reports),
        "report_key": keys,
        "received_body": bodies,
        "quarantine": len(traces.quarantine),
    }


def erase_traces(connection: sqlite3.Connection, traces: Traces) -> dict[str, int]:
    """Remove them, within a transaction. Returns the rows of each table.

    A body as received that others' reports came in goes too: those reports stay, normalised. What
    was added up stays: it names nobody.
    """
    touched = count_traces(connection, traces)
    ids = listed(traces.reports)
    connection.execute(f"DELETE {_KEYS}", (ids,))
    connection.execute(f"DELETE {_BODIES}", (ids,))
    remove_reports(connection, traces.reports)
    connection.execute(f"DELETE FROM quarantine WHERE id IN {LISTED}", (listed(traces.quarantine),))
    return touched


_KEYS = f"""
    FROM report_key WHERE (day, message_key, source, identity) IN
        (SELECT received_at / {MICROS_PER_DAY}, message_key, source, identity FROM report
        WHERE id IN {LISTED})
"""
_BODIES = """
    FROM received_body WHERE EXISTS
        (SELECT 1 FROM json_each(?) WHERE value BETWEEN first_report AND last_report)
"""

_OF_SOURCE = "source = coalesce(?, source)"

Search = Callable[[sqlite3.Connection, int, int], list[int]]
"""The ids that are meant, after one id and up to another."""


async def each_span(
    database: Database, table: str, search: Search, key: str = "id"
) -> AsyncIterator[int]:
    """What `search` finds in a table, span by span: nobody waits for the whole of it."""
    lowest, highest = await database.question(lambda connection: ends_of(connection, table, key))
    if lowest is None or highest is None:
        return
    for after in range(lowest - 1, highest, SPAN):
        for number in await database.question(_span(search, after, after + SPAN)):
            yield number


def _span(search: Search, after: int, last: int) -> Callable[[sqlite3.Connection], list[int]]:
    return lambda connection: search(connection, after, last)


def _reports(recipient: Recipient) -> Search:
    def search(connection: sqlite3.Connection, after: int, last: int) -> list[int]:
        rows = connection.execute(
            "SELECT id, generation, item FROM report WHERE id > ? AND id <= ?"
            f" AND instr(item, ?) > 0 AND {_OF_SOURCE} ORDER BY id",
            (after, last, recipient.written, recipient.source),
        )
        return [
            number
            for number, generation, item in rows
            if recipient.has(decode_item(item.encode(), generation))
        ]

    return search


def _bodies(recipient: Recipient) -> Search:
    codings = ("utf-8", "utf-16-le", "utf-16-be")
    needles = [recipient.text.encode(coding) for coding in codings]
    alone = re.compile(rf"(?<![0-9A-Za-z]){re.escape(recipient.text)}(?![0-9A-Za-z])")

    def stands_alone(body: bytes, reason: str) -> bool:
        texts = [body.decode(coding, "replace") for coding in codings]
        texts.append(body[1:].decode("utf-16-le", "replace"))  # at an odd byte
        return any(alone.search(text) for text in (*texts, reason))

    def search(connection: sqlite3.Connection, after: int, last: int) -> list[int]:
        rows = connection.execute(
            "SELECT id, body, reason FROM quarantine WHERE id > ? AND id <= ? AND"
            " (instr(body, ?) OR instr(body, ?) OR instr(body, ?) OR instr(reason, ?))"
            f" AND {_OF_SOURCE} ORDER BY id",
            (after, last, *needles, recipient.text, recipient.source),
        )
        return [number for number, body, reason in rows if stands_alone(body, reason)]

    return search
