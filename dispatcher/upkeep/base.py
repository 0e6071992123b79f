"""What retention and erasure need of a database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol

from receiver.store.sqlite.erasure import Recipient

Pause = Callable[[], Awaitable[None]]

Rows = Mapping[str, int]
"""How many rows of each table."""


class Retention(Protocol):
    """Removes what is older than `before` or, the oldest first, more than `most`; `None` and 0 are
    no limit.

    It goes in batches, each a transaction with a pause after it, so that no callback waits for more
    than one of them. What `pause` raises ends a purge between two batches.
    """

    async def purge_dispatches(self, *, before: datetime | None, most: int, pause: Pause) -> Rows:
        """Dispatches that have ended, whole, with their body and their attempts: those formed
        before, and those that own more than the `most` newest attempts."""

    async def count_dispatches(self, *, before: datetime | None, most: int) -> Rows:
        """What `purge_dispatches` would remove."""

    async def purge_reports(
        self, *, now: datetime, before: datetime | None, most: int, pause: Pause
    ) -> Rows:
        """Reports, and the keys of days that have none left. Those stay that an endpoint or a
        replay has not read, that are under way or held, or that are not added up yet."""

    async def count_reports(self, *, before: datetime | None, most: int) -> Rows:
        """What `purge_reports` would remove, at most: keys go with the last report of their day."""

    async def purge_quarantine(self, *, before: datetime | None, most: int, pause: Pause) -> Rows:
        """Quarantined bodies."""

    async def count_quarantine(self, *, before: datetime | None, most: int) -> Rows:
        """What `purge_quarantine` would remove."""


class StillLeased(Exception):
    """Dispatches that carry the recipient's data are being sent: nothing was erased."""

    def __init__(self, number: int) -> None:
        super().__init__(f"{number} dispatches with it are being sent: try again in a minute")


class Erasure(Protocol):
    """Erases one recipient's data: reports, quarantine, and the dispatches that carry it."""

    async def count(self, recipient: Recipient) -> Rows:
        """The rows that `erase` would touch."""

    async def erase(self, recipient: Recipient) -> Rows:
        """Erase the recipient's data in one transaction; returns the rows touched in each table.
        Raises StillLeased; then nothing is erased.

        Reports that come in meanwhile are found by the next erasure. What is erased is overwritten,
        and does not come back from the database's own files.
        """
