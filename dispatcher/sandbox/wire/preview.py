"""POST /sms/1/preview: how a text will look, and how many messages it will be (OAS, S4)."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from dispatcher.sandbox.characters.text import Language, convert
from dispatcher.sandbox.characters.transliteration import Transliteration
from dispatcher.sandbox.wire.common import LANGUAGE_CODE, TRANSLITERATION
from dispatcher.sandbox.wire.rules import Inspection, Text
from dispatcher.sandbox.wire.tables import Field, Table, Values
from receiver.answers import Count

ROOT: Final = "PreviewResponse"

TEXT_MOST: Final = 10_000
"""Ours: nothing that long can be sent, and counting takes time."""

REQUEST: Final = Table(
    Field("text", Text(TEXT_MOST), "OAS; the size: ours", required=True),
    Field("languageCode", LANGUAGE_CODE, "OAS"),
    Field("transliteration", TRANSLITERATION, "OAS"),
)


class PreviewLanguage(Struct, frozen=True, rename="camel"):
    language_code: str


class PreviewConfiguration(Struct, frozen=True):
    language: PreviewLanguage | UnsetType = UNSET
    transliteration: str | UnsetType = UNSET


class Preview(Struct, frozen=True, rename="camel"):
    text_preview: str
    message_count: Count
    characters_remaining: Count
    configuration: PreviewConfiguration


class PreviewResponse(Struct, frozen=True, rename="camel"):
    original_text: str
    previews: list[Preview]


def answer_of(values: Values, _: Inspection) -> PreviewResponse:
    """The text as it is and, where a language or transliteration was asked for, with these."""
    text, language = values["text"], values["languageCode"]
    transliteration = values["transliteration"]
    previews = [_preview(text, None, None)]
    if language or transliteration:
        previews.append(_preview(text, language, transliteration))
    return PreviewResponse(text, previews)


def _preview(
    text: str, language: Language | None, transliteration: Transliteration | None
) -> Preview:
    converted = convert(text, language_code=language, transliteration=transliteration)
    return Preview(
        converted.text,
        converted.parts,
        converted.characters_remaining,
        PreviewConfiguration(
            PreviewLanguage(language) if language else UNSET, transliteration or UNSET
        ),
    )
