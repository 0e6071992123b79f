"""What an endpoint's answer means.

The platform documents 200 as success and says of retries only "unavailable for any reason"
(reference, part 4.2). The reading here is ours: any 2xx acknowledges; every other status, a
timeout and a broken connection fail and are retried; redirects are not followed, so they fail too.
An endpoint, or the preset that it follows, may have other rules.
"""

from __future__ import annotations

import re
from enum import Enum

from msgspec import Struct

from dispatcher.expressions import Expression
from dispatcher.retrying.retry_after import RetryAfter


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
    NOT_ALLOWED = "not_allowed"  # the address is none that a URL from outside may lead to
    NO_TOKEN = "no_token"  # the endpoint's token endpoint gave no token
    WRONG_ANSWER = "wrong_answer"  # not the 2xx, or not the body, that acknowledges here
    STOPPED = "stopped"  # a status after which the rules send no more

    @property
    def acknowledges(self) -> bool:
        return self is Outcome.ACKNOWLEDGED


class Answer(Struct, frozen=True):
    """What came back of one try.

    `failure` without a status names why there is none, and `error` says it in words. With a status
    it names what failed after it: the status holds, but `body` is not all that would be kept.
    `note` says what was odd about an answer or how it was got. Neither text ever holds a secret.
    `body` is at most the first 1 KiB. `retry_after` is that header as it came.
    """

    duration_ms: float
    status: int | None = None
    failure: Outcome | None = None
    error: str | None = None
    body: bytes = b""
    retry_after: str | None = None
    note: str | None = None


_STATUSES = re.compile(r"([1-5])xx|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", re.ASCII)


def statuses(*texts: str) -> frozenset[int]:
    """Statuses by `2xx`, `200` or `200-204`. Raises ValueError for anything else."""
    return frozenset(status for text in texts for status in _statuses(text))


def _statuses(text: str) -> range:
    match = _STATUSES.fullmatch(text)
    if match is None or int(match[3] or 999) < int(match[2] or 0):
        raise ValueError(f'expected statuses such as 2xx, 200 or 200-204, got "{text}"')
    if match[1]:
        return range(int(match[1]) * 100, int(match[1]) * 100 + 100)
    return range(int(match[2]), int(match[3] or match[2]) + 1)


class OutcomeRules(Struct, frozen=True):
    """What the answers of an endpoint mean. The defaults are what holds without any rules."""

    acknowledge: frozenset[int] = statuses("2xx")
    body_matches: Expression | None = None  # must be found in the kept part of the answer
    stop_on: frozenset[int] = frozenset()  # end the dispatch, whatever retries are left
    retry_after: RetryAfter | None = None  # None: the header is ignored


AS_USUAL = OutcomeRules()


def judge(answer: Answer, rules: OutcomeRules = AS_USUAL) -> Outcome:
    """The meaning of an answer. The status line decides, whatever fails after it, unless the body
    is asked for too."""
    if answer.status is None:
        return answer.failure or Outcome.FAILED
    if answer.status not in rules.acknowledge:
        return Outcome.STOPPED if answer.status in rules.stop_on else _of_status(answer.status)
    if rules.body_matches is None:
        return Outcome.ACKNOWLEDGED
    if answer.failure is not None:
        return answer.failure  # what the rest of the body would have said, nobody knows
    fits = rules.body_matches.found_in(answer.body.decode("utf-8", "replace"))
    return Outcome.ACKNOWLEDGED if fits else Outcome.WRONG_ANSWER


def _of_status(status: int) -> Outcome:
    """The meaning of a status that does not acknowledge."""
    match status // 100:
        case 2:
            return Outcome.WRONG_ANSWER
        case 3:
            return Outcome.REDIRECTED
        case 4:
            return Outcome.REFUSED
        case _:
            return Outcome.FAILED
