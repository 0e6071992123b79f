"""What was stored of late, for the read model."""

from __future__ import annotations

from collections.abc import Sequence

from receiver.store.base import TURN
from receiver.store.excerpt import Summary
from receiver.store.tally import CountedReport

Followed = tuple[CountedReport, Summary]
"""A report as the read model takes it."""

Stored = tuple[CountedReport, Summary | None]
"""A report that was stored, and what the read model takes of it, if that is in hand."""

FRESH_MOST = 20 * TURN
"""Reports that are kept for the follower: about 500 bytes each."""


class FreshReports:
    """What was stored in this process of late, so that the follower need not read it again.

    Nothing depends on it: what is missing here is read from the database. It is kept while a
    follower keeps up: one that lags too far has to read anyway.
    """

    def __init__(self) -> None:
        self._wanted = False
        self._reports: list[Followed] = []

    def begin(self) -> None:
        """Somebody has followed all that there is."""
        self._wanted = True

    def add(self, stored: Sequence[Stored]) -> None:
        """Take what a transaction has stored, in the order of ids."""
        if not self._wanted or not stored:
            return
        if len(self._reports) + len(stored) > FRESH_MOST:
            self._wanted = False
            self._reports = []
            return
        told = [(row, summary) for row, summary in stored if summary is not None]
        if self._reports and self._reports[-1][0].id + 1 != stored[0][0].id:
            self._reports = []  # another process has stored some between
        if len(told) == len(stored) == stored[-1][0].id + 1 - stored[0][0].id:
            self._reports += told
        else:  # some are not in hand, or another process has stored some between
            self._reports = []

    def after(self, report: int, most: int) -> list[Followed]:
        """At most `most` of the reports that follow this one without a gap; they are kept no
        longer. Nothing if the next one is not here."""
        start = 0 if not self._reports else report + 1 - self._reports[0][0].id
        if start < 0:
            return []
        found = self._reports[start : start + most]
        del self._reports[: start + most]
        return found
