"""Other names for numbers, ids and texts: the same for the same within one capsule.

They are made with a key that is drawn for the capsule and kept nowhere, so that nobody can try out
numbers, of which there are few, against the file.
"""

from __future__ import annotations

import re
import secrets
from hashlib import blake2b

from receiver.dlr.number import comparable

_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)
_MARKS = ("", "+", "00")

_ROUNDS = 10

_TWO_DIGITS = re.compile("2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]")
"""Country codes of two digits; with 1 and 7 those of one digit, all others have three (ITU-T
E.164)."""


class Pseudonyms:
    """One capsule's. `key` is drawn unless a test brings one."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)

    def text(self, kind: str, text: str) -> str:
        """20 hexadecimal digits. Kinds (`messageId`, `callbackData` …) are apart: what is the same
        text in two of them is not the same here."""
        return self._digest(kind, text, 10).hex()

    def number(self, text: str) -> str:
        """Another number of the same country code and length; what is no number: as `text`.

        All forms of one number are one here too: a plus or 00 before it stays, blanks within it do
        not. Different numbers stay different: a Feistel network over the digits, which can be
        undone only with the key.
        """
        digits = comparable(text)
        if not _NUMBER.fullmatch(digits):
            return self.text("number", text)
        mark = next((each for each in _MARKS if text == each + digits), "")
        kept = country_code(digits) if len(digits) > 6 else ""  # a short code has none
        return mark + kept + self._mixed(digits[len(kept) :])

    def _mixed(self, digits: str) -> str:
        if len(digits) == 1:
            return self._shifted(0, digits, "")
        left, right = digits[: len(digits) // 2], digits[len(digits) // 2 :]
        for number in range(_ROUNDS):
            left, right = right, self._shifted(number, left, right)
        return left + right

    def _shifted(self, number: int, digits: str, by: str) -> str:
        """`digits` and what the key makes of `by`, added, without the carry."""
        drawn = self._digest(f"round {number} of {len(digits)}", by, 16)
        modulus = 10 ** len(digits)
        return f"{(int(digits) + int.from_bytes(drawn)) % modulus:0{len(digits)}}"

    def _digest(self, kind: str, text: str, size: int) -> bytes:
        said = f"{kind}\0{text}".encode(errors="surrogatepass")
        return blake2b(said, key=self._key, digest_size=size).digest()


def country_code(digits: str) -> str:
    """The country code with which an international number begins."""
    if digits[:1] in ("1", "7"):
        return digits[:1]
    return digits[: 2 if _TWO_DIGITS.match(digits) else 3]
