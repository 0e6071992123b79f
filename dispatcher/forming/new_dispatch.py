"""A dispatch that is to be stored, whoever forms it and in whatever database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.forming.bucket import is_as_stored
from dispatcher.queue.base import Bucket, Forming, Lease, Leased
from dispatcher.queue.names import DispatchNames
from receiver.dlr.model import Generation
from receiver.store.base import Message
from receiver.store.instants import instant, micros

COLUMNS = (
    "endpoint", "url", "content_type", "authorization", "generation", "state", "attempts",
    "created_at", "due_at", "lease", "lease_until", "first_report", "last_report", "reports",
    "replay", "webhook_id_end",
)  # fmt: skip
"""What `row_of` gives. (In PostgreSQL `authorization` is `authorization_header`.)"""


class NewDispatch(Struct, frozen=True):
    """A dispatch to be stored, with its reports, whose messages are under way from then on.

    With a `lease` it is leased from the start, otherwise it waits. `body` None: its bytes are not
    kept. Reports ascend, instants are in microseconds; what carries no report has none. `messages`
    are those of an endpoint that keeps the order. `webhook_id_end` is new, and random.
    """

    endpoint: str
    to: Target
    generation: Generation | None
    body: bytes | None
    report_ids: Sequence[int]
    webhook_id_end: str
    created_at: int
    due_at: int
    messages: Sequence[Message] = ()
    attempts: int = 0
    lease: Lease | None = None
    replay: int | None = None


def new_dispatch(
    endpoint: Endpoint,
    bucket: Bucket,
    body: bytes | None,
    at: int,
    *,
    webhook_id_end: str,
    lease: Lease | None = None,
    replay: int | None = None,
) -> NewDispatch:
    """A bucket as a dispatch that is due at once. With a lease its bytes are kept only if they
    could not be made again as they are."""
    reports = bucket.reports
    return NewDispatch(
        endpoint=endpoint.name,
        to=bucket.target,
        generation=bucket.generation,
        body=None if lease is not None and is_as_stored(bucket) else body,
        report_ids=[report.id for report in reports],
        messages=[report.message for report in reports] if endpoint.ordered else (),
        webhook_id_end=webhook_id_end,
        created_at=at,
        due_at=at,
        lease=lease,
        replay=replay,
    )


def dispatches_of(
    forming: Forming, leases: Mapping[str, Lease], now: datetime, new_id: Callable[[], str]
) -> list[tuple[NewDispatch, bytes | None]]:
    """The dispatches of a forming, with the bytes to be sent. They are leased; one that has no
    bytes waits."""
    endpoint, at = forming.endpoint, micros(now)
    return [
        (
            new_dispatch(
                endpoint,
                bucket,
                body,
                at,
                webhook_id_end=new_id(),
                lease=None if body is None else leases[endpoint.name],
            ),
            body,
        )
        for bucket, body in zip(forming.buckets, forming.bodies, strict=True)
    ]


def leased_of(
    names: DispatchNames, numbers: Sequence[int], new: Sequence[tuple[NewDispatch, bytes | None]]
) -> list[Leased]:
    """Those to be sent now, of dispatches that were stored under these ids."""
    return [
        _formed(names, number, each, body, each.lease)
        for number, (each, body) in zip(numbers, new, strict=True)
        if body is not None and each.lease is not None
    ]


def new_event(endpoint: str, to: Target, body: bytes, webhook_id_end: str, at: int) -> NewDispatch:
    """The bytes of an event that is no report, as a dispatch that is due at once."""
    return NewDispatch(
        endpoint=endpoint,
        to=to,
        generation=None,
        body=body,
        report_ids=(),
        webhook_id_end=webhook_id_end,
        created_at=at,
        due_at=at,
    )


def row_of(new: NewDispatch) -> tuple[Any, ...]:
    """Its row, without the id: COLUMNS."""
    lease, to, ids = new.lease, new.to, new.report_ids
    span = (ids[0], ids[-1], len(ids)) if ids else (0, 0, 0)
    return (
        new.endpoint,
        to.url,
        to.content_type,
        to.authorization,
        new.generation,
        "waiting" if lease is None else "leased",
        new.attempts,
        new.created_at,
        new.due_at,
        None if lease is None else lease.token,
        None if lease is None else micros(lease.until),
        *span,
        new.replay,
        new.webhook_id_end,
    )


def _formed(
    names: DispatchNames, number: int, new: NewDispatch, body: bytes, lease: Lease
) -> Leased:
    """A dispatch that was stored under this number, in the hands of who formed it."""
    to = new.to
    return Leased(
        id=number,
        name=names.name(number),
        webhook_id=names.webhook_id(number, new.webhook_id_end),
        endpoint=new.endpoint,
        url=to.url,
        content_type=to.content_type,
        body=body,
        reports=len(new.report_ids),
        attempts_made=new.attempts,
        due_at=instant(new.due_at),
        lease=lease,
        authorization=to.authorization,
        generation=new.generation,
    )
