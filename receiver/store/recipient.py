"""Whose data is to be erased, and whether a text or some bytes hold it. Pure."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Final

from msgspec import Struct

from receiver.dlr.model import Report
from receiver.dlr.number import GAP, comparable
from receiver.store.excerpt import Excerpt
from receiver.store.texts import texts_of

_PASSED_OVER: Final = bytes([*range(0x21), *b"-.", *range(0x7F, 0x100)])
"""Bytes that may stand between two digits of a number, beside parentheses: gaps, and what is not
ASCII. The zeros of UTF-16 are among them."""


class Recipient(Struct, frozen=True, dict=True):
    """Whose data: a number, or the recipient of one message. Exactly one is given.

    All forms of a number are one (receiver/dlr/number.py). An id is compared to the letter. A
    `source` goes with a messageId: it is the message of this source, and no other's. `None`: the
    messages of all sources that have this messageId.
    """

    to: str | None = None
    message_id: str | None = None
    source: str | None = None

    def has(self, report: Report | Excerpt) -> bool:
        """Whether the report is about this recipient. Where it came from it does not tell."""
        if self.to is None:
            return report.message_id == self.message_id
        return report.to is not None and comparable(report.to) == self.text

    @cached_property
    def text(self) -> str:
        """What is compared: the comparable form of the number, or the id."""
        return comparable(self.to) if self.to is not None else self.message_id or ""

    def is_named_in(self, text: str) -> bool:
        """Whether a text holds the number in any form, or the id, with no letter or digit before or
        after it."""
        if not self.may_be_in(text.encode("utf-8", "replace")):
            return False
        return _alone(self.text, self.to is not None).search(text) is not None

    def may_be_in(self, raw: bytes) -> bool:
        """Whether to look closer at bytes in any charset that has the digits of ASCII. False only
        if no text in them names the recipient. Takes a nanosecond or two a byte."""
        return self._squeezed in _squeezed(raw)

    def is_named_in_bytes(self, body: bytes, content_type: str | None = None) -> bool:
        """The same for bytes, whatever text they stand for (texts.py)."""
        return any(self.is_named_in(text) for text in texts_of(body, content_type))

    @cached_property
    def _squeezed(self) -> bytes:
        return _squeezed(self.text.encode("utf-8", "replace"))


def _squeezed(raw: bytes) -> bytes:
    return raw.translate(None, _PASSED_OVER).replace(b"(0)", b"").translate(None, b"()")


@lru_cache
def _alone(text: str, is_number: bool) -> re.Pattern[str]:
    whole = re.escape(text)
    if is_number and text.isdecimal():
        between = rf"(?:{GAP}|[()]|\(0\)){{0,6}}"
        whole = rf"(?:00{between})?" + between.join(text)
    return re.compile(rf"(?<![0-9A-Za-z]){whole}(?![0-9A-Za-z])")
