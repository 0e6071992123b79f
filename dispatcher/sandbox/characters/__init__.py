"""What of a message goes over the air: its characters, its octets, its parts. Pure functions."""

from dispatcher.sandbox.characters.alphabet import Alphabet, Kind, alphabet_of_data_coding
from dispatcher.sandbox.characters.binary import binary_parts, header_fault
from dispatcher.sandbox.characters.parts import PARTS_MAX, parts_of
from dispatcher.sandbox.characters.text import Converted, Language, convert
from dispatcher.sandbox.characters.transliteration import Transliteration, transliterate

__all__ = [
    "PARTS_MAX",
    "Alphabet",
    "Converted",
    "Kind",
    "Language",
    "Transliteration",
    "alphabet_of_data_coding",
    "binary_parts",
    "convert",
    "header_fault",
    "parts_of",
    "transliterate",
]
