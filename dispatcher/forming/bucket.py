"""Buckets: which waiting reports go into one push, and the bytes of that push.

Reports of one endpoint and one shape (and of one URL, where they bring one) that wait together go
together, in the order of arrival, up to the bucket size. Nothing waits to fill a bucket: it is
formed when there is room to send it, so buckets grow by themselves while an endpoint is slow.

At an endpoint with `ordered = true` the reports of one message go one after another: a report is
held while an earlier one of its message is on its way there. Other messages are not held up by it.
In one bucket the order is that of arrival anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from msgspec import structs

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.own_urls import target_of
from dispatcher.forming.routing import Routes, going_to
from dispatcher.queue.base import Bucket, Forming
from receiver.dlr import json_format, xml_format
from receiver.dlr.model import Generation
from receiver.store.base import Message, ReportItem
from receiver.store.callback import NotifyTo

Shape = tuple[Generation | None, NotifyTo | None]
"""What the reports of a bucket have in common."""


def fill(
    endpoint: Endpoint,
    fresh: Sequence[ReportItem],
    *,
    room: int,
    read_from: int = 0,
    freed: Sequence[ReportItem] = (),
    blocked: Collection[Message] | None = None,
    routes: Routes | None = None,
) -> Forming:
    """Put the reports that go to `endpoint` into at most `room` buckets. Pure; `bodies` come later.

    `fresh` follow the report `read_from` in the store. The result's `read_to` is the last of them
    that needs no further look: those after it did not fit. `freed` were held for the order's sake
    and are free now, the oldest first; the result names those of them that are in its buckets.

    `blocked` None: the order is not kept. Otherwise these are the messages that have something on
    its way, or held reports that are not among `freed`: theirs are all later than those. What has
    to wait for an earlier report of its message is in the result's `hold`.

    `routes` are those of `fresh`, for all endpoints that look at them.
    """
    buckets = _Buckets(endpoint, room, in_order=blocked is not None)
    waiting: set[Message] = (
        set()
    )  # messages that have a report which waits: their later ones do too
    taken: list[int] = []
    for report in freed:
        if report.message not in waiting and buckets.place(report):
            taken.append(report.id)
        else:
            waiting.add(report.message)
    waiting.update(blocked or ())
    hold: list[ReportItem] = []
    read_to = fresh[-1].id if fresh else read_from
    routes = routes or Routes(fresh)
    goes = going_to(endpoint.rules, routes.read)
    for at in routes.among(endpoint.rules):
        report = fresh[at]
        if goes(report):
            placed = not (waiting and report.message in waiting) and buckets.place(report)
            if placed is None:
                read_to = fresh[at - 1].id if at else read_from
                break
            if not placed:
                waiting.add(report.message)
                hold.append(report)
    return Forming(endpoint, read_from, read_to, buckets.filled(), hold=hold, freed=taken)


class _Buckets:
    """Buckets that are being filled, and in which of them each message lies."""

    def __init__(self, endpoint: Endpoint, room: int, *, in_order: bool) -> None:
        self._endpoint = endpoint
        self._size = endpoint.bucket_size
        self._room = room
        self._in_order = in_order
        self._all: list[tuple[Shape, list[ReportItem]]] = []
        self._open: dict[Shape, list[ReportItem]] = {}
        self._of_message: dict[Message, list[ReportItem]] = {}  # only where the order is kept

    def place(self, report: ReportItem) -> bool | None:
        """True: placed. False: its message is in another bucket. None: no room."""
        shape = shape_of(report, self._endpoint)
        bucket = self._open.get(shape)
        if bucket is not None and len(bucket) == self._size:
            bucket = None
        if self._in_order and self._of_message.get(report.message, bucket) is not bucket:
            return False
        if bucket is None:
            if len(self._all) == self._room:
                return None
            bucket = self._open[shape] = []
            self._all.append((shape, bucket))
        bucket.append(report)
        if self._in_order:
            self._of_message[report.message] = bucket
        return True

    def filled(self) -> list[Bucket]:
        return [
            Bucket(reports, generation, target_of(self._endpoint, notify_to))
            for (generation, notify_to), reports in self._all
        ]


def shape_of(report: ReportItem, endpoint: Endpoint) -> Shape:
    """Only reports of one shape go together."""
    generation = endpoint.generation or report.generation
    return generation, report.notify_to if endpoint.own_urls else None


async def encoded(forming: Forming) -> Forming:
    """The same with the bytes of its buckets, made off the event loop where that takes long.

    Whatever goes wrong stays with its bucket, which has no bytes then: its dispatch tries again.
    Reports that cannot be encoded are put into a bucket of their own, with all of their message.
    """
    try:
        if forming.endpoint.may_be_xml:
            # 80 us a report: a few buckets would hold up the event loop for everybody.
            pieces = await asyncio.to_thread(_encode_all, forming.buckets)
        else:
            pieces = _encode_all(forming.buckets)
    except Exception:  # noqa: BLE001 - there may be no thread to be had
        pieces = [(bucket, None) for bucket in forming.buckets]
    buckets, bodies = [piece[0] for piece in pieces], [piece[1] for piece in pieces]
    return structs.replace(forming, buckets=buckets, bodies=bodies)


_Piece = tuple[Bucket, bytes | None]


def _encode_all(buckets: Sequence[Bucket]) -> list[_Piece]:
    return [piece for bucket in buckets for piece in _pieces(bucket)]


def _pieces(bucket: Bucket) -> list[_Piece]:
    """The bucket with its bytes; in two when some of its reports cannot be encoded."""
    if (body := _bytes_of(bucket)) is not None:
        return [(bucket, body)]
    refused = {
        report.message
        for report in bucket.reports
        if _bytes_of(structs.replace(bucket, reports=[report])) is None
    }
    fine = [report for report in bucket.reports if report.message not in refused]
    bad = [report for report in bucket.reports if report.message in refused]
    if not fine or not bad:
        return [(bucket, None)]
    good = structs.replace(bucket, reports=fine)
    return [(good, _bytes_of(good)), (structs.replace(bucket, reports=bad), None)]


def _bytes_of(bucket: Bucket) -> bytes | None:
    """None when they cannot be made. The dispatch's attempts tell why."""
    try:
        return encode(bucket)
    except Exception:  # noqa: BLE001 - a defect must cost this bucket and nothing else
        return None


def is_as_stored(bucket: Bucket) -> bool:
    """Whether its body is the items of its reports as they are stored, side by side: it can be made
    again at any time, by any version, and is the same."""
    return bucket.target.content_type == "application/json" and all(
        report.generation in (None, bucket.generation) for report in bucket.reports
    )


def encode(bucket: Bucket) -> bytes:
    """The body of the push, in the content type of its target and the bucket's generation."""
    if bucket.target.content_type == "application/xml":
        reports = [report.read() for report in bucket.reports]
        return xml_format.encode_body(reports, bucket.generation)
    return json_format.encode_body(
        report.item
        if report.generation in (None, bucket.generation)
        else json_format.encode_item(report.read(), bucket.generation)
        for report in bucket.reports
    )
