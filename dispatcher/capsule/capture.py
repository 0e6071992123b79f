"""Out of a database into a capsule, in pieces: the memory is flat for any number of reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dispatcher.capsule.base import Recording, Span, Window
from dispatcher.capsule.capsule import SHARED, SharedReport, Writer
from dispatcher.capsule.pseudonyms import Pseudonyms
from dispatcher.capsule.shared_item import shared
from dispatcher.settings.settings import EndpointSettings
from receiver.settings.writing import as_table

PIECE = 5_000
"""Ids that one reading goes through: some 20 ms."""

Watch = Callable[[float], bool]
"""Told after each piece how much is done, 0 to 1. False breaks it off."""


class BrokenOff(Exception):
    """The watch wanted no more."""


def shared_settings(settings: EndpointSettings) -> dict[str, Any]:
    """What of an endpoint's settings goes into a capsule."""
    if settings.outcome is not None:  # the expression could be a text of anybody's
        settings = replace(settings, outcome=replace(settings.outcome, body_matches=""))
    table = as_table(settings)
    return {name: table[name] for name in SHARED if name in table}


async def capture(
    recording: Recording,
    writer: Writer,
    window: Window,
    pseudonyms: Pseudonyms,
    watch: Watch = lambda _: True,
) -> None:
    """Write what was received in the window, and what became of it. Raises BrokenOff."""
    parts = 1 if window.endpoint is None else 2
    of_reports = _pieces(await recording.report_span(window))
    dispatches: Span | None = None
    for number, (first, last) in enumerate(of_reports, 1):
        for report in await recording.reports(window, first, last):
            item = shared(report.item, pseudonyms)
            source = pseudonyms.text("source", report.source)
            writer.report(SharedReport(report.received_at, report.format, item, source))
        dispatches = _around(dispatches, await recording.dispatch_span(window, first, last))
        _piece_done(watch, number / len(of_reports) / parts)
    of_dispatches = _pieces(dispatches)
    for number, (first, last) in enumerate(of_dispatches, 1):
        for dispatch in await recording.dispatches(window, first, last):
            writer.dispatch(dispatch)
        _piece_done(watch, (1 + number / len(of_dispatches)) / parts)


def _piece_done(watch: Watch, share: float) -> None:
    if not watch(share):
        raise BrokenOff


def _around(one: Span | None, other: Span | None) -> Span | None:
    """The span that has both in it."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])


def _pieces(span: Span | None) -> list[Span]:
    if span is None:
        return []
    first, last = span
    return [(start, min(last, start + PIECE - 1)) for start in range(first, last + 1, PIECE)]
