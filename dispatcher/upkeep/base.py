"""What retention and erasure need of a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from dispatcher.endpoints.base import Readers
from receiver.store.base import Pause, StoreRetention
from receiver.store.recipient import Recipient

Rows = Mapping[str, int]
"""How many rows of each table."""


class Retention(StoreRetention, Protocol):
    """Removes reports, quarantine and dispatches that are too old, or too many.

    Somebody still has to read a report when an endpoint that takes it, or a replay that brings it,
    has not read it, or when a dispatch or the order of its message holds it. `held` names these by
    the endpoint, and by `replay` with its number.
    """

    def reading(self, readers: Readers) -> Retention:
        """The same, for these readers. Until it is told, it knows none of their rules, and none
        that is gone."""

    async def purge_dispatches(self, *, before: datetime | None, most: int, pause: Pause) -> Rows:
        """Remove dispatches that have ended, whole, with their body and their attempts: those
        formed before `before`, and those that own more than the `most` newest attempts. What waits
        for an endpoint that is gone, and was formed before `before`, is cancelled and goes too."""

    async def count_dispatches(self, *, before: datetime | None, most: int) -> Rows:
        """What `purge_dispatches` would remove."""


class StillLeased(Exception):
    """Dispatches that carry the recipient's data are being sent: nothing was erased."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"nothing was erased: dispatches being sent just now: {number}; try again in a minute"
        )


class Erasure(Protocol):
    """Erases one recipient's data: reports, quarantine, and the dispatches that carry it."""

    async def count(self, recipient: Recipient) -> Rows:
        """The rows that `erase` would touch."""

    async def erase(self, recipient: Recipient) -> Rows:
        """Erase the recipient's data in one transaction; returns the rows touched in each table.
        Raises StillLeased; then nothing is erased.

        Reports that come in meanwhile are found by the next erasure. What is erased is overwritten,
        and does not come back from the database's own files, unless `left` says so.
        """

    async def left(self, recipient: Recipient) -> Sequence[str]:
        """What the database's files still hold of the recipient after an erasure, each with the
        place and the reason, for people; nothing when they hold nothing."""
