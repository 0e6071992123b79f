"""What a body that cannot be read is told: where, what was expected, what came."""

from __future__ import annotations

from msgspec import Struct


class ItemRefused(ValueError):
    """One item that is kept in quarantine and not stored. Its neighbours are not touched by it.

    `place` is the path from the body's root, such as `results[3].status.groupId`.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class MalformedReport(ItemRefused):
    """One item that is not a readable report."""

    def __init__(self, place: str, expected: str, came: str) -> None:
        super().__init__(place, f"expected {expected}, got {came}")
        self.expected = expected
        self.came = came


class MalformedBody(ValueError):
    """A body that holds no readable list of reports at all.

    `place` is a position (`line 3, column 7`, `byte 120`) or a path (`results`).
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}" if place else reason)
        self.place = place
        self.reason = reason


class TooManyItems(MalformedBody):
    """A body with more items than are taken at once; how many is not counted."""

    def __init__(self, most: int) -> None:
        super().__init__("results", f"expected at most {most} reports, got more")


class Unreadable(Struct, frozen=True, kw_only=True):
    """What is kept in quarantine: the exact bytes, where they stood, and why they are not stored.

    From XML the bytes are in UTF-8, whatever the encoding of the document was.
    """

    raw: bytes
    place: str
    reason: str

    @classmethod
    def because(cls, error: ItemRefused | MalformedBody, raw: bytes) -> Unreadable:
        return cls(raw=raw, place=error.place, reason=error.reason)

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason
