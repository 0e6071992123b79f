"""Alphabets of SMS and how a text is written in them (3GPP TS 23.038).

User data are octets here: in GSM 7-bit one for each septet, not packed yet, as SMPP hands them on
too; in UCS-2 two for each code unit. The tables, those of Annex A included, are gsmcodecs' own.
"""

from __future__ import annotations

from typing import Literal

import gsmcodecs  # noqa: F401  registers the codecs "gsm23.038-<locking>-<single>"
from msgspec import Struct

Kind = Literal["GSM7", "8BIT", "UCS2"]

ESCAPE = 0x1B
"""The septet that makes the one after it a character of the extension table (6.2.1.1)."""


class Alphabet(Struct, frozen=True):
    """`locking` and `single` are national language identifiers (6.2.1.2.4); 0 is the default
    alphabet and its own extension table. They mean something in GSM7 only.
    """

    kind: Kind
    locking: int = 0
    single: int = 0


GSM7 = Alphabet("GSM7")
OCTETS = Alphabet("8BIT")
UCS2 = Alphabet("UCS2")


_TABLES = {1: "Turkish", 2: "Spanish", 3: "Portuguese"}


def alphabet_words(alphabet: Alphabet) -> str:
    """For people: `GSM 7-bit with Turkish characters`."""
    if alphabet.kind != "GSM7":
        return {"UCS2": "UCS-2", "8BIT": "8-bit data"}[alphabet.kind]
    table = _TABLES.get(alphabet.locking or alphabet.single)
    return "GSM 7-bit" if table is None else f"GSM 7-bit with {table} characters"


def encode(text: str, alphabet: Alphabet) -> bytes | None:
    """`text` as user data, or `None` when the alphabet lacks one of its characters.

    UCS-2 has all of them: those beyond the Basic Multilingual Plane take two code units, as phones
    do it although the specification never named UTF-16. A lone surrogate counts as one unit.
    """
    if alphabet.kind == "UCS2":
        return text.encode("utf-16-be", "surrogatepass")
    try:
        return text.encode(_codec(alphabet))
    except UnicodeEncodeError:
        return None


def decode(octets: bytes, alphabet: Alphabet) -> str:
    """The text that `encode` made `octets` of."""
    if alphabet.kind == "UCS2":
        return octets.decode("utf-16-be", "surrogatepass")
    return octets.decode(_codec(alphabet))


def in_default_alphabet(character: str) -> bool:
    """Whether GSM 7-bit has it, in the default alphabet or in its extension table."""
    return character in _DEFAULT


def alphabet_of_data_coding(data_coding: int) -> Alphabet:
    """The alphabet that a data coding scheme of 0 to 255 names (TS 23.038, section 4).

    Compressed text is octets that nobody counts as characters. Reserved codings are read as
    GSM 7-bit, as the same section wants it.
    """
    group, low = data_coding >> 4, data_coding & 0x0F
    if group <= 0x7:
        compressed = bool(data_coding & 0x20)
        return OCTETS if compressed else _GENERAL[low >> 2]
    if group == 0xE:  # message waiting, stored, in UCS-2
        return UCS2
    if group == 0xF:  # data coding and message class
        return OCTETS if low & 0x4 else GSM7
    return GSM7


def _codec(alphabet: Alphabet) -> str:
    return f"gsm23.038-{alphabet.locking}-{alphabet.single}"


_GENERAL = (GSM7, OCTETS, UCS2, GSM7)  # bits 3 and 2 of the general groups; the last is reserved

_CODES = [*(bytes([code]) for code in range(0x80)), *(bytes([ESCAPE, c]) for c in range(0x80))]
_DEFAULT = frozenset(
    "".join(code.decode(_codec(GSM7), "ignore") for code in _CODES if code[-1] != ESCAPE)
)
