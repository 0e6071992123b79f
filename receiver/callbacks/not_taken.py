"""Callbacks that were not taken though somebody meant them: why, and what in the request is at
fault. Pure, but for the list of the newest.

A `notifyUrl` with a wrong word in it, or a proxy that adds a header, is the quietest way of losing
reports: the platform gives up after two days. So each such callback leaves a line in the log, a
count, and a place in the list that `dlr check --live` shows.

What is told of a request is what its sender must change: a header, or the path without its query.
Of a path only words are told. What looks like a key is cut to its first letters, because some
senders carry their secret there.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

from receiver.callbacks.body import as_one, quoted

Reason = Literal[
    "wrong_path",
    "wrong_method",
    "unknown_source",
    "too_large",
    "too_many",
    "unsupported_media_type",
    "unsupported_charset",
    "unsupported_content_encoding",
    "doubled_header",
    "header_too_large",
]
REASONS = frozenset(get_args(Reason))


class NotTakenBecause(Struct, frozen=True):
    """`what` is at fault, in words that can stand in a log line: short, and no secret."""

    reason: Reason
    what: str


# --- what was meant ----------------------------------------------------------------------------

SPELLINGS = (
    r"/{before:/*}notify{after:/*}",
    r"/{before:/*}notify/{between:/*}{source}{after:/*}",
)
"""Paths that can only mean /notify and /notify/{source}: with a slash too many, which the joining
of URLs puts anywhere. As patterns of aiohttp's router."""

_NOTIFY = re.compile(r"/+notify(?:/+[^/]+)?/*")
_WORDS = re.compile("notify|callback|webhook|hook|dlr|deliver|report|infobip", re.IGNORECASE)
_OF_OTHERS = re.compile(r"/+(?:api|sandbox|sms|ct)(?:/|$)")
_PATH_MOST = 512
"""Characters of a path that are looked at."""


def stray(
    method: str, path: str, content_type: str | None, *, taken: bool = True
) -> NotTakenBecause | None:
    """Why a request that no route takes was perhaps meant as a callback; `None`: it was not.
    `taken`: this process takes callbacks at /notify.

    `path` is as it came, percent-encoded and without a query. A method other than POST is told at
    /notify only. Elsewhere a POST counts if its path has a word of callbacks, or if it says to
    bring JSON or XML; what is below the paths of the API and of the sandbox is for those.
    """
    path = path[:_PATH_MOST]
    told = f"{quoted(method)[1:-1]} {safe_path(path)}"
    if taken and _NOTIFY.fullmatch(path):
        return NotTakenBecause("wrong_method", told) if method != "POST" else None
    if method != "POST" or _OF_OTHERS.match(path):
        return None
    if _WORDS.search(path) or _brings_reports(content_type):
        return NotTakenBecause("wrong_path", told)
    return None


def _brings_reports(content_type: str | None) -> bool:
    kind = as_one(content_type or "")[:128].partition(";")[0].strip().lower()
    return kind.endswith(("/json", "+json", "/xml", "+xml"))


_PIECE = "(?:[A-Za-z]{1,20}[0-9]{0,4}|[0-9]{1,4})"
_WORD = re.compile(rf"{_PIECE}(?:[._-]{_PIECE})*")
_SEGMENT_MOST = 40
_SEGMENTS_MOST = 4


def safe_path(path: str) -> str:
    """A path for the log: its first segments, each by `safe_segment`, slashes as they came."""
    parts = path.split("/")
    told = "/".join(safe_segment(part) for part in parts[: _SEGMENTS_MOST + 1])
    return told if len(parts) <= _SEGMENTS_MOST + 1 else f"{told}/…"


def safe_segment(text: str) -> str:
    """A segment as it came if it is made of words; of anything else no more than its beginning."""
    if len(text) <= _SEGMENT_MOST and (not text or _WORD.fullmatch(text)):
        return text
    beginning = re.match(r"[A-Za-z0-9._-]{0,4}", text)
    return f"{beginning[0] if beginning else ''}…"


# --- the newest --------------------------------------------------------------------------------


class NotTakenKind(Struct):
    """Callbacks of one source that were not taken for the same reason. `source` is None where none
    of ours was named."""

    reason: Reason
    what: str
    source: str | None
    status: int
    callbacks: int
    first_at: datetime
    last_at: datetime


class NewestNotTaken:
    """The kinds of callbacks that came last and were not taken; older kinds are forgotten, so that
    nobody can fill the memory with kinds."""

    def __init__(self, now: Callable[[], datetime], most: int = 50) -> None:
        self._now = now
        self._most = most
        self._kinds: OrderedDict[tuple[str | None, NotTakenBecause], NotTakenKind] = OrderedDict()

    def add(self, source: str | None, because: NotTakenBecause, status: int) -> None:
        now, key = self._now(), (source, because)
        kind = self._kinds.get(key)
        if kind is None:
            kind = NotTakenKind(because.reason, because.what, source, status, 0, now, now)
            self._kinds[key] = kind
        kind.callbacks += 1
        kind.last_at = now
        self._kinds.move_to_end(key)
        if len(self._kinds) > self._most:
            self._kinds.popitem(last=False)

    def kinds(self) -> Sequence[NotTakenKind]:
        """The newest first."""
        return list(reversed(self._kinds.values()))
