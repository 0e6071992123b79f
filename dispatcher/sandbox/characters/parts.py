"""How user data are cut into the parts of a concatenated message, and what still fits.

Everything is computed from three numbers of 3GPP TS 23.040: user data have 140 octets (9.2.3.24),
a header costs an octet for its length and each of its elements two for name and length.
"""

from __future__ import annotations

from collections.abc import Iterator

from dispatcher.sandbox.characters.alphabet import ESCAPE, Alphabet

USER_DATA_OCTETS = 140
_LENGTH = 1  # the header's own length
_CONCATENATION = 2 + 3  # reference, number of parts, this part (9.2.3.24.1)
_NATIONAL_LANGUAGE = 2 + 1  # its identifier, in a single or a locking shift (9.2.3.24.15, .16)

PARTS_MAX = 25
"""More are refused with status 25, REJECTED_MESSAGE_TOO_LONG: "25 parts or 4000 bytes" says the
provider's table of statuses. 25 parts never hold 4000 bytes: 3825 septets, or 3350 octets."""


def parts_of(user_data: bytes, alphabet: Alphabet) -> list[bytes]:
    """The user data of each part, without headers. No data is one empty part.

    An escape and its character, or the two halves of a surrogate pair, stay together.
    """
    if len(user_data) <= capacity(alphabet, concatenated=False):
        return [user_data]
    return list(_cut(user_data, alphabet, capacity(alphabet, concatenated=True)))


def capacity(alphabet: Alphabet, *, concatenated: bool) -> int:
    """How many octets of user data, as `alphabet.py` counts them, fit a part."""
    elements = _CONCATENATION if concatenated else 0
    elements += _NATIONAL_LANGUAGE * ((alphabet.locking != 0) + (alphabet.single != 0))
    free = USER_DATA_OCTETS - (_LENGTH + elements if elements else 0)
    if alphabet.kind == "GSM7":
        return free * 8 // 7  # eight septets in seven octets, from the next septet's boundary on
    return free


def remaining(parts: list[bytes], alphabet: Alphabet) -> int:
    """Characters of one unit that still fit before there is one part more."""
    free = capacity(alphabet, concatenated=len(parts) > 1) - len(parts[-1])
    return free // 2 if alphabet.kind == "UCS2" else free


def _cut(user_data: bytes, alphabet: Alphabet, size: int) -> Iterator[bytes]:
    start = 0
    while start < len(user_data):
        part = user_data[start : start + size]
        if start + size < len(user_data):
            part = part[: size - _torn(part, alphabet)]
        yield part
        start += len(part)


def _torn(part: bytes, alphabet: Alphabet) -> int:
    """Octets at the end of a full part that belong to a character of the next one."""
    if alphabet.kind == "UCS2":
        half = 0xD8 <= part[-2] <= 0xDB  # the first of a surrogate pair
        return 2 if half else 0
    if alphabet.kind == "GSM7":
        escapes = len(part) - len(part.rstrip(bytes([ESCAPE])))
        return escapes % 2  # an escape may itself be escaped
    return 0
