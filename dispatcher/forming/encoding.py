"""Buckets made into the bytes of their pushes, off the event loop where that takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.own_urls import target_of
from dispatcher.forming.bucket import Bucket, encode
from dispatcher.queue.base import Formed


async def made_into_bytes(endpoint: Endpoint, buckets: Sequence[Bucket]) -> list[Formed]:
    """In the order of the buckets."""
    if endpoint.may_be_xml:
        # 80 us a report: a few buckets would hold up the event loop for everybody.
        return await asyncio.to_thread(_encode_all, endpoint, buckets)
    return _encode_all(endpoint, buckets)


def _encode_all(endpoint: Endpoint, buckets: Sequence[Bucket]) -> list[Formed]:
    return [
        Formed(
            encode(endpoint, bucket),
            [report.id for report in bucket.reports],
            [report.message_key for report in bucket.reports] if endpoint.ordered else (),
            target_of(bucket.notify_to),
        )
        for bucket in buckets
    ]
