"""A text as it goes over the air: which characters, in which alphabet, in how many parts."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from dispatcher.sandbox.characters.alphabet import GSM7, UCS2, Alphabet, encode
from dispatcher.sandbox.characters.parts import parts_of, remaining
from dispatcher.sandbox.characters.transliteration import Transliteration, transliterate

Language = Literal["NONE", "TR", "ES", "PT", "AUTODETECT"]


class Converted(Struct, frozen=True):
    """`characters_remaining`: how many fit before there is one part more, as the preview says."""

    text: str
    alphabet: Alphabet
    parts: int
    characters_remaining: int


def convert(
    text: str,
    *,
    transliteration: Transliteration | None = None,
    language_code: Language | None = None,
    single_shift: bool | None = None,
    locking_shift: bool | None = None,
) -> Converted:
    """The text transliterated, in the alphabet that takes the fewest parts.

    GSM 7-bit where it suffices, then with the national tables that are allowed, then UCS-2 for the
    whole message. With a language and neither shift asked for, both may be used: v1 and v2 have
    only the language, and official clients of v3 send `false` for what was left out. Documented:
    a Turkish text of 98 characters leaves 57 of 155 (OAS, preview), so it takes the locking table.
    """
    text = transliterate(text, transliteration or "NONE")
    shifts = (single_shift, locking_shift) if single_shift or locking_shift else (True, True)
    for alphabets in ([GSM7], _national(language_code or "NONE", *shifts), [UCS2]):
        written = [_written(text, alphabet) for alphabet in alphabets]
        fitting = [converted for converted in written if converted]
        if fitting:
            return min(fitting, key=lambda found: (found.parts, -found.characters_remaining))
    raise AssertionError("UCS-2 has every character")


_TURKISH, _SPANISH, _PORTUGUESE = 1, 2, 3  # TS 23.038, 6.2.1.2.4; Spanish has no locking table
_SINGLE = {"TR": _TURKISH, "ES": _SPANISH, "PT": _PORTUGUESE}
_LOCKING = {"TR": _TURKISH, "PT": _PORTUGUESE}


def _national(language: Language, single: bool | None, locking: bool | None) -> list[Alphabet]:
    """Tables to try, the fewest elements in the header first. AUTODETECT tries each language."""
    if language == "AUTODETECT":
        return [
            *_national("TR", True, True),
            *_national("ES", True, True),
            *_national("PT", True, True),
        ]
    singles = [_SINGLE[language]] if single and language in _SINGLE else []
    lockings = [_LOCKING[language]] if locking and language in _LOCKING else []
    pairs = [(0, number) for number in singles] + [(number, 0) for number in lockings]
    pairs += [(number, other) for number in lockings for other in singles]
    return [Alphabet("GSM7", *pair) for pair in pairs]


def _written(text: str, alphabet: Alphabet) -> Converted | None:
    user_data = encode(text, alphabet)
    if user_data is None:
        return None
    parts = parts_of(user_data, alphabet)
    return Converted(text, alphabet, len(parts), remaining(parts, alphabet))
