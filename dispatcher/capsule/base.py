"""What a capture reads of a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from msgspec import Struct

from dispatcher.capsule.capsule import SharedDispatch


class Window(Struct, frozen=True):
    """What was received from `since` on and before `until`; with an `endpoint`, what went there."""

    since: datetime
    until: datetime
    endpoint: str | None


Span: TypeAlias = tuple[int, int]
"""The first id and the last; both belong to it."""


class CapturedReport(Struct, frozen=True):
    """A report as it lies in the store. `item` is JSON in the provider's field names."""

    received_at: datetime
    source: str
    format: str
    item: str


class Recording(Protocol):
    """What happened, to be read in pieces: by spans of ids, some of which may be of nothing."""

    async def report_span(self, window: Window) -> Span | None:
        """The lowest and the highest id of the reports received in the window, whichever endpoint
        they went to; None when there is none. It costs as much as the window holds, however many
        reports are stored."""

    async def dispatch_span(self, window: Window, first: int, last: int) -> Span | None:
        """The lowest and the highest id of the dispatches of the window's endpoint that carry a
        report with an id from `first` to `last`; None when there is none, or no endpoint."""

    async def reports(self, window: Window, first: int, last: int) -> Sequence[CapturedReport]:
        """The reports of the window with ids from `first` to `last`, in the order of these."""

    async def dispatches(self, window: Window, first: int, last: int) -> Sequence[SharedDispatch]:
        """The dispatches of the window's endpoint with ids from `first` to `last`, in the order of
        these: those that carry a report of the window, with all their attempts. Dispatches of
        replays are no part of what happened. Without an endpoint there are none."""
