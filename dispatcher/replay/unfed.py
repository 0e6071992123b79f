"""What running replays still have to feed, for the store's retention."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from dispatcher.replay.items import reports_of_piece


class Unfed:
    """The items of a replay never change, so they are read once, 8 bytes each."""

    def __init__(self) -> None:
        self._items: dict[int, tuple[int, Sequence[int]]] = {}  # by replay: position of the first

    def among(
        self,
        reports: Sequence[int],
        running: Mapping[int, int],
        pieces: Callable[[int, int], Iterable[tuple[int, str]]],
    ) -> Iterator[tuple[int, set[int]]]:
        """Each running replay, with those of these reports that it has not fed yet. `running`: how
        far each is fed. `pieces` gives the pieces of a replay that have items from a position on:
        the position of their first item, and the items."""
        self._items = {
            replay: self._items.get(replay) or (fed, _reports_from(fed, pieces(replay, fed)))
            for replay, fed in running.items()
        }
        for replay, fed in running.items():
            start, items = self._items[replay]
            yield replay, {each for each in reports if _is_in(items, each, fed - start)}


def _reports_from(position: int, pieces: Iterable[tuple[int, str]]) -> Sequence[int]:
    """The reports of the items from this position on. They ascend."""
    found = array("q")
    for start, piece in pieces:
        found.extend(islice(reports_of_piece(piece), max(0, position - start), None))
    return found


def _is_in(ascending: Sequence[int], value: int, start: int) -> bool:
    place = bisect_left(ascending, value, start)
    return place < len(ascending) and ascending[place] == value
