"""Characters that GSM 7-bit lacks, replaced by some that it has.

Documented: the names, that `ALL` recognises all languages, that what the default alphabet has
stays (OAS, TransliterationCode), and one example, in Greek. The tables are not published: each is
ours, after a standard where there is one. A character that its table lacks stays as it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final, Literal

from anyascii import anyascii

from dispatcher.sandbox.characters.alphabet import in_default_alphabet

Transliteration = Literal[
    "NONE",
    "ALL",
    "TURKISH",
    "GREEK",
    "CYRILLIC",
    "SERBIAN_CYRILLIC",
    "BULGARIAN_CYRILLIC",
    "CENTRAL_EUROPEAN",
    "BALTIC",
    "PORTUGUESE",
    "COLOMBIAN",
    "NON_UNICODE",
]


def transliterate(text: str, transliteration: Transliteration) -> str:
    """`text` with what the default alphabet lacks replaced. Never raises."""
    if transliteration == "NONE":
        return text
    replacement = _REPLACEMENTS[transliteration]
    return "".join(
        character if in_default_alphabet(character) else replacement(character)
        for character in unicodedata.normalize("NFC", text)
    )


def _greek(character: str) -> str:
    """Capitals without accents; Latin ones of the same look where GSM has no Greek one (OAS)."""
    bare = unicodedata.normalize("NFD", character)[0]
    if not unicodedata.name(bare, "").startswith("GREEK"):
        return character
    return bare.upper().translate(_LOOK_ALIKES)


_LOOK_ALIKES = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX")


def _cyrillic(character: str) -> str:
    """All of the script's letters; Russian ones as in the BGN/PCGN romanisation."""
    return anyascii(character) if "\u0400" <= character <= "\u052f" else character


_SERBIAN = dict(zip("абвгдежзијклмнопрстћуфхцчш", "abvgdezzijklmnoprstcufhccs", strict=True))
_SERBIAN |= {"ђ": "dj", "љ": "lj", "њ": "nj", "џ": "dz"}  # Gaj's alphabet, without its accents

_BULGARIAN = dict(zip("абвгдезийклмнопрстуфхъь", "abvgdeziyklmnoprstufhay", strict=True))
_BULGARIAN |= {"ж": "zh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sht", "ю": "yu", "я": "ya"}
# the Bulgarian Transliteration Act of 2009


def _by(table: dict[str, str]) -> Callable[[str], str]:
    both = table | {small.upper(): latin.capitalize() for small, latin in table.items()}
    return lambda character: both.get(character, character)


def _bare(letters: str) -> Callable[[str], str]:
    """Each of `letters` without its accent; GSM 7-bit has none of them."""
    return _exactly({letter: anyascii(letter) for letter in letters})


def _exactly(table: dict[str, str]) -> Callable[[str], str]:
    return lambda character: table.get(character, character)


_TURKISH = "ĞğİıŞşçÂâÎîÛû"
_CENTRAL_EUROPEAN = (
    "ĄąĆćĘęŁłŃńÓóŚśŹźŻż"  # Polish
    "ÁáČčĎďĚěÍíŇňŘřŠšŤťÚúŮůÝýŽžĹĺĽľŔŕÔô"  # Czech, Slovak
    "ŐőŰűĐđ"  # Hungarian, Croatian
    "ĂăÂâÎîȘșȚțŞşŢţ"  # Romanian, with the cedillas that often stand for its commas
)
_BALTIC = "ĀāČčĒēĢģĪīĶķĻļŅņŌōŖŗŠšŪūŽžĄąĘęĖėĮįŲųÕõ"  # Latvian, Lithuanian, Estonian
_PORTUGUESE = "ÁáÂâÃãÀçÊêÍíÓóÔôÕõÚúªº"
_SPANISH = "ÁáÍíÓóÚú"


def _all(character: str) -> str:
    """`ALL` is about languages: an emoji stays, and keeps the message in Unicode."""
    for replacement in (_greek, _cyrillic, _any_letter):
        if (replaced := replacement(character)) != character:
            return replaced
    return character


_any_letter = _bare(_TURKISH + _CENTRAL_EUROPEAN + _BALTIC + _PORTUGUESE + _SPANISH)


def _non_unicode(character: str) -> str:
    """Anything, so that nothing is left that would need Unicode; "?" where nothing is like it."""
    replaced = _NOT_IN_GSM.get(character) or anyascii(character)
    return replaced if replaced and all(map(in_default_alphabet, replaced)) else "?"


_NOT_IN_GSM = {"`": "'", "\t": " "}  # ASCII, but not GSM 7-bit

_REPLACEMENTS: Final[dict[str, Callable[[str], str]]] = {
    "ALL": _all,
    "TURKISH": _bare(_TURKISH),
    "GREEK": _greek,
    "CYRILLIC": _cyrillic,
    "SERBIAN_CYRILLIC": _by(_SERBIAN),
    "BULGARIAN_CYRILLIC": _by(_BULGARIAN),
    "CENTRAL_EUROPEAN": _bare(_CENTRAL_EUROPEAN),
    "BALTIC": _bare(_BALTIC),
    "PORTUGUESE": _bare(_PORTUGUESE),
    "COLOMBIAN": _bare(_SPANISH),
    "NON_UNICODE": _non_unicode,
}
