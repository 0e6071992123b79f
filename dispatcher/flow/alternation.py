"""Has dispatchers that share an endpoint form for it one after the other. Pure.

Whoever forms dispatches of new reports has the endpoint locked until its transaction is on disk.
Another dispatcher that looks meanwhile sees the same reports, reads and encodes them, and is
overtaken: all of that was in vain. So a dispatcher that has formed for an endpoint leaves it to the
others for as long as they need to form, and one that was overtaken leaves it to the faster one for
as long as that may still need. Nobody asks anybody, and whoever dies holds nobody up. If two begin
together all the same, one of them is overtaken and so falls into step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

AFTER_FORMING = 1.25
"""How long to leave the endpoint to each of the others, by how long forming has taken here. Theirs
may take a little longer: with exactly as long, many looks would come just before their commit."""

AFTER_OVERTAKEN = 0.5
"""The same for one that was overtaken: on average the faster one is half-way through."""

FIRST = timedelta(milliseconds=10)
"""In the world's time: how long forming takes, as long as nothing was formed here."""

LONGEST = timedelta(milliseconds=200)
"""In the world's time: no endpoint is left to the others for longer, however slow the disk is."""


class Alternation:
    """The endpoints that one dispatcher leaves to the others, and until when."""

    def __init__(self, speed: float) -> None:
        self._longest = LONGEST * speed
        self._took = FIRST * speed
        self.until: dict[str, datetime] = {}
        """The endpoints that are left to the others, and until when, as of the last look."""

    def look(self, now: datetime) -> None:
        """A new look begins: take those up again that have been left for long enough."""
        self.until = {name: until for name, until in self.until.items() if until > now}

    def formed(self, others: Mapping[str, int], began: datetime, now: datetime) -> None:
        """Dispatches were formed by a look that began then. `others`: for which endpoints, and how
        many other dispatchers share each."""
        self._took = max(now - began, timedelta())
        for name, number in others.items():
            if number:
                self._leave(name, number * AFTER_FORMING, now)

    def overtaken(self, endpoints: Iterable[str], now: datetime) -> None:
        """Another dispatcher has formed for these, or is just doing so."""
        for name in endpoints:
            self._leave(name, AFTER_OVERTAKEN, now)

    def clock_stepped(self, by: timedelta) -> None:
        """The clock has gone so far in one step."""
        self.until = {name: until + by for name, until in self.until.items()}

    def _leave(self, name: str, times: float, now: datetime) -> None:
        self.until[name] = now + min(times * self._took, self._longest)
