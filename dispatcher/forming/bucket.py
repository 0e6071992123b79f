"""Buckets: which waiting reports go into one push, and the bytes of that push.

Reports of one endpoint and one shape (and of one URL, where they bring one) that wait together go
together, in the order of arrival, up to the bucket size. Nothing waits to fill a bucket: it is
formed when there is room to send it, so buckets grow by themselves while an endpoint is slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.routing import goes_to
from receiver.dlr import json_format, xml_format
from receiver.dlr.model import Generation, Report
from receiver.store.base import StoredReport
from receiver.store.callback import NotifyTo

Shape = tuple[Generation | None, NotifyTo | None]
"""What the reports of a bucket have in common."""


class Bucket(Struct, frozen=True):
    """Reports that go to an endpoint in one push. `notify_to` None: to the endpoint's own URL."""

    reports: Sequence[StoredReport]
    generation: Generation | None
    notify_to: NotifyTo | None = None


class Filling(Struct, frozen=True):
    """What `fill` made: the buckets, and the last report that it has dealt with."""

    buckets: list[Bucket]
    read_to: int


def fill(
    endpoint: Endpoint,
    reports: Sequence[StoredReport],
    room: int,
    read_to: int,
    read: Callable[[StoredReport], Report] = StoredReport.read,
) -> Filling:
    """Put the reports that go to `endpoint` into at most `room` buckets.

    `reports` follow the one with id `read_to`. The result's `read_to` is the last report that needs
    no further look: those behind it did not fit. `read` is for rules that ask for fields.
    """
    buckets: list[tuple[Shape, list[StoredReport]]] = []
    open_buckets: dict[Shape, list[StoredReport]] = {}
    for report in reports:
        if goes_to(report, endpoint.rules, read):
            shape = shape_of(report, endpoint)
            bucket = open_buckets.get(shape)
            if bucket is None or len(bucket) == endpoint.bucket_size:
                if len(buckets) == room:
                    break
                bucket = open_buckets[shape] = []
                buckets.append((shape, bucket))
            bucket.append(report)
        read_to = report.id
    return Filling([Bucket(members, *shape) for shape, members in buckets], read_to)


def shape_of(report: StoredReport, endpoint: Endpoint) -> Shape:
    """Only reports of one shape go together."""
    generation = endpoint.generation or report.generation
    return generation, report.notify_to if endpoint.own_urls else None


def encode(endpoint: Endpoint, bucket: Bucket) -> bytes:
    """The body of the push, in the content type of its URL and the bucket's generation."""
    if _is_xml(endpoint, bucket):
        reports = [report.read() for report in bucket.reports]
        return xml_format.encode_body(reports, bucket.generation)
    return json_format.encode_body(
        report.item
        if report.generation in (None, bucket.generation)
        else json_format.encode_item(report.read(), bucket.generation)
        for report in bucket.reports
    )


def _is_xml(endpoint: Endpoint, bucket: Bucket) -> bool:
    if bucket.notify_to is not None:
        return bucket.notify_to.format == "xml"
    return endpoint.content_type == "application/xml"
