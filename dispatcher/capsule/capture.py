"""Out of a database into a capsule, in pieces: the memory is flat for any number of reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from dispatcher.capsule.base import Recording, Window
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
    last_report = await recording.last_report()
    last_dispatch = await recording.last_dispatch() if window.endpoint is not None else 0
    done, whole = 0, max(1, last_report + last_dispatch)

    def piece_done() -> None:
        nonlocal done
        done += PIECE
        if not watch(min(1.0, done / whole)):
            raise BrokenOff

    for first, last in _pieces(last_report):
        for report in await recording.reports(window, first, last):
            item = shared(report.item, pseudonyms)
            source = pseudonyms.text("source", report.source)
            writer.report(SharedReport(report.received_at, report.format, item, source))
        piece_done()
    for first, last in _pieces(last_dispatch):
        for dispatch in await recording.dispatches(window, first, last):
            writer.dispatch(dispatch)
        piece_done()


def _pieces(last: int) -> Iterator[tuple[int, int]]:
    return ((first, first + PIECE - 1) for first in range(1, last + 1, PIECE))
