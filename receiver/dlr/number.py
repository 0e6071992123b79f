"""When two telephone numbers are one, however they are written. Pure.

Numbers are stored and shown as they came. Wherever they are compared (rules of endpoints, filters,
erasure, the sandbox), both sides are compared by `comparable`:

    41793026727   +41 79 302 67 27   0041793026727   tel:+41-79-302-67-27   +41 (0)79 302 67 27

are one number. What has a letter in it, such as the sender InfoSMS, is a name: it is compared as it
is, capitals and blanks included. So is a short text of digits such as 7-11 or 007.

A national form (079 302 67 27, 011 41 79…) stays what it is: which country it is of, nobody can
know here. A library such as `phonenumbers` could not either without being told a region, and of
the forms above it adds none.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 40
"""Characters. No number is written with more, and what is longer is compared as it is."""

_SHORTEST: Final = 7
"""Digits. No international number has fewer (E.164); what has fewer is a short code, or a name."""

GAP: Final = r"[\s.\-\xad\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069]"
"""Between the digits: blanks, dots and hyphens, and what an address book puts around a number that
is copied out of it. An expression of `re`."""

_GAPS = re.compile(f"{GAP}+")
_MARK = re.compile(r"\+?(?:00)*")
_PARENTHESES = str.maketrans("", "", "()")
_URI = "tel:"


def comparable(text: str) -> str:
    """What all forms of one number have in common: its digits with the country code. A text that
    is no number is given back as it is."""
    if text.isalnum() and (text[0] != "0" or not text.isdecimal()):
        return text  # as it is: plain digits, or a name. This is all that most texts need
    read = _read(text)
    if read is None:
        return text
    digits, certain = read
    return digits if certain or len(digits) >= _SHORTEST else text


def comparable_prefix(text: str) -> str:
    """The same for the beginning of a number, which may be a single digit: +41 79 is 4179."""
    read = _read(text)
    return text if read is None else read[0]


def is_prefix(text: str) -> bool:
    """Whether a number can be written with this beginning."""
    return _read(text) is not None


def _read(text: str) -> tuple[str, bool] | None:
    """The digits, and whether they are certain to be a number; `None`: it is none."""
    if len(text) > LONGEST:
        return None
    squeezed = _GAPS.sub("", text)
    uri = squeezed[: len(_URI)].lower() == _URI
    if uri:
        squeezed = squeezed[len(_URI) :].partition(";")[0]  # parameters follow (RFC 3966)
    if _mark(squeezed):
        squeezed = squeezed.replace("(0)", "", 1)  # it is only dialled within the country
    bare = squeezed.translate(_PARENTHESES)
    mark = _mark(squeezed)
    digits = bare[len(mark) :]
    return (digits, uri or "+" in mark) if digits.isascii() and digits.isdecimal() else None


def _mark(text: str) -> str:
    """What says that a country code follows; nothing where nothing does."""
    found = _MARK.match(text.translate(_PARENTHESES))
    return found[0] if found else ""
