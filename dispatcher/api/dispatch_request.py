"""The request of a dispatch, as far as it is kept or can be made again, without secrets. The pages
show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint, EndpointsInForce, Target
from dispatcher.forming.bucket import encode, is_as_stored
from dispatcher.queue.base import (
    Bucket,
    DispatchQueue,
    StoredDispatch,
    StoredRequest,
    UnknownDispatch,
)
from dispatcher.security.signing import overruled, proof
from receiver.faults import without_credentials
from receiver.store.base import ReportStore, StoredReport

HIDDEN: Final = "…"
"""What is shown of a header that holds a secret or a signature."""


class PushRequest(Struct, frozen=True):
    """The last request that was made, or the first one that will be. `headers` are those of the
    endpoint as it is now; of a secret or a signature only its name is shown. `body` None: it is not
    kept, and cannot be made again. `made_again`: it was made of the reports."""

    url: str
    headers: Mapping[str, str]
    body: bytes | None
    made_again: bool = False


async def request_of(
    store: ReportStore,
    queue: DispatchQueue,
    in_force: EndpointsInForce,
    dispatch: StoredDispatch,
    now: datetime,
) -> PushRequest:
    """The request of a dispatch. Raises UnknownDispatch."""
    kept = await queue.request(dispatch.id)
    if kept is None:  # retention has taken it meanwhile
        raise UnknownDispatch(dispatch.id)
    endpoints = {each.name: each for each in await in_force.endpoints()}
    body = kept.body
    if body is None and dispatch.report_ids:
        body = _made_again(dispatch, kept, await store.reports_by_id(dispatch.report_ids))
    return PushRequest(
        url=without_credentials(dispatch.url),
        headers=_headers(dispatch, kept, endpoints.get(dispatch.endpoint), now),
        body=body,
        made_again=body is not None and kept.body is None,
    )


def _made_again(
    dispatch: StoredDispatch, kept: StoredRequest, reports: Iterable[StoredReport]
) -> bytes | None:
    by_id = {report.id: report for report in reports}
    if any(each not in by_id for each in dispatch.report_ids):
        return None
    target = Target(dispatch.url, kept.content_type)
    bucket = Bucket([by_id[each] for each in dispatch.report_ids], kept.generation, target)
    return encode(bucket) if is_as_stored(bucket) else None


def _headers(
    dispatch: StoredDispatch, kept: StoredRequest, endpoint: Endpoint | None, now: datetime
) -> dict[str, str]:
    headers = {
        "Content-Type": kept.content_type,
        "webhook-id": dispatch.webhook_id,
        "dlr-attempt": str(max(dispatch.attempts, 1)),
    }
    if kept.replay is not None:
        headers["dlr-replay"] = str(kept.replay)
    if kept.authorized:
        headers["Authorization"] = HIDDEN
    if endpoint is None:
        return headers
    proven = proof(endpoint.security, b"", dispatch.webhook_id, now, token="")
    return overruled(dict.fromkeys((*endpoint.headers, *proven), HIDDEN), headers)
