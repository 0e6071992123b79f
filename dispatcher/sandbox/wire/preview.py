"""POST /sms/1/preview: how a text will look, and how many messages it will be (OAS, S4)."""

from __future__ import annotations

from typing import Any, Final

from dispatcher.sandbox.characters import convert
from dispatcher.sandbox.wire.common import LANGUAGE_CODE, TRANSLITERATION
from dispatcher.sandbox.wire.rules import Reading, Text
from dispatcher.sandbox.wire.shapes import Field, Shape, Values

ROOT: Final = "PreviewResponse"

TEXT_MOST: Final = 10_000
"""Ours: nothing that long can be sent, and counting takes time."""

REQUEST: Final = Shape(
    Field("text", Text(TEXT_MOST), "OAS; the size: ours", required=True),
    Field("languageCode", LANGUAGE_CODE, "OAS"),
    Field("transliteration", TRANSLITERATION, "OAS"),
)


def answer_of(values: Values, _: Reading) -> dict[str, Any]:
    """The text as it is and, where a language or transliteration was asked for, with these."""
    text, language = values["text"], values["languageCode"]
    transliteration = values["transliteration"]
    previews = [_preview(text, None, None)]
    if language or transliteration:
        previews.append(_preview(text, language, transliteration))
    return {"originalText": text, "previews": previews}


def _preview(text: str, language: Any, transliteration: Any) -> dict[str, Any]:
    converted = convert(text, language_code=language, transliteration=transliteration)
    configuration: dict[str, Any] = {}
    if language:
        configuration["language"] = {"languageCode": language}
    if transliteration:
        configuration["transliteration"] = transliteration
    return {
        "textPreview": converted.text,
        "messageCount": converted.parts,
        "charactersRemaining": converted.characters_remaining,
        "configuration": configuration,
    }
