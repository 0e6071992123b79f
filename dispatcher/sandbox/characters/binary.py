"""Binary messages: the sender's own octets, with or without a header of the sender's own."""

from __future__ import annotations

from dispatcher.sandbox.characters.alphabet import Alphabet, alphabet_of_data_coding
from dispatcher.sandbox.characters.parts import USER_DATA_OCTETS, parts_of

USER_DATA_HEADER = 0x40
"""The bit of `esmClass` that says that the data begin with a header (SMPP 3.4, 5.2.12)."""


def binary_parts(data: bytes, data_coding: int, esm_class: int) -> int:
    """How many parts the data take: one if they begin with a header, because then
    the sender has split the message already."""
    if esm_class & USER_DATA_HEADER:
        return 1
    return len(parts_of(data, alphabet_of_data_coding(data_coding)))


def header_fault(data: bytes, data_coding: int, esm_class: int) -> str | None:
    """Why a message is refused with status 24, REJECTED_INVALID_UDH; `None` when it is not.

    The provider's table says "bad esmClass or UDH / character count". The header's form is of
    TS 23.040, 9.2.3.24: its length, then elements of name, length and value that fill it exactly.
    """
    if not esm_class & USER_DATA_HEADER:
        return None
    if not data:
        return "esmClass announces a header, but there is no data"
    length, header = data[0], data[1 : 1 + data[0]]
    if len(header) < length:
        return f"the header announces {length} octets, but {len(header)} follow"
    if not _filled(header):
        return f"the elements of the header do not fill its {length} octets"
    room = _room(1 + length, alphabet_of_data_coding(data_coding))
    used = len(data) - 1 - length
    return None if used <= room else f"after the header, {room} octets fit in one part, got {used}"


def _filled(header: bytes) -> bool:
    at = 0
    while at + 1 < len(header):
        at += 2 + header[at + 1]
    return at == len(header)


def _room(header_octets: int, alphabet: Alphabet) -> int:
    free = max(0, USER_DATA_OCTETS - header_octets)
    return free * 8 // 7 if alphabet.kind == "GSM7" else free
