"""What the routes need of a database beside the queue."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from receiver.store.base import StoredReport


class UnroutedReports(Struct, frozen=True):
    """What one step has found, newest first. `next` is the cursor of the next step.

    Reports newer than `read_to` are not judged yet: an endpoint has still to read them. Those up to
    `forgotten_to` are not judged any more: the dispatches of their time have been removed.
    """

    reports: Sequence[StoredReport]
    next: int | None
    read_to: int
    forgotten_to: int


class UnroutedStore(Protocol):
    """Finds the reports that every endpoint has read past and none took."""

    async def unrouted(
        self, endpoints: Collection[str], before: int | None, limit: int
    ) -> UnroutedReports:
        """One step of bounded time: at most `limit` of them with an id smaller than `before`.
        There may be a next one though it finds none.

        `endpoints` are those in force that take reports. When there are none, none takes any.
        """
