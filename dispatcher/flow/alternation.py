"""Has dispatchers that share an endpoint form for it one after the other. Pure.

Whoever forms dispatches of new reports has the endpoint locked until its transaction is on disk.
Another dispatcher that looks meanwhile sees the same reports, reads and encodes them, and is
overtaken: all of that was in vain. So a dispatcher that has formed for an endpoint leaves it to the
others for as long as they need to form. If none of them has formed by then, it waits a little
longer, and then forms itself. A dispatcher that was overtaken leaves the endpoint to the faster one
for as long as that may still need. Dispatchers do not talk to each other about it, so one that dies
holds nobody up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

AFTER_FORMING = 1.25
"""How long the endpoint is left to each of the others, as a multiple of the time that forming took
here. Theirs may take a little longer: with a multiple of 1, many looks would come just before their
commit."""

LONGER = 1.25
"""How much longer a dispatcher waits at most if no other one has formed, as such a multiple."""

AGAIN = 0.25
"""How long it then waits before it looks again, as such a multiple."""

AFTER_OVERTAKEN = 0.5
"""How long a dispatcher that was overtaken waits, as such a multiple: on average the faster one is
half-way through."""

FIRST = timedelta(milliseconds=10)
"""How long forming is taken to last until it has been measured here, in the world's time."""

LONGEST = timedelta(milliseconds=200)
"""The longest time that an endpoint is left to the others, however slow the disk is, in the world's
time."""


_NO_TIME = timedelta()


class Formed(Struct, frozen=True):
    """Up to which report dispatches were formed here, and until when the others may follow."""

    read_to: int
    until: datetime


class Alternation:
    """The endpoints that one dispatcher leaves to the others, and until when."""

    def __init__(self, speed: float) -> None:
        self._longest = LONGEST * speed
        self._took = FIRST * speed
        self._last: dict[str, Formed] = {}
        self.until: dict[str, datetime] = {}
        """The endpoints that are left to the others, and until when, as of the last look."""

    def look(self, now: datetime) -> None:
        """A new look begins: take those up again that have been left for long enough."""
        if self.until:
            self.until = {name: until for name, until in self.until.items() if until > now}

    def formed(
        self, read_to: Mapping[str, int], others: Mapping[str, int], began: datetime, now: datetime
    ) -> None:
        """Dispatches were formed for these endpoints, by a look that began then. `others`: how many
        other dispatchers share each."""
        self._took = min(max(now - began, _NO_TIME), self._longest)
        for name in read_to:
            self._last.pop(name, None)
            if number := others[name]:
                self._leave(name, number * AFTER_FORMING, now)
                times = number * AFTER_FORMING + LONGER
                until = now + min(times * self._took, self._longest)
                self._last[name] = Formed(read_to[name], until)

    def overtaken(self, endpoints: Iterable[str], now: datetime) -> None:
        """Another dispatcher has formed for these endpoints, or is doing so now."""
        for name in endpoints:
            self._leave(name, AFTER_OVERTAKEN, now)

    def awaited(self, read_to: Mapping[str, int], now: datetime) -> frozenset[str]:
        """The endpoints for which no other dispatcher has formed since this one did, and one is
        still waited for. `read_to`: up to which report each endpoint has read."""
        waits = frozenset(
            name
            for name, last in self._last.items()
            if last.until > now and read_to.get(name) == last.read_to
        )
        for name in waits:
            self._leave(name, AGAIN, now)
        return waits

    def clock_stepped(self, by: timedelta) -> None:
        """The clock was moved by this much in one step."""
        self.until = {name: until + by for name, until in self.until.items()}
        self._last = {n: Formed(last.read_to, last.until + by) for n, last in self._last.items()}

    def forget(self, name: str) -> None:
        """Keep nothing about an endpoint that no longer exists."""
        self._last.pop(name, None)

    def _leave(self, name: str, times: float, now: datetime) -> None:
        self.until[name] = now + min(times * self._took, self._longest)
