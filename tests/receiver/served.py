"""A receiver on a real socket with settings of its own, and a client that writes raw bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yarl import URL

from dispatcher.service import Parts, Service, service
from dispatcher.settings.settings import read_settings

LIMIT = 30.0
"""Seconds after which an answer will not come any more. Never a time to wait for."""

REPORT = b'{"results":[{"messageId":"good-1","status":{"groupId":3,"id":5}}]}'


@asynccontextmanager
async def served(folder: Path, text: str = "", server: str = "") -> AsyncIterator[Service]:
    """A receiver with the settings `text`, and with `server` in its section [server]."""
    file = folder / "dlr.toml"
    database = folder / "dlr.db"
    file.write_text(f'[server]\nport = 0\n{server}\n[store]\ndatabase = "{database}"\n{text}')
    async with service(read_settings(file, {}), parts=Parts(dispatches=False)) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came. `status` 0: the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error of ours; "" where there is none."""
        found: str = self.json.get("error", {}).get("code", "") if self.body else ""
        return found


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> bool:
        """False when the other end has closed."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return False
        return True

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self._writer.write_eof()

    async def reply(self) -> Reply:
        async with asyncio.timeout(LIMIT):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return Reply(0, {}, b"")
            first, *lines = head.decode().splitlines()
            pairs = (line.partition(":") for line in lines if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
            return Reply(int(first.split()[1]), headers, body)

    async def closed(self) -> bool:
        """Waits until the other end has closed; what still comes is thrown away."""
        async with asyncio.timeout(LIMIT):
            try:
                while await self._reader.read(65536):
                    pass
            except ConnectionError:
                pass
        return True

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Wire]:
    """A connection to the server at `url`."""
    place = URL(url)
    assert place.host is not None
    wire = Wire(*await asyncio.open_connection(place.host, place.port))
    try:
        yield wire
    finally:
        await wire.close()


async def raw(url: str, data: bytes, *, end: bool = False) -> Reply:
    """What is answered to these bytes. `end`: nothing more is sent after them."""
    async with connected(url) as wire:
        await wire.send(data)
        if end:
            wire.end()
        return await wire.reply()


def request(
    body: bytes = REPORT,
    *,
    path: str = "/notify",
    method: str = "POST",
    headers: Iterable[tuple[str, str]] = (),
    content_type: str | None = "application/json",
) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


async def post(url: str, body: bytes = REPORT, **how: Any) -> Reply:
    """Post a callback and give what is answered."""
    return await raw(url, request(body, **how))


async def get(url: str, path: str, *headers: tuple[str, str]) -> Reply:
    """GET `path`."""
    return await raw(url, request(b"", path=path, method="GET", headers=headers, content_type=None))


async def still_works(url: str) -> None:
    """The process lives and takes a good callback."""
    assert (await get(url, "/healthz")).status == 200
    reply = await post(url)
    assert (reply.status, sum(reply.json.values())) == (200, 1)
