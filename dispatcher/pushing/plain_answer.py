"""Answers that are simple enough to be read without aiohttp's parser. Pure.

Most answers come whole, in one piece, and have nothing odd about them. To read one here takes 4 us,
or 1 if its head has come before; aiohttp's parser and its streams take 30. Whatever is not read
here is aiohttp's to read, from its first byte. So this need not know all of HTTP, but what it
reads, it must read as aiohttp would.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

LONGEST = 16 * 1024
"""Bytes of the longest piece that is looked at."""

HEADS_KEPT = 64
"""Heads that are remembered: an endpoint says the same again and again, the second apart."""

# No interim answers, and no 304, whose length is that of something else. At most 100 fields, whose
# values are printable ASCII, and none goes on in the next line.
_HEAD = re.compile(
    rb"HTTP/1\.1 ((?!304)[2-5][0-9]{2}) [ -~]*\r\n"
    rb"((?:[0-9A-Za-z_-]+: ?[!-~](?:[ -~]*[!-~])?\r\n){0,100})\r\n"
)
_LENGTH = re.compile(rb"^content-length: ?(.*)\r$", re.IGNORECASE | re.MULTILINE)
_RETRY_AFTER = re.compile(rb"^retry-after: ?(.*)\r$", re.IGNORECASE | re.MULTILINE)
_OTHERWISE = re.compile(
    rb"^(?:transfer-encoding|upgrade|connection:(?! ?keep-alive\r))", re.IGNORECASE | re.MULTILINE
)
"""Fields by which the body may end elsewhere, or the connection may not be used again."""

_DIGITS = re.compile(rb"[0-9]{1,9}")


class PlainAnswer(Struct, frozen=True):
    status: int
    retry_after: str | None
    body: bytes


class _Plain(Struct, frozen=True):
    """A head. `length`: of the body behind it."""

    status: int
    retry_after: str | None
    length: int


def plain_answer(piece: bytes) -> PlainAnswer | None:
    """The answer, as aiohttp would read it, if the piece is exactly one answer and its connection
    can be used again; otherwise None."""
    end = piece.find(b"\r\n\r\n") + 4
    head = _plain(piece[:end]) if len(piece) <= LONGEST else None
    if head is None or len(piece) - end != head.length:
        return None
    return PlainAnswer(head.status, head.retry_after, piece[end:])


@lru_cache(HEADS_KEPT)
def _plain(text: bytes) -> _Plain | None:
    head = _HEAD.fullmatch(text)
    if head is None:
        return None
    status, fields = int(head[1]), head[2]
    lengths: list[bytes] = _LENGTH.findall(fields)
    if _OTHERWISE.search(fields) or len(lengths) != (status != 204):
        return None
    length = int(lengths[0]) if lengths and _DIGITS.fullmatch(lengths[0]) else 0
    if lengths and lengths[0] != b"%d" % length:
        return None
    asked = _RETRY_AFTER.search(fields)
    return _Plain(status, None if asked is None else asked[1].decode("ascii"), length)
