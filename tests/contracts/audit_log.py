"""What every log of changes does (receiver/store/audit.py)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from receiver.store.audit import COMMAND_LINE, AuditLog, AuditQuery, BegunChange, Change
from tests.contracts.storages import StorageBackend, unbroken

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_change(what: str = "pauseEndpoint", **said: Any) -> BegunChange:
    return structs.replace(
        BegunChange(at=START, who="support", origin="192.0.2.1", what=what, subject="acme"), **said
    )


class AuditLogContract:
    @pytest.fixture
    def audit(self, backend: StorageBackend) -> AuditLog:
        return backend.storage.audit

    async def test_a_new_database_has_none(self, audit: AuditLog) -> None:
        """Nothing was changed."""
        assert await audit.changes(AuditQuery()) == []

    async def test_a_change_is_there_before_it_is_made(self, audit: AuditLog) -> None:
        """It has no outcome yet; a process that ends now leaves it so."""
        number = await audit.begin(a_change())

        (change,) = await audit.changes(AuditQuery())
        assert change == Change(**structs.asdict(a_change()), id=number, outcome=None, details={})

    async def test_its_outcome_comes_after_it(self, audit: AuditLog) -> None:
        """With what was not known before: a subject that got its name, and details."""
        begun = a_change("addEndpoint", who=None, origin=COMMAND_LINE, subject=None)
        number = await audit.begin(begun)
        details = {"settings": ["name", "ä€ \U0001f600"], "reports": 2**53, "none": None}
        await audit.end(number, "done", "acme", details)

        (change,) = await audit.changes(AuditQuery())
        assert (change.who, change.origin) == (None, "command line")
        assert (change.subject, change.outcome, change.details) == ("acme", "done", details)

    async def test_each_has_an_outcome_of_its_own(self, audit: AuditLog) -> None:
        """Two changes at once do not mix."""
        first, second = await audit.begin(a_change()), await audit.begin(a_change())
        await audit.end(second, "refused", "b", {})
        await audit.end(first, "failed", "a", {})

        changes = await audit.changes(AuditQuery())
        told = [(each.id, each.outcome, each.subject) for each in changes]
        assert told == [(second, "refused", "b"), (first, "failed", "a")]

    async def test_they_are_listed_newest_first(self, audit: AuditLog) -> None:
        """Page by page, whatever the clock did."""
        ids = [await audit.begin(a_change(at=START - number * HOUR)) for number in range(5)]

        first = await audit.changes(AuditQuery(limit=2))
        second = await audit.changes(AuditQuery(limit=10, before=first[-1].id))

        assert [each.id for each in first] == ids[:2:-1]
        assert [each.id for each in second] == ids[2::-1]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            (AuditQuery(who="support"), "ab"),
            (AuditQuery(who="sup"), ""),
            (AuditQuery(who="root"), "c"),
            (AuditQuery(what="erase"), "c"),
            (AuditQuery(subject="beta"), "b"),
            (AuditQuery(since=START + HOUR), "bc"),
            (AuditQuery(until=START + HOUR), "a"),
            (AuditQuery(since=START + HOUR, until=START + 2 * HOUR), "b"),
            (AuditQuery(who="support", what="pauseEndpoint", subject="acme"), "a"),
        ],
    )
    async def test_filters(self, audit: AuditLog, query: AuditQuery, found: str) -> None:
        """All that is given must hold; texts are compared as a whole."""
        ids = {
            await audit.begin(a_change()): "a",
            await audit.begin(a_change(at=START + HOUR, subject="beta")): "b",
            await audit.begin(a_change("erase", at=START + 2 * HOUR, who="root")): "c",
        }

        assert "".join(ids[each.id] for each in await audit.changes(query))[::-1] == found

    async def test_another_process_sees_them(self, backend: StorageBackend) -> None:
        """What the command line has changed is listed over the API."""
        number = await backend.storage.audit.begin(a_change())

        (seen,) = await (await backend.another()).audit.changes(AuditQuery())
        assert seen.id == number

    async def test_a_failing_store_notes_nothing(
        self, backend: StorageBackend, audit: AuditLog
    ) -> None:
        """What cannot be noted is told, and no half of it stays."""

        async def state() -> object:
            return await audit.changes(AuditQuery())

        await unbroken(backend, lambda: audit.begin(a_change()), state)
