"""Whose data is to be erased."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from receiver.dlr.model import Report


class Recipient(Struct, frozen=True):
    """Whose data: a number, or the recipient of one message. Exactly one is given.

    A `source` goes with a messageId: it is the message of this source, and no other's. `None`: the
    messages of all sources that have this messageId.
    """

    to: str | None = None
    message_id: str | None = None
    source: str | None = None

    @property
    def text(self) -> str:
        return self.to.lstrip("+") if self.to is not None else self.message_id or ""

    def has(self, report: Report) -> bool:
        """Whether the report is about this recipient. Where it came from it does not tell."""
        if self.to is None:
            return report.message_id == self.message_id
        return report.to is not None and report.to.strip().lstrip("+") == self.text

    @property
    def written(self) -> str:
        """The text as it stands inside a JSON text."""
        return msgspec.json.encode(self.text).decode()[1:-1]
