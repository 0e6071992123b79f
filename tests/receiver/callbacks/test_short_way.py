"""Most callbacks go past the router and the middlewares, which would do nothing with them. Nobody
outside can tell: the same requests get the same answers, are stored alike, and are told alike to
logs and metrics. What a middleware would refuse is refused.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp import web

from dispatcher.service import Parts, service
from dispatcher.settings.settings import read_settings
from receiver.answers import Handler
from receiver.callbacks.events import CallbackAnswered
from tests.receiver.payloads import V2_JSON, V2_XML, V3_JSON
from tests.receiver.served import REPORT, Reply, connected, get, post, request, served

SETTINGS = """
[[source]]
name = "default"
[[source]]
name = "eu"
basic = { username = "platform", passwords = ["secret"] }
"""
BASIC = ("Authorization", "Basic cGxhdGZvcm06c2VjcmV0")
LATE = b"POST /notify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"

REQUESTS = {
    "json": request(V2_JSON),
    "the same again": request(V2_JSON),
    "json of v3": request(V3_JSON),
    "xml": request(V2_XML, content_type="application/xml"),
    "of a source": request(path="/notify/eu", headers=[BASIC]),
    "without its credentials": request(path="/notify/eu"),
    "of no source": request(path="/notify/nobody"),
    "percent encoded": request(path="/n%6ftify"),
    "with a query": request(path="/notify?token=1"),
    "a slash too many": request(path="/notify/"),
    "elsewhere": request(path="/notifi"),
    "another method": request(method="PUT"),
    "unreadable": request(b"garbage"),
    "no content type": request(content_type=None),
    "neither JSON nor XML": request(b"x", content_type="text/html"),
    "gzip": request(gzip.compress(REPORT), headers=[("Content-Encoding", "gzip")]),
    "no gzip": request(REPORT, headers=[("Content-Encoding", "gzip")]),
    "brotli": request(REPORT, headers=[("Content-Encoding", "br")]),
    "too large": request(b"x" * 3_000),
    "chunked": LATE + b"%x\r\n%b\r\n0\r\n\r\n" % (len(REPORT), REPORT),
    "chunked, too large": LATE + b"bb8\r\n" + b"x" * 3_000 + b"\r\n0\r\n\r\n",
    "a page of another site": request(headers=[("Origin", "https://evil.example")]),
    "a page, by the browser's word": request(headers=[("Sec-Fetch-Site", "cross-site")]),
    "a page to a source with credentials": request(
        path="/notify/eu", headers=[BASIC, ("Origin", "https://evil.example")]
    ),
    "unknown expectation": request(headers=[("Expect", "wonders")]),
    "to be closed": request(headers=[("Connection", "close")]),
    "HTTP/1.0": request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "with an id": request(headers=[("X-Request-Id", "proxy-1")]),
    "with an id that is none": request(headers=[("X-Request-Id", "a b\tc")]),
    "an empty list": request(b'{"results":[]}'),
    "one of two is bad": request(b'{"results":[{"messageId":"g","status":{"id":5}},7]}'),
}


async def answered(folder: Path) -> tuple[dict[str, Any], list[Any], list[str]]:
    """The answers to all requests, what was told of them, and the metrics of it."""
    file = folder / "dlr.toml"
    file.write_text(
        f'[server]\nport = 0\nbody_limit = "2KB"\n[store]\ndatabase = "{folder}/dlr.db"\n{SETTINGS}'
    )
    told: list[CallbackAnswered] = []
    replies: dict[str, Any] = {}
    async with service(
        read_settings(file, {}), parts=Parts(dispatches=False), callback_listeners=[told.append]
    ) as running:
        for name, data in REQUESTS.items():
            async with connected(running.url) as wire:
                await wire.send(data)
                replies[name] = comparable(await wire.reply())
        text = (await get(running.url, "/metrics")).body.decode()
    counted = [line for line in text.splitlines() if line.startswith(("dlr_callback", "dlr_rep"))]
    return replies, [facts(event) for event in told], counted


def comparable(reply: Reply) -> Any:
    """Names and order of the headers are part of it; the made ids and the instant are not."""
    headers = [
        (name, value if name not in ("date", "x-request-id") or value == "proxy-1" else "")
        for name, value in reply.headers.items()
    ]
    return reply.status, headers, reply.body


def facts(event: CallbackAnswered) -> Any:
    stored = event.stored
    told = stored and (stored.size, stored.counts, stored.callback.source, stored.callback.verdict)
    return event.source, event.status, event.because, told


def no_short_way(*_: object) -> Callable[[Handler], Handler]:
    return lambda otherwise: otherwise


async def test_nobody_can_tell(tmp_path_factory: pytest.TempPathFactory) -> None:
    short = await answered(tmp_path_factory.mktemp("short"))
    with patch("receiver.callbacks.app.short_way", no_short_way):
        long = await answered(tmp_path_factory.mktemp("long"))
    for name, reply in long[0].items():
        assert short[0][name] == reply, name
    assert short[1] == long[1]
    assert short[2] == long[2]


async def test_the_router_is_not_asked(tmp_path: Path) -> None:
    async with served(tmp_path) as running:
        with patch.object(web.UrlDispatcher, "resolve", side_effect=AssertionError):
            assert (await post(running.url)).json == {
                "stored": 1,
                "duplicates": 0,
                "quarantined": 0,
            }
