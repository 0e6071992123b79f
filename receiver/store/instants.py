"""Instants as databases keep them: microseconds since 1970 UTC, as a whole number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from receiver.dlr.instants import utc_microseconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

MICROS_PER_DAY = 86_400_000_000


micros = utc_microseconds
"""An aware instant in the form of every instant in SQL."""


def instant(at: int) -> datetime:
    """Microseconds since 1970 UTC as an aware instant."""
    return _EPOCH + at * _MICROSECOND


def micros_or_null(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def instant_or_none(at: int | None) -> datetime | None:
    return None if at is None else instant(at)
