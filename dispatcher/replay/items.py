"""What a replay is to bring: its items, in pieces as they lie in the database.

A piece is JSON, [reports, places, offsets]: reports and offsets as differences to the item before,
places as indexes into the replay's endpoints. So a million items are ten megabytes in a thousand
rows, which is a transaction that no callback notices; a row each would be one of some seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import sub

import msgspec

from dispatcher.replay.replay import Item

PIECE = 1_000
"""Items in a piece; the last may have fewer."""

_Columns = tuple[list[int], list[int], list[int]]
_decoder = msgspec.json.Decoder(_Columns)


class Items:
    """Many items in little room, in the order of arrival."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._full: list[str] = []
        self._columns: _Columns = ([], [], [])
        self._first: int | None = None
        self._latest = 0

    def __len__(self) -> int:
        return len(self._full) * PIECE + len(self._columns[0])

    @property
    def endpoints(self) -> list[str]:
        """What the places of the pieces stand for."""
        return list(self._places)

    def add(self, report: int, endpoint: str, received_at: int) -> None:
        """Offsets ascend, though a clock may have been set back."""
        self._latest = max(self._latest, received_at)
        if self._first is None:
            self._first = received_at
        reports, places, offsets = self._columns
        reports.append(report)
        places.append(self._places.setdefault(endpoint, len(self._places)))
        offsets.append(self._latest - self._first)
        if len(reports) == PIECE:
            self._full.append(write_piece(*self._columns))
            self._columns = ([], [], [])

    def pieces(self) -> Iterator[str]:
        yield from self._full
        if self._columns[0]:
            yield write_piece(*self._columns)

    def __iter__(self) -> Iterator[Item]:
        for piece in self.pieces():
            yield from read_piece(piece, self.endpoints)


def write_piece(reports: Sequence[int], places: Sequence[int], offsets: Sequence[int]) -> str:
    columns = (_differences(reports), places, _differences(offsets))
    return msgspec.json.encode(columns).decode()


def read_piece(piece: str, endpoints: Sequence[str]) -> list[Item]:
    reports, places, offsets = _decoder.decode(piece)
    rows = zip(accumulate(reports), places, accumulate(offsets), strict=True)
    return [Item(report, endpoints[place], offset) for report, place, offset in rows]


def reports_of_piece(piece: str) -> Iterator[int]:
    """The reports of its items, in their order."""
    return accumulate(_decoder.decode(piece)[0])


def _differences(values: Sequence[int]) -> list[int]:
    return [*values[:1], *map(sub, values[1:], values)]
