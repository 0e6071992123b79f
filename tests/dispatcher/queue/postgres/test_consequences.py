"""What follows when a dispatch changes: the triggers of PostgreSQL carry out the table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.retrying.consequences import CONSEQUENCES
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from tests.postgres import EmptyDatabase, a_database, in_autocommit

EVENTS = {
    "formed": ("dispatch", "AFTER INSERT"),
    "moved": ("dispatch", "AFTER UPDATE"),
    "tried": ("dispatch", "AFTER UPDATE"),
    "deleted": ("dispatch", "AFTER DELETE"),
    "held": ("held_report", "AFTER INSERT"),
    "let go": ("held_report", "AFTER DELETE"),
}

BEFORE = {"returned_unwanted_is_cancelled": ("dispatch", "BEFORE UPDATE")}
"""It changes the row, which is then counted as it has become."""

_TRIGGERS = """
    SELECT tgname, tgrelid::regclass::text,
        CASE WHEN tgtype & 2 = 2 THEN 'BEFORE ' ELSE 'AFTER ' END ||
        CASE WHEN tgtype & 4 = 4 THEN 'INSERT' WHEN tgtype & 8 = 8 THEN 'DELETE' ELSE 'UPDATE' END
    FROM pg_trigger
    WHERE NOT tgisinternal AND tgrelid IN ('dispatch'::regclass, 'held_report'::regclass)
"""


@pytest.fixture(scope="module")
def migrated(postgres_server: str) -> Iterator[EmptyDatabase]:
    with a_database(postgres_server) as url:
        yield EmptyDatabase(url, [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])


def test_each_consequence_is_a_trigger_of_its_name(migrated: EmptyDatabase) -> None:
    """On the table and the event that it is said to follow; and there is no other trigger."""
    with in_autocommit(migrated.url) as connection:
        found = {name: (table, event) for name, table, event in connection.execute(_TRIGGERS)}

    assert found == {
        name: BEFORE.get(name, EVENTS[each.event]) for name, each in CONSEQUENCES.items()
    }
