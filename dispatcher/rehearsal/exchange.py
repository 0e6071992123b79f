"""One request to the webhook and what came back, in a form that every report can show.

Nothing that the webhook says is trusted: control characters are made visible here, once, and
credentials of the run are taken out, before any report sees a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aiohttp
from msgspec import Struct

from receiver.shown import shown

ANSWER_READ = 1024 * 1024
"""Bytes of an answer that are read."""

SHOWN = 300
"""Signs of a body or an answer that a report shows."""


TOO_MANY = 429
"""RFC 6585, 4: the client has sent too many requests."""

POSTED = 600
"""Signs of what was posted that a report shows."""


class Exchange(Struct, frozen=True, kw_only=True):
    """A request and its answer. `status` None: there was none, and `failure` says why.

    `seconds` from the first byte sent to the last one read. `posted` is the
    beginning of the body that was sent. `size` is that of the whole answer as far as it was read,
    `body` its beginning. `timed_out`: the webhook said nothing in time.
    """

    sent: str
    seconds: float
    posted: bytes = b""
    status: int | None = None
    headers: Mapping[str, str] = {}
    body: bytes = b""
    size: int = 0
    failure: str = ""
    timed_out: bool = False
    http_version: str = "1.1"

    @property
    def ok(self) -> bool:
        """Any 2xx, as the dispatcher reads it: documented is 200, and real customers answer 204
        (reference, part 4.2)."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def answered(self) -> bool:
        return self.status is not None

    @property
    def refused(self) -> bool:
        """Answered, not taken, and for what it is."""
        return self.answered and not self.ok and not self.limited

    @property
    def limited(self) -> bool:
        """Refused by a rate limiter: for what was pushed before, not for what it is."""
        return self.status == TOO_MANY

    @property
    def request(self) -> str:
        """What was sent, in one line."""
        if not self.posted:
            return self.sent
        return f"{self.sent}: {readable(self.posted.decode('utf-8', 'replace'), POSTED)}"

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def __str__(self) -> str:
        """What came, in one line."""
        time = f"in {self.seconds * 1000:.0f} ms"
        if self.status is None:
            return f"no answer {time}: {self.failure}"
        kind = self.headers.get("content-type", "")
        told = f"{self.status}{', ' + readable(kind) if kind else ''}, {self.size} bytes {time}"
        return f"{told}: {readable(self.text)}" if self.body else told


def readable(text: str, length: int = SHOWN) -> str:
    """A text on one line, without signs that would steer a terminal or break XML."""
    cut = text[: length + 1].translate(_BLANKS)
    return shown(cut[:length]) + "…" if len(text) > length else shown(cut)


_BLANKS = str.maketrans("\n\t\r", "   ")


def failure_of(error: BaseException, timeout: float) -> str:
    """Why there is no answer, in a line."""
    if isinstance(error, TimeoutError):
        return f"not within {timeout:g} s"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return "the connection ended before the answer did"
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return readable(text, 200)


def without(secrets: Sequence[str], data: bytes) -> bytes:
    """`data` with each secret replaced: a webhook may send back what it was given."""
    for secret in secrets:
        if secret:
            data = data.replace(secret.encode(), b"***")
    return data


def seconds_of(exchanges: Sequence[Exchange], share: float) -> float:
    """The percentile of how long answers took: the smallest that `share` of them do not exceed."""
    times = sorted(each.seconds for each in exchanges)
    return times[max(0, min(len(times) - 1, int(share * len(times) + 0.999999) - 1))]
