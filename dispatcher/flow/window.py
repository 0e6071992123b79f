"""How many more pushes an endpoint may take now."""

from __future__ import annotations

from msgspec import Struct


class InFlight(Struct):
    """Pushes to one endpoint that are under way."""

    first: int = 0  # first attempts
    retries: int = 0

    @property
    def all(self) -> int:
        return self.first + self.retries

    def count(self, attempts_made: int, change: int) -> None:
        """One more (+1) or one less (-1), of a dispatch of which so many attempts were made."""
        if attempts_made:
            self.retries += change
        else:
            self.first += change


class Room(Struct, frozen=True):
    """Places for retries, and places in all (the rest of which is for first attempts)."""

    retries: int
    all: int


def room(window: int, in_flight: InFlight) -> Room:
    """A quarter of the window is kept for first attempts, so that a backlog of retries never
    delays fresh reports."""
    free = max(0, window - in_flight.all)
    for_retries = window - window // 4 - in_flight.retries
    return Room(retries=max(0, min(free, for_retries)), all=free)
