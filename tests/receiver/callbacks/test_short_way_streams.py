"""Streams of requests, cut anywhere, get the same answers in the same order from a server with the
short way and from one without it, and leave the same behind. The streams are drawn by a seed: what
fails once fails again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from aiohttp import StreamReader
from yarl import URL

from dispatcher.service import Parts, service
from dispatcher.settings.settings import Settings, read_settings
from receiver.callbacks.events import CallbackAnswered
from receiver.callbacks.short_way import Connection
from tests.receiver.callbacks.test_short_way import BASIC, LATE, facts
from tests.receiver.served import LIMIT, post, request

STREAMS = 50
KEY = "0123456789abcdef0123456789abcdef"
SETTINGS = f"""
[[source]]
name = "default"
[[source]]
name = "eu"
basic = {{ username = "platform", passwords = ["secret"] }}
[[source]]
name = "token"
query = {{ parameter = "token", tokens = ["{KEY}"] }}
[[source]]
name = "signed"
hmac = {{ header = "X-Signature", keys = ["{KEY}"] }}
"""
END = request(b"", path="/end", method="GET", headers=[("Connection", "close")])


def a_request(random: Random, seed: int) -> bytes:
    """Half of them are plain callbacks; every other one has something odd. All are HTTP: of what is
    not, aiohttp answers 400 to all that was read with it, which depends on the network."""
    body = b'{"results":[{"messageId":"m-%d-%d","status":{"groupId":3,"id":5}}]}'
    body %= (seed, random.randrange(5))
    signed = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    cut = random.randrange(1, len(body))
    chunks = b"%x\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\n\r\n"
    odd = [
        request(body, path="/notify/signed", headers=[("X-Signature", signed)]),
        request(body, path="/notify/signed", headers=[("X-Signature", signed[::-1])]),
        request(body, path=f"/notify/token?token={KEY}"),
        request(body, path="/notify/token?token=%30" + KEY[1:]),
        request(body, path="/notify/token?token=x"),
        request(body, path="/notify/eu", headers=[BASIC]),
        request(body, path="/notify/eu"),
        request(body, path=random.choice(["//notify", "/notify?a=%zz", "/notify;x", "/NOTIFY"])),
        request(body, path="http://localhost/notify"),
        LATE + chunks % (cut, body[:cut], len(body) - cut, body[cut:]),
        request(body, headers=[("Expect", "100-continue")]),
        request(body, headers=[("Connection", random.choice(["close", "keep-alive", "Upgrade"]))]),
        request(body, headers=[("X-Request-Id", "proxy-1"), ("X-Request-Id", "proxy-2")]),
        request(body, content_type="application/json; charset=utf-16"),
        request(body, content_type="application/json, application/json"),
        request(b"\xef\xbb\xbf" + body),
        request(b"[" * 1000),
        request(b""),
        request(body).replace(b"HTTP/1.1", b"HTTP/1.0"),
        request(body).replace(b"Content-Length: ", b"Content-Length: 0"),
        b"\r\n" + request(body),
        request(b"", path="/healthz", method="GET", content_type=None),
    ]
    return request(body) if random.random() < 0.5 else random.choice(odd)


def a_stream(random: Random, seed: int) -> list[bytes]:
    """Requests in pieces: mostly each in one of its own, some cut, some together."""
    requests = [a_request(random, seed) for _ in range(random.randrange(1, 7))]
    data = b"".join(requests) + END
    cuts = {at for at in accumulate(map(len, requests)) if random.random() < 0.8}
    cuts |= set(random.sample(range(1, len(data)), random.choice([0, 0, 1, 5])))
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


def settings_of(file: Path) -> Settings:
    database = f'[store]\ndatabase = "{file.with_suffix(".db")}"\n'
    file.write_text(f'[server]\nport = 0\nbody_limit = "2KB"\n{database}{SETTINGS}')
    return read_settings(file, {})


@asynccontextmanager
async def server(file: Path) -> AsyncIterator[tuple[str, list[CallbackAnswered]]]:
    told: list[CallbackAnswered] = []
    async with service(
        settings_of(file), parts=Parts(dispatches=False), callback_listeners=[told.append]
    ) as running:
        yield running.url, told


async def answers(url: str, pieces: Sequence[bytes], turns: Sequence[int]) -> bytes:
    """All that comes back, without what differs by itself. After each piece the loop turns a few
    times, so that the next one finds the server at another point."""
    place = URL(url)
    reader, writer = await asyncio.open_connection(place.host, place.port)
    for piece, turn in zip(pieces, turns, strict=True):
        writer.write(piece)
        for _ in range(turn):
            await asyncio.sleep(0)
    came = bytearray()
    async with asyncio.timeout(LIMIT):
        try:
            while more := await reader.read(65536):
                came += more
        except ConnectionError:  # it was closed while more was coming
            came += b"reset"
    writer.close()
    return re.sub(rb"(Date: |X-Request-Id: [0-9a-f]{8}-)[^\r]*", b"", bytes(came))


async def test_any_stream_is_answered_alike(tmp_path: Path) -> None:
    taken = compared = 0
    takes = Connection.takes

    def counted(self: Connection, head: Any, content: StreamReader) -> StreamReader | None:
        nonlocal taken
        assert self.transport is not None
        if self.transport.get_extra_info("sockname")[1] == URL(long).port:
            return content
        left = takes(self, head, content)
        taken += left is None
        return left

    with patch.object(Connection, "takes", counted):
        async with (
            server(tmp_path / "short.toml") as (short, told_short),
            server(tmp_path / "long.toml") as (long, told_long),
        ):
            for seed in range(STREAMS):
                random = Random(seed)
                pieces = a_stream(random, seed)
                turns = [random.choice([0, 1, 3, 10, 200, 200]) for _ in pieces]
                one, other = [await answers(url, pieces, turns) for url in (short, long)]
                if b"reset" in one + other:  # the network has lost what was on its way
                    for url in (short, long):  # what is being stored is stored before this
                        assert (await post(url)).status == 200
                    told_short.clear()
                    told_long.clear()
                    continue
                compared += 1
                assert one == other, (seed, pieces)
                assert [*map(facts, told_short)] == [*map(facts, told_long)], (seed, pieces)
    assert taken > STREAMS // 2
    assert compared > STREAMS // 2
