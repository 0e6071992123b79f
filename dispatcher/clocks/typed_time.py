"""A time as somebody types it: on the command line, in a search, in a request for a replay.

    14:00, 14:00:30                       the last time that clocks showed this, today or yesterday
    24h, 7d, 1h30m                        so long ago
    today, yesterday, 2026-11-28          the beginning of that day
    2026-11-28T14:00, 2026-11-28 14:00    on that day
    2026-11-28T14:00:00+01:00, …Z         RFC 3339, or the provider's form (+0100)

Without a zone it is meant in the zone that is handed in; `None` is this machine's. A time that
clocks showed twice or never in a night is taken nevertheless, and `note` says so. Pure, but for
the rules of the machine's zone.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

from msgspec import Struct

from receiver.dlr.instants import parse_instant
from receiver.faults import expected, quoted
from receiver.settings.durations import duration

EXAMPLES = "14:00, 24h (ago), yesterday, 2026-11-28 or 2026-11-28T14:00:00+01:00"

ZONE = "Without a zone, this machine's is meant."

_DAY = timedelta(days=1)
_DAYS = {"today": 0 * _DAY, "yesterday": _DAY}
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", re.ASCII)
_DURATION = re.compile(r"([0-9.]+(d|h|ms|m|s))+", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])", re.ASCII)
_SECOND = timedelta(seconds=1)


class TypedTime(Struct, frozen=True):
    """The instant that is meant, in the zone of whoever typed it. `note` is what has to be said of
    a time that clocks showed twice or never."""

    at: datetime
    note: str | None = None

    def __str__(self) -> str:
        """`2026-11-28T14:00:00+01:00 (CET)`, with the note after it."""
        shown = f"{self.at.isoformat(timespec='seconds')} ({self.at.tzname()})"
        return shown if self.note is None else f"{shown}: {self.note}"


def read_time(text: str, now: datetime, zone: tzinfo | None = None) -> TypedTime:
    """The time that `text` means at `now`. Raises ValueError, with examples of what can be typed,
    also for one outside the years 1 to 9999 in UTC."""
    typed = text.strip()
    try:
        read = _read(typed, now, zone)
        return TypedTime(_with_offset(read.at, zone), read.note)
    except (ValueError, OverflowError) as error:
        raise ValueError(expected(f"a time such as {EXAMPLES}", quoted(text))) from error


def read_end(
    text: str, since: TypedTime | None, now: datetime, zone: tzinfo | None = None
) -> TypedTime:
    """The end of a range that begins at `since`. A time of day that would lie before the beginning
    is today's: `14:00` to `17:00` is meant so at 15:00 as well. Raises ValueError, also for an end
    that is not after the beginning."""
    until = read_time(text, now, zone)
    if since is None or until.at > since.at:
        return until
    if _CLOCK.fullmatch(text.strip()):
        today = _at(_clock(text.strip()), now.astimezone(zone).date(), zone)
        if today.at > since.at:
            return TypedTime(_with_offset(today.at, zone), today.note)
    raise ValueError(expected(f"a time after the beginning, which is {since}", str(until)))


def _read(text: str, now: datetime, zone: tzinfo | None) -> TypedTime:
    here = now.astimezone(zone)
    if text.lower() in _DAYS:
        return _at(time(), here.date() - _DAYS[text.lower()], zone)
    if _CLOCK.fullmatch(text):
        today = _at(_clock(text), here.date(), zone)
        return today if today.at <= now else _at(_clock(text), here.date() - _DAY, zone)
    if _DURATION.fullmatch(text):
        return TypedTime(now - duration(text))
    if not _DATE.match(text):
        raise ValueError("no time")
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is not None:
        return TypedTime(parse_instant(text))
    return _at(instant.time(), instant.date(), zone)


def _clock(text: str) -> time:
    return time.fromisoformat(text.zfill(len(text) + (text[1] == ":")))


# --- what a zone's clocks show --------------------------------------------------------------------


def _at(clock: time, day: date, zone: tzinfo | None) -> TypedTime:
    """When clocks in the zone show this: the first time if they show it twice, and if they never
    do, the instant at which they went past it."""
    shown = datetime.combine(day, clock)
    first, second = sorted(_placed(shown.replace(fold=fold), zone) for fold in (0, 1))
    if first == second:
        return TypedTime(first)
    if _clocks(first, zone) == shown:
        again = second.astimezone(zone).isoformat()
        note = f"clocks went back and showed {shown:%H:%M} twice; {again} is the second time"
        return TypedTime(first, note)
    note = f"clocks went forward and did not show {shown:%H:%M}; this is when they went forward"
    return TypedTime(_jump(first, second, zone), note)


def _placed(shown: datetime, zone: tzinfo | None) -> datetime:
    return (shown.astimezone() if zone is None else shown.replace(tzinfo=zone)).astimezone(UTC)


def _with_offset(at: datetime, zone: tzinfo | None) -> datetime:
    """In the zone, as an offset: two datetimes of one zone are compared by what clocks show."""
    here = at.astimezone(UTC).astimezone(zone)
    return here.replace(
        tzinfo=timezone(here.utcoffset() or timedelta(0), here.tzname() or ""), fold=0
    )


def _clocks(at: datetime, zone: tzinfo | None) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _jump(before: datetime, after: datetime, zone: tzinfo | None) -> datetime:
    """The first second after `before` at which clocks have gone forward, as they have `after`."""
    before, after = before.replace(microsecond=0), after.replace(microsecond=0)
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
