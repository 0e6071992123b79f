"""Texts with U+0000 in PostgreSQL, which takes any other character.

A report's texts come from outside, and may have it in them. It is written as U+E000 (of the private
use area) and `0`, and U+E000 itself as U+E000 and `1`. Equal texts stay equal, and what a text
begins with or has in it, it has in this form, too.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.string import StrDumperUnknown, TextLoader

_MARK = "\ue000"


def to_database(text: str) -> str:
    if "\0" in text or _MARK in text:
        return text.replace(_MARK, f"{_MARK}1").replace("\0", f"{_MARK}0")
    return text


def from_database(text: str) -> str:
    if _MARK in text:
        return text.replace(f"{_MARK}0", "\0").replace(f"{_MARK}1", _MARK)
    return text


class _Dumper(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(to_database(obj))


class _Loader(TextLoader):
    def load(self, data: Buffer) -> str:
        text = super().load(data)
        assert isinstance(text, str)
        return from_database(text)


def adapt_texts(connection: psycopg.Connection[Any]) -> None:
    """Have this connection write and read texts in that form."""
    connection.adapters.register_dumper(str, _Dumper)
    connection.adapters.register_loader("text", _Loader)
