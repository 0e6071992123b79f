"""Both decoders on bodies that were almost right: cut, doubled, turned and spoilt in places."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from receiver.callbacks.intake import verdict_on_bytes
from receiver.dlr.model import Format
from tests.receiver.payloads import V2_JSON, V2_XML, V3_JSON, V3_XML

SPOILERS = (
    b"", b"\0", b"\xff", b"<", b">", b"&", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null",
    b"1e999", b"-", b"<![CDATA[", b"]]>", b"<result>", b"</result>", b"\\ud800", b"\xed\xa0\x80",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b'{"results":', b"9" * 400, b"NaN", b"<!--", b"\xef\xbb\xbf",
)  # fmt: skip


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def spoilt(body: bytes, rng: random.Random) -> bytes:
    """`body` with one to five places changed."""
    for _ in range(rng.randint(1, 5)):
        at, end = sorted(rng.randrange(len(body) + 1) for _ in range(2))
        piece = rng.choice((*SPOILERS, body[at:end], body[end : end + 9]))
        end = rng.choice((at, at + 1, end))
        body = body[:at] + piece + body[end:]
    return body[:20_000]


@pytest.mark.parametrize("bodies", [3_000, pytest.param(300_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("form", ["json", "xml"])
def test_no_body_gets_through_unaccounted(form: Format, bodies: int) -> None:
    """Whatever the bytes, the verdict keeps each item as an entry or in quarantine, an unreadable
    body whole; nothing raises."""
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    originals: tuple[str | bytes, ...] = {"json": (V2_JSON, V3_JSON), "xml": (V2_XML, V3_XML)}[form]
    for number in range(bodies):
        body = spoilt(_bytes(rng.choice(originals)), rng)
        told = f"seed {seed}, body {number}: {body!r}"
        verdict = verdict_on_bytes(body, form)
        if not verdict.readable:
            assert [bad.raw for bad in verdict.quarantined] == [body], told
        for entry in verdict.entries:
            again = verdict_on_bytes(b'{"results":[' + entry.item + b"]}", "json")
            assert len(again.entries) == 1, told
            same = replace(again.entries[0], generation=entry.generation)
            assert same.final == entry.final, told
