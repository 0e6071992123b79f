"""Knows without asking when a claim would come back empty, which it mostly would.

Most instants of a simulation are ends of attempts, after which nothing is due and nothing unread;
to ask each time takes a third of the whole. It never decides what is done, only that there is
nothing to do, and it says so never too early: the tests compare whole timelines with and without.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dispatcher.endpoints.endpoint import Endpoint, Rules
from dispatcher.queue.base import Leased


class Foresight:
    """Of one endpoint, to which one worker alone brings reports."""

    def __init__(self, endpoint: Endpoint) -> None:
        # What has rules leaves reports out, and what keeps the order holds some back.
        self.sees = endpoint.rules == Rules() and not endpoint.ordered
        self.stale = False
        """Whether `due_at` must be looked up: what was due first has been claimed."""
        self.due_at: datetime | None = None
        """No dispatch is due, and no lease runs out, before; None: never."""
        self._unread = 0

    def arrived(self, reports: int) -> None:
        self._unread += reports

    def claimed(self, leased: Sequence[Leased]) -> None:
        self.stale = self.stale or bool(leased)
        self._unread -= sum(each.reports for each in leased if not each.attempts_made)

    def recorded(self, due_at: datetime | None) -> None:
        """An attempt is over, and its dispatch due then, if it is to be repeated."""
        if due_at is not None:
            self.due_at = due_at if self.due_at is None else min(self.due_at, due_at)

    def looked(self, due_at: datetime | None) -> None:
        self.due_at, self.stale = due_at, False

    @property
    def all_read(self) -> bool:
        return self.sees and self._unread == 0

    def idle(self, now: datetime) -> bool:
        """Whether there is surely nothing to claim now."""
        return self.all_read and not self.stale and (self.due_at is None or self.due_at > now)
