"""Finding reports, newest first, in steps of bounded time.

    ids          where a step looks
    ----------------------------------------------------------------------------------------
    the newest   reports after the read model's cursor: each one
    the others   with a text to look up (to, bulkId, sender): the ids under its search key
                 with status, error, source, time of receipt: the ids between the first and the
                 last of those hours that have such reports at all
                 otherwise: each one

In each case every candidate is compared with the whole query: the read model decides only how fast
an answer comes, never what it says. A database is asked by an `Index`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from msgspec import Struct

from receiver.store import following
from receiver.store.base import FoundReports, ReportQuery, StoredReport
from receiver.store.excerpt import BULK_ID, OTHER_OUTCOMES, SENDER, TO, ReportOutcome, key_of_text
from receiver.store.matching import asks_for_outcome, item_matches, outcome_matches

STEP = 20_000
"""Reports that one step looks at: at most 0.1 s (measured)."""

PIECE = 1_000
"""Ids that are looked at between two looks at what has been found."""

PREFIX_MOST = 5_000
"""Ids under a prefix in one block, above which the block is read in a row."""

_LOOK_UP = 4  # what a report costs that is fetched by its id, in reports that are read in a row


class Piece(Struct, frozen=True):
    """Candidates, and their price: `ids`, newest first, or (None) each one from `low` to `high`.
    All wanted reports from `low` up to the piece before are among them."""

    low: int
    high: int
    ids: Sequence[int] | None
    cost: int


class Index(Protocol):
    """One view of a database."""

    def ends(self) -> tuple[int, int] | None:
        """The lowest and the highest id of a report; None when there is none."""

    def runs(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """First and last id of the stretches between these two that have reports, newest first.
        A stretch may have gaps, as long as those that an erasure leaves."""

    def followed_to(self) -> int:
        """The report up to which the read model is complete."""

    def reports(self, piece: Piece, query: ReportQuery) -> Iterator[StoredReport]:
        """Those of a piece, newest first, whose columns say what is asked (source, finality, status
        group, time of receipt, `after`)."""

    def under_text(self, block: int, field: int, text: str, high: int, most: int) -> Sequence[int]:
        """The newest reports up to `high` in a block that have this key, newest first."""

    def under_prefix(
        self, block: int, field: int, prefix: str, end: str | None, high: int, most: int
    ) -> Sequence[int]:
        """Reports up to `high` in a block whose key is at least `prefix` and before `end` (None:
        any), in any order."""

    def outcomes(self) -> Iterator[tuple[int, ReportOutcome]]:
        """What reports say, by the number under which it is added up."""

    def stretches(
        self, query: ReportQuery, outcomes: Sequence[int] | None
    ) -> Sequence[tuple[int, int]] | None:
        """First and last report of the hours that have reports of this source, time and these
        outcomes (None: any). None when none of these is asked for."""


def find_in(index: Index, query: ReportQuery, message: Sequence[int] | None = None) -> FoundReports:
    """One step of a search. `message` are the ids of its reports if the query asks for one."""
    left = STEP
    found: list[StoredReport] = []
    for piece in _pieces(index, query, message):
        if piece.ids or piece.ids is None:
            for report in index.reports(piece, query):
                if item_matches(report, query):
                    found.append(report)
                    if len(found) >= query.limit:
                        return FoundReports(found, report.id)
        left -= piece.cost
        if left <= 0:
            return FoundReports(found, piece.low)
    return FoundReports(found, None)


async def all_found(
    find: Callable[[ReportQuery], Awaitable[FoundReports]], query: ReportQuery
) -> list[StoredReport]:
    """What is found in as many steps as it takes."""
    reports: list[StoredReport] = []
    before = query.before
    while len(reports) < query.limit:
        rest = query.limit - len(reports)
        found = await find(replace(query, before=before, limit=rest))
        reports += found.reports
        if (before := found.next) is None:
            break
    return reports


# --- where to look -----------------------------------------------------------------------------


def _pieces(index: Index, query: ReportQuery, message: Sequence[int] | None) -> Iterator[Piece]:
    ends = index.ends()
    if ends is None:
        return
    lowest, highest = ends
    high = highest if query.before is None else min(highest, query.before - 1)
    lowest = lowest if query.after is None else max(lowest, query.after + 1)
    if lowest > high:
        return
    if message is not None:
        ids = sorted((id for id in message if id <= high), reverse=True)
        for start in range(0, len(ids), PIECE):
            yield _by_id(ids[start : start + PIECE])
        return
    followed = index.followed_to()
    yield from _in_a_row(index, max(lowest, followed + 1), high)
    high = min(high, followed)
    if (key := _key(query)) is not None:
        yield from _under_key(index, *key, lowest, high)
    else:
        for first, last in _stretches(index, query, followed):
            yield from _in_a_row(index, max(first, lowest), min(last, high))


def _in_a_row(index: Index, low: int, high: int) -> Iterator[Piece]:
    """The ids from high down to low, both included."""
    for first, last in index.runs(low, high):
        while last >= first:
            start = max(first, last - PIECE + 1)
            yield Piece(start, last, None, last - start + 1)
            last = start - 1


def _by_id(ids: Sequence[int]) -> Piece:
    """Some ids, newest first."""
    return Piece(ids[-1], ids[0], ids, _LOOK_UP * len(ids))


def _key(query: ReportQuery) -> tuple[int, str, bool] | None:
    """Field, text, and whether it is a prefix: what there are fewest of comes first."""
    for field, text in ((TO, query.to), (BULK_ID, query.bulk_id)):
        if text is not None:
            return field, key_of_text(text), False
    if query.to_prefix:
        return TO, key_of_text(query.to_prefix), True
    return None if query.sender is None else (SENDER, key_of_text(query.sender), False)


def _under_key(
    index: Index, field: int, text: str, prefix: bool, lowest: int, high: int
) -> Iterator[Piece]:
    bits = following.BLOCK_BITS
    for first, last in index.runs(lowest, high):
        for block in range(last >> bits, (first >> bits) - 1, -1):
            low = max(first, block << bits)
            if prefix:
                yield from _under_prefix(index, block, field, text, low, last)
            else:
                yield from _under_text(index, block, field, text, last)
            last = (block << bits) - 1
            yield Piece(low, last, (), 1)  # this block is done, also if there was nothing in it


def _under_text(index: Index, block: int, field: int, text: str, high: int) -> Iterator[Piece]:
    while ids := index.under_text(block, field, text, high, PIECE // 2):
        yield _by_id(ids)
        high = ids[-1] - 1


def _under_prefix(
    index: Index, block: int, field: int, prefix: str, low: int, high: int
) -> Iterator[Piece]:
    found = index.under_prefix(block, field, prefix, _end_of(prefix), high, PREFIX_MOST)
    if len(found) == PREFIX_MOST:
        yield from _in_a_row(index, low, high)
        return
    ids = sorted(found, reverse=True)
    for start in range(0, len(ids), PIECE):
        yield _by_id(ids[start : start + PIECE])


def _end_of(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`; `None` when there is none."""
    text = prefix.rstrip("\U0010ffff")
    if not text:
        return None
    following = ord(text[-1]) + 1
    return text[:-1] + chr(0xE000 if following == 0xD800 else following)


def _stretches(index: Index, query: ReportQuery, followed: int) -> list[tuple[int, int]]:
    """First and last id of stretches that hold all wanted reports, newest first, disjoint."""
    outcomes = None
    if asks_for_outcome(query):
        fitting = [id for id, said in index.outcomes() if outcome_matches(said, query)]
        outcomes = [OTHER_OUTCOMES, *fitting]
    stretches = index.stretches(query, outcomes)
    return [(0, followed)] if stretches is None else _joined(stretches)


def _joined(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(stretches):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined[::-1]
