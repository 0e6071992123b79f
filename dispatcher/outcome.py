"""What an endpoint's answer means.

The platform documents 200 as success and says of retries only "unavailable for any reason"
(reference, part 4.2). The reading here is ours: any 2xx acknowledges; every other status, a
timeout and a broken connection fail and are retried; redirects are not followed, so they fail too.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Outcome(Enum):
    """The name under which an attempt is recorded."""

    ACKNOWLEDGED = "acknowledged"
    REDIRECTED = "redirected"  # 3xx
    REFUSED = "refused"  # 4xx: the endpoint does not want it like this
    FAILED = "failed"  # 5xx, or a status that is none of HTTP's
    UNREACHABLE = "unreachable"  # no connection: refused, no route, no such name
    TIMED_OUT = "timed_out"  # no connection or no answer in time
    BROKEN_OFF = "broken_off"  # the connection ended before the answer did
    TLS_FAILED = "tls_failed"  # no trust: certificate or protocol version
    NOT_HTTP = "not_http"  # an answer that is not HTTP

    @property
    def acknowledges(self) -> bool:
        return self is Outcome.ACKNOWLEDGED


class Answer(Struct, frozen=True):
    """What came back of one try.

    Either `status` is set, or `failure` names why there is none. `error` says it in words and never
    holds a secret. `body` is at most the first 1 KiB.
    """

    duration_ms: float
    status: int | None = None
    failure: Outcome | None = None
    error: str | None = None
    body: bytes = b""


def judge(answer: Answer) -> Outcome:
    """The meaning of an answer."""
    if answer.failure is not None:
        return answer.failure
    return _of_status(answer.status or 0)


def _of_status(status: int) -> Outcome:
    match status // 100:
        case 2:
            return Outcome.ACKNOWLEDGED
        case 3:
            return Outcome.REDIRECTED
        case 4:
            return Outcome.REFUSED
        case _:
            return Outcome.FAILED
