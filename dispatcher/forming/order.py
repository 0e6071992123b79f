"""Order: at an endpoint with `ordered = true` the reports of one message go one after another.

A report is held while an earlier one of its message is on its way to the endpoint; other messages
are not held up by it. In one bucket the order is that of arrival anyway. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.bucket import Bucket, Shape, shape_of
from dispatcher.forming.routing import goes_to
from receiver.dlr.model import Report
from receiver.store.base import StoredReport


class OrderedFilling(Struct, frozen=True):
    """What `fill_in_order` made: buckets, reports to hold, and the last report dealt with."""

    buckets: list[Bucket]
    hold: list[StoredReport]
    read_to: int


class _Buckets:
    """Buckets that are being filled, and in which of them each message lies."""

    def __init__(self, endpoint: Endpoint, room: int) -> None:
        self._endpoint = endpoint
        self._room = room
        self._open: dict[Shape, int] = {}
        self._of_message: dict[int, int] = {}
        self.all: list[tuple[Shape, list[StoredReport]]] = []

    def place(self, report: StoredReport) -> bool | None:
        """True: placed. False: its message is in another bucket. None: no room."""
        shape = shape_of(report, self._endpoint)
        index = self._open.get(shape)
        if index is None or len(self.all[index][1]) == self._endpoint.bucket_size:
            index = len(self.all)
        if self._of_message.get(report.message_key, index) != index:
            return False
        if index == len(self.all):
            if index == self._room:
                return None
            self.all.append((shape, []))
            self._open[shape] = index
        self.all[index][1].append(report)
        self._of_message[report.message_key] = index
        return True


def fill_in_order(
    endpoint: Endpoint,
    freed: Sequence[StoredReport],
    fresh: Sequence[StoredReport],
    *,
    blocked: Collection[int],
    room: int,
    read_to: int,
    read: Callable[[StoredReport], Report] = StoredReport.read,
) -> OrderedFilling:
    """Put reports into at most `room` buckets, and name those that have to wait for another.

    `freed` were held and are free now, the oldest first; `fresh` follow the report `read_to` in the
    store. `blocked` are the messages (keys) that have something on its way, or held reports that
    are not among `freed`: theirs are all later than those.
    """
    buckets = _Buckets(endpoint, room)
    behind: set[int] = set()
    for report in freed:
        if report.message_key in behind or not buckets.place(report):
            behind.add(report.message_key)  # it stays held, and so do those after it
    behind.update(blocked)
    hold: list[StoredReport] = []
    for report in fresh:
        if goes_to(report, endpoint.rules, read):
            placed = False if report.message_key in behind else buckets.place(report)
            if placed is None:
                break
            if not placed:
                behind.add(report.message_key)
                hold.append(report)
        read_to = report.id
    return OrderedFilling(
        [Bucket(members, *shape) for shape, members in buckets.all], hold, read_to
    )
