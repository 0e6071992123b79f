"""`Retry-After`: when an endpoint asks to be called again, and how far it is obeyed. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from msgspec import Struct

_SECONDS = re.compile(r"-?[0-9]+", re.ASCII)

_LONGEST = timedelta(days=36_500)
"""Whoever asks for more has asked for this: beyond it dates run out."""


class RetryAfter(Struct, frozen=True):
    """The answers whose Retry-After is obeyed, and its bounds.

    A wait is at least `least` and `least_of_wait` times what the schedule says; at most `most` and
    `most_of_wait` times what the schedule says (None: no such bound). Where the two meet, the lower
    bound holds.
    """

    statuses: frozenset[int] = frozenset({429, 503})
    least: timedelta = timedelta(0)
    most: timedelta | None = timedelta(hours=24)
    # Ours: never before the schedule's own time. An endpoint in distress may ask for more rest, but
    # one that says "1 second" at each attempt must not burn all retries of 41 hours in 20 seconds.
    least_of_wait: float = 1.0
    most_of_wait: float | None = None

    def bounded(self, asked: timedelta, wait: timedelta) -> timedelta:
        """The wait when `asked` is asked for and the schedule says `wait`."""
        if self.most is not None:
            asked = min(asked, self.most)
        if self.most_of_wait is not None:
            asked = min(asked, wait * self.most_of_wait)
        return max(asked, self.least, wait * self.least_of_wait)


def asked_for(text: str, now: datetime) -> timedelta | None:
    """How long after `now` to come again, by the value of a Retry-After header; None when it says
    nothing that can be understood.

    Seconds or an HTTP date. Negative for what has passed.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return _seconds(text)
    from email.utils import parsedate_to_datetime  # few endpoints write a date, and no command does

    try:
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _seconds(text: str) -> timedelta:
    """Python reads no number of more than 4300 digits, and a header may have more."""
    if len(text) > 10:
        return -_LONGEST if text.startswith("-") else _LONGEST
    return max(-_LONGEST, min(timedelta(seconds=int(text)), _LONGEST))
