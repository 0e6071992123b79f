"""What a body that cannot be read is told: where, what was expected, what came."""

from __future__ import annotations

from msgspec import Struct


class MalformedReport(ValueError):
    """One item that is not a readable report. Its neighbours are not touched by it.

    `place` is the path from the body's root, such as `results[3].status.groupId`.
    """

    def __init__(self, place: str, expected: str, came: str) -> None:
        super().__init__(f"{place}: expected {expected}, got {came}")
        self.place = place
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
    """What could not be read, for the quarantine: the exact bytes, where, and why.

    From XML the bytes are in UTF-8, whatever the encoding of the document was.
    """

    raw: bytes
    place: str
    reason: str

    @classmethod
    def because(cls, error: MalformedReport, raw: bytes) -> Unreadable:
        return cls(
            raw=raw, place=error.place, reason=f"expected {error.expected}, got {error.came}"
        )
