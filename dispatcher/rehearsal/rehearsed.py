"""A whole run, as the reports tell it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from dispatcher.rehearsal.verdict import VERDICTS, Result, Verdict, tally

if TYPE_CHECKING:
    from dispatcher.rehearsal.drill.drilled import Drilled


class Rehearsed(Struct, frozen=True, kw_only=True):
    """`url` is without credentials. `verified`: the app's own state was asked for. `fault`: what
    the plain push that begins a run came to, when it was not taken; None when it was. `note` is
    what the reader should know of the whole run. `drill` is there when it was an outage drill and
    not checks."""

    url: str
    seed: int
    started_at: datetime
    seconds: float
    verified: bool
    fault: str | None = None
    note: str | None = None
    results: tuple[Result, ...]
    drill: Drilled | None = None

    @property
    def counts(self) -> Mapping[Verdict, int]:
        return tally(self.results)

    @property
    def verdict(self) -> Verdict:
        """The worst of them. A webhook that takes not even a plain report has failed, whatever was
        to be checked."""
        if self.fault is not None:
            return "failed"
        found = {result.verdict for result in self.results}
        return next((each for each in VERDICTS if each in found), "not judged")

    def of(self, *verdicts: Verdict) -> list[Result]:
        """The results of these verdicts, in the order of the verdicts."""
        return [r for verdict in verdicts for r in self.results if r.verdict == verdict]

    @property
    def summary(self) -> str:
        counts = ", ".join(f"{n} {verdict}" for verdict, n in self.counts.items() if n)
        return f"{counts or 'no checks'} in {self.seconds:.1f} s"
