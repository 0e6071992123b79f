"""Instants as the provider writes them: `2019-11-09T16:00:00.000+0100` (reference, part 1.4).

Read liberally, written in one form. The offset that came is kept, because it is what the
provider's log shows; comparing is done by the aware `datetime` itself.
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import to_builtins

EXAMPLE = "2019-11-09T16:00:00.000+0100"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_instant(text: str) -> datetime:
    """The instant that `text` names, aware, with the offset it came with; without one it is UTC.

    Takes every form seen at the provider and in its clients: `+0000`, `+01:00`, `Z`, `-0530`, no
    fraction or up to six digits (more are cut off), a date alone (midnight). Raises `ValueError`
    for anything else, and for an instant that has no name in UTC within the years 1 to 9999.
    """
    if text[4:5] != "-" or text[10:11] not in "T ":  # fromisoformat takes any sign there
        text = _trimmed(text)
    instant = datetime.fromisoformat(text)
    zone = instant.tzinfo
    if zone is UTC:
        return instant
    if zone is None:
        return instant.replace(tzinfo=UTC)
    if text[-5] not in "+-" and text[-6] not in "+-":
        _refuse_seconds(instant)
    if not 1 < instant.year < 9999:
        _refuse_overflow(instant)
    return instant


def _trimmed(text: str) -> str:
    trimmed = text.strip().upper()
    if trimmed[4:5] != "-" or trimmed[10:11] not in "T ":
        raise ValueError("not an instant")
    return trimmed


def _refuse_seconds(instant: datetime) -> None:
    if _has_seconds(instant):
        raise ValueError("the offset is not a whole number of minutes")


def _has_seconds(instant: datetime) -> bool:
    offset = instant.utcoffset()
    return offset is not None and bool(offset.seconds % 60 or offset.microseconds)


def _refuse_overflow(instant: datetime) -> None:
    try:
        instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the instant is out of range in UTC") from error


def format_instant(instant: datetime) -> str:
    """`instant` in the provider's form: milliseconds, zone without a colon.

    Six digits are written only where three would lose something. Raises `ValueError` for a naive
    datetime.
    """
    if instant.tzinfo is not UTC and _has_seconds(instant):
        instant = instant.astimezone(UTC)  # such an offset has no form at the provider
    text: str = to_builtins(instant)  # RFC 3339; three times as fast as isoformat
    if text[-1] == "Z":
        text = text[:-1] + "+00:00"
    if text[-6] not in "+-":
        raise ValueError("an instant needs a time zone")
    return text[:19] + _fraction(instant.microsecond) + text[-6:-3] + text[-2:]


def _fraction(microsecond: int) -> str:
    if not microsecond:
        return ".000"
    milliseconds, rest = divmod(microsecond, 1000)
    return f".{microsecond:06}" if rest else f".{milliseconds:03}"


def utc_microseconds(instant: datetime) -> int:
    """Microseconds since 1970 in UTC: equal for equal instants, whatever their offsets."""
    since = instant - _EPOCH
    # A division by a microsecond says the same, and takes twice as long.
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
