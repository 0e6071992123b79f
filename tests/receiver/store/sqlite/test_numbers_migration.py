"""A database from before numbers were compared in any form.

Its search keys hold each number as it came, so that of two reports to one number the newer one was
found and the older one was not.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from receiver.dlr.number import comparable
from receiver.store import following
from receiver.store.base import ReportQuery
from receiver.store.excerpt import SENDER, TO, key_of_text
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import a_callback, an_sms
from tests.receiver.dlr.test_number import FORMS, PLAIN

NAMES = [
    "InfoSMS",
    "Tel:ecom",
    "1-800-FLOWERS",
    "24/7",
    "7-11",
    "007",
    "0793026727",
    "+",
    "",
    "x" * 60,
]
BEFORE = MIGRATIONS[: next(n for n, step in enumerate(MIGRATIONS) if step.name == "numbers")]


def as_before(connection: sqlite3.Connection) -> None:
    """The keys as the program before wrote them: the beginning of what came."""
    connection.execute("UPDATE followed SET report = (SELECT max(id) FROM report)")
    rows = connection.execute("SELECT id, item ->> 'to', item ->> 'from' FROM report").fetchall()
    for id, to, sender in rows:
        for field, text in ((TO, to), (SENDER, sender)):
            row = (id >> following.BLOCK_BITS, field, key_of_text(text), id)
            connection.execute("INSERT INTO search_key VALUES (?, ?, ?, ?)", row)


@pytest.fixture
async def database(tmp_path: Path) -> Database:
    """At the schema before, with reports to and from each form of a number, and each name."""
    opened = await Database.open(tmp_path / "dlr.db")
    await opened.migrate(BEFORE)
    texts = [*FORMS, *NAMES]
    items = [an_sms(f"m{n}", to=text, from_=text) for n, text in enumerate(texts)]
    await SqliteStore(opened).add([a_callback(*items)])
    await opened.write(as_before)
    return opened


async def test_old_reports_are_found_in_any_form(database: Database) -> None:
    """After the migration each form finds all of them, and names are found as they are."""
    store = SqliteStore(database)
    assert len(await store.reports(ReportQuery(to=PLAIN))) < len(FORMS)

    assert (await database.migrate(MIGRATIONS))[0].name == "numbers"

    for form in FORMS:
        for query in (ReportQuery(to=form), ReportQuery(sender=form), ReportQuery(to_prefix=form)):
            found = [report.read().to for report in await store.reports(query)]
            assert sorted(map(str, found)) == sorted(FORMS), query
    for name in NAMES:
        for query in (ReportQuery(to=name), ReportQuery(sender=name)):
            assert [report.read().to for report in await store.reports(query)] == [name]
    await database.close()


async def test_the_keys_are_those_of_a_new_database(database: Database) -> None:
    """Each key is what the program would write today."""
    await database.migrate(MIGRATIONS)

    def keys(connection: sqlite3.Connection) -> set[tuple[int, int, str]]:
        statement = "SELECT report, field, key FROM search_key WHERE field IN (?, ?)"
        return set(connection.execute(statement, (TO, SENDER)))

    expected = {
        (id, field, key_of_text(comparable(text)))
        for id, text in enumerate([*FORMS, *NAMES], 1)
        for field in (TO, SENDER)
    }
    assert await database.read(keys) == expected
    await database.close()
