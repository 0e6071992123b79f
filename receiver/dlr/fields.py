"""Single fields of an item: what came, read as what is meant, or refused with its place.

From XML every value is a text and JSON senders disagree too, so numbers and booleans are read from
texts and texts from numbers. Nothing is rounded, cut or guessed. `None` is an absent field.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from receiver.dlr.errors import MalformedReport
from receiver.dlr.instants import EXAMPLE, parse_instant
from receiver.dlr.model import Unknown

DEEPEST = 32
"""Levels that an unknown value may be nested; a limit of ours, far above anything seen."""

_SMALLEST, _GREATEST = -(2**63), 2**63 - 1  # what a database column and other languages hold
_PRICE_DIGITS = 40  # before and after the point: wide for any currency, narrow enough to be written
_OTHER_DIGITS = 1000
_SHOWN = 60  # characters of a refused value that are told

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}  # the four of XML Schema


def text(value: Any, place: str, name: str) -> str | None:
    """`value` byte for byte; a number becomes its exact decimal text."""
    if type(value) is str and value.isascii():
        return value
    return None if value is None else _text_slowly(value, f"{place}.{name}")


def _text_slowly(value: Any, place: str) -> str:
    if isinstance(value, str):
        return whole_text(value, place)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise MalformedReport(place, "text", describe(value))
    return f"{_bounded(value, place, 'text', _OTHER_DIGITS):f}"


def whole_text(value: str, place: str) -> str:
    """`value`, unless it holds half a character, which neither UTF-8 nor a database can hold."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MalformedReport(place, "text", "a lone surrogate in " + describe(value)) from error
    return value


def integer(value: Any, place: str, name: str) -> int | None:
    """`value` as a signed integer of 64 bits; a blank text is an absent one."""
    if type(value) is int and _SMALLEST <= value <= _GREATEST:
        return value
    return None if value is None else _integer_slowly(value, f"{place}.{name}")


def _integer_slowly(value: Any, place: str) -> int | None:
    number = _integer_of(value)
    if number is None:
        if _is_blank(value):
            return None
        raise MalformedReport(place, "an integer", describe(value))
    if not _SMALLEST <= number <= _GREATEST:
        raise MalformedReport(place, "an integer of 64 bits", describe(value))
    return number


def _integer_of(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        trimmed = value.strip()
        return int(trimmed) if _INTEGER.fullmatch(trimmed) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < _PRICE_DIGITS:
        return int(value) if value == value.to_integral_value() else None
    return None


def boolean(value: Any, place: str, name: str) -> bool | None:
    """`value` as true or false; a blank text is an absent one."""
    if value is None or isinstance(value, bool):
        return value
    truth = _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None
    if truth is None and not _is_blank(value):
        raise MalformedReport(f"{place}.{name}", "true or false", describe(value))
    return truth


def decimal(value: Any, place: str, name: str) -> Decimal | None:
    """`value` exactly, at most 40 digits before and after the point; a blank text is absent."""
    if type(value) is Decimal and value.is_finite() and _is_short(str(value)):
        return value
    if value is None or _is_blank(value):
        return None
    place = f"{place}.{name}"
    if isinstance(value, str) and len(value) <= 2 * _PRICE_DIGITS:
        trimmed = value.strip()
        value = Decimal(trimmed) if _DECIMAL.fullmatch(trimmed) else value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise MalformedReport(place, "a decimal number", describe(value))
    return _bounded(value, place, "a decimal number", _PRICE_DIGITS)


def _is_short(digits: str) -> bool:
    return len(digits) <= _PRICE_DIGITS and "E" not in digits


def _bounded(value: float | Decimal, place: str, expected: str, digits: int) -> Decimal:
    """The number, refused when writing it out would take more than `digits` either side."""
    if isinstance(value, int) and value.bit_length() > 4 * digits:
        raise MalformedReport(place, expected, describe(value))
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise MalformedReport(place, f"{expected}, finite", describe(value))
    exponent = number.as_tuple().exponent
    if number.adjusted() >= digits or not -digits <= int(exponent) < digits:
        raise MalformedReport(place, f"{expected} of at most {digits} digits", describe(value))
    return number


def instant(value: Any, place: str, name: str) -> datetime | None:
    """`value` as an aware instant with the offset it came with; a blank text is an absent one."""
    if value is None:
        return None
    try:
        return parse_instant(value)
    except (ValueError, TypeError, AttributeError) as error:
        if _is_blank(value):
            return None
        expected = f"an instant such as {EXAMPLE}"
        raise MalformedReport(f"{place}.{name}", expected, describe(value)) from error


def an_object(value: Any, place: str, name: str) -> dict[str, Any] | None:
    """A copy of the object `value`, to be emptied field by field; what is left is unknown."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise MalformedReport(f"{place}.{name}", "an object", describe(value))
    return dict(value)


def unknown(rest: dict[str, Any] | None, place: str) -> Unknown | None:
    """What is left of an object, without the absent ones; `None` when nothing is."""
    if not rest:
        return None
    kept = {name: value for name, value in rest.items() if value is not None}
    for name, value in kept.items():
        _check_name(name, place)
        _check(value, f"{place}.{name}", 1)
    return kept or None


def _check(value: Any, place: str, level: int) -> None:
    """Refuses what could not be written again as JSON and as XML."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        whole_text(value, place)
    elif isinstance(value, int | float | Decimal):
        _bounded(value, place, "a number", _OTHER_DIGITS)
    elif not isinstance(value, dict | list):
        raise MalformedReport(place, "a JSON value", describe(value))
    elif level > DEEPEST:
        raise MalformedReport(_shorten(place), f"at most {DEEPEST} levels", "more")
    else:
        _check_children(value, place, level + 1)


def _check_children(value: dict[str, Any] | list[Any], place: str, level: int) -> None:
    if isinstance(value, list):
        for index, child in enumerate(value):
            _check(child, f"{place}[{index}]", level)
        return
    for name, child in value.items():
        _check_name(name, place)
        _check(child, f"{place}.{name}", level)


def _check_name(name: object, place: str) -> None:
    if not isinstance(name, str):
        raise MalformedReport(place, "field names that are text", describe(name))
    whole_text(name, f"{place}: a name")


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def describe(value: object) -> str:
    """`value` for a person: its kind, or a short look at it; safe for any size and depth."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{_shorten(value)}"'
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 128 else "a number of more than 38 digits"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(Decimal(value))
    if isinstance(value, Decimal):
        return _shorten(str(value))
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return f"a {type(value).__name__}"


def _shorten(value: str) -> str:
    shown = value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
    return shown.encode("utf-8", "backslashreplace").decode()
