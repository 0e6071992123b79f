"""What the database's files still hold of a recipient whose rows are gone, and how that goes too.

SQLite frees the pages of removed rows and writes them again when it needs them; until then the
texts lie in the file. What an erasure removes is overwritten at once (`secure_delete`), but what
retention removed last week is not. So the file itself is read, and if it still names the recipient,
its free pages are overwritten.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from receiver.store.recipient import Recipient
from receiver.store.sqlite.database import Database

_PIECE: Final = 8 * 1024**2
_OVERLAP: Final = 4096  # a text may lie across the end of a piece

_PAGES: Final = 1000
"""Free pages that are overwritten in one transaction: 4 MB."""


async def file_of(database: Database) -> Path | None:
    """The database's file; `None` for a database in memory."""
    rows = await database.read(lambda c: c.execute("PRAGMA database_list").fetchall())
    name = next(file for _, schema, file in rows if schema == "main")
    return Path(name) if name else None


def log_of(file: Path) -> Path:
    """The write-ahead log of a database's file."""
    return file.with_name(f"{file.name}-wal")


def others_with(file: Path) -> list[str]:
    """The processes beside this one that have a file open, as /proc shows them. The file itself is
    not opened: closing it again would give up SQLite's own locks on it."""
    file = file.resolve()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name != str(os.getpid()):
            with suppress(OSError):  # it has ended, or is another user's
                if any(each.readlink() == file for each in process.glob("fd/*")):
                    found.append(f"{process.name} ({(process / 'comm').read_text().strip()})")
    return sorted(found)


def is_named_in_file(file: Path, recipient: Recipient) -> bool:
    """Whether the bytes of a file name the recipient anywhere; not if there is no such file. Reads
    all of it, a second or two a gigabyte."""
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        return False
    with opened:
        before = b""
        while piece := opened.read(_PIECE):
            piece = before + piece
            if recipient.may_be_in(piece) and (
                recipient.is_named_in(piece.decode("latin-1"))
                or recipient.is_named_in(piece.replace(b"\0", b"").decode("latin-1"))
            ):
                return True
            before = piece[-_OVERLAP:]
    return False


async def overwrite_free_pages(database: Database) -> None:
    """Write zeros to all pages of the file that hold nothing now."""
    pages = await database.read(_free_pages)
    for _ in range(0, pages, _PAGES):
        await database.write(_fill)
    await database.write(_drop)


def _free_pages(connection: sqlite3.Connection) -> int:
    pages: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return pages


def _fill(connection: sqlite3.Connection) -> None:
    """Take some of the free pages, which SQLite does before it makes the file larger."""
    connection.execute("CREATE TABLE IF NOT EXISTS overwritten (zeros BLOB NOT NULL) STRICT")
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    pages = min(_PAGES, _free_pages(connection))
    connection.execute("INSERT INTO overwritten VALUES (zeroblob(?))", (pages * size,))


def _drop(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE IF EXISTS overwritten")


async def rows_that_name(
    database: Database, recipient: Recipient, of_others: Mapping[str, str]
) -> dict[str, int]:
    """How many rows of each table name the recipient in any column. Goes through all of them.

    With a source, rows that are known to be another source's do not count. Which these are in a
    table without a column for it, `of_others` says: a condition in SQL about `:source`.
    """

    def count(connection: sqlite3.Connection) -> dict[str, int]:
        connection.create_function("is_named", 1, lambda value: _is_named(value, recipient))
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        )
        counts = {
            name: _rows_of(connection, name, recipient.source, of_others.get(name))
            for (name,) in tables.fetchall()
        }
        return {name: rows for name, rows in counts.items() if rows}

    return await database.question(count)


def _rows_of(
    connection: sqlite3.Connection, table: str, source: str | None, of_others: str | None
) -> int:
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    condition = " OR ".join(f'is_named("{column}")' for column in columns)
    if source is not None and "source" in columns:
        condition = f"({condition}) AND source = :source"
    elif source is not None and of_others is not None:
        condition = f"({condition}) AND NOT ({of_others})"
    rows: int = connection.execute(
        f'SELECT count(*) FROM "{table}" WHERE {condition}', {"source": source}
    ).fetchone()[0]
    return rows


def _is_named(value: object, recipient: Recipient) -> bool:
    if isinstance(value, str):
        return recipient.is_named_in(value)
    return isinstance(value, bytes) and recipient.is_named_in_bytes(value)
