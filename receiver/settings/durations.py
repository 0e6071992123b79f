"""Durations as people write them: `500ms`, `10s`, `2m`, `1h30m`, `90d`."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

_MICROSECONDS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}
_MICROSECONDS["ms"] = 1_000

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_PARTS = re.compile(
    rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?",
    re.ASCII,
)


def duration(text: str) -> timedelta:
    """`text` as a duration, never negative. The units are d, h, m, s and ms, each at most once,
    the longest first; a number may have decimals (`1.5h`).

    Raises `ValueError` with a text for the user. It rounds nothing: below a microsecond is refused.
    """
    parts = _PARTS.fullmatch(text)
    if not text or parts is None:
        raise _not_a_duration(text)
    units = zip(parts.groups(), _MICROSECONDS.values(), strict=True)
    microseconds = sum((Fraction(number) * unit for number, unit in units if number), Fraction(0))
    if microseconds.denominator != 1:
        raise _not_a_duration(text)
    try:
        return timedelta(microseconds=microseconds.numerator)
    except OverflowError:
        raise _not_a_duration(text) from None


def duration_text(value: timedelta) -> str:
    """`value` in the shortest whole units, so that `duration` reads the same value again.

    A negative one has a leading minus, for people only.
    """
    if value < timedelta(0):
        return "-" + duration_text(-value)
    minutes, rest = divmod(value // timedelta(microseconds=1), _MICROSECONDS["m"])
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    text = "".join(f"{n}{unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if n)
    return text + _below_a_minute(rest) if rest or not text else text


def _below_a_minute(microseconds: int) -> str:
    unit = "ms" if 0 < microseconds < _MICROSECONDS["s"] else "s"
    whole, rest = divmod(microseconds, _MICROSECONDS[unit])
    decimals = f"{rest:0{len(str(_MICROSECONDS[unit])) - 1}d}".rstrip("0")
    return f"{whole}.{decimals}{unit}" if decimals else f"{whole}{unit}"


def _not_a_duration(text: str) -> ValueError:
    return ValueError(f'expected a duration such as 500ms, 10s or 1h30m, got "{text}"')
