"""A real `dlr` process under attack: raw requests to it, and what it must never do.

    CASES = (Case("a limit that is no number", "GET", "/api/reports?limit=x", "400 bad_query"),)

    async with attacked(tmp_path, "serve", config='[[source]]\\nname = "default"\\n') as server:
        for case in CASES:
            assert await got(server, case) == case.gets, case.attack

`attacked` ends the process in order and looks at everything it wrote: a traceback, an error of
ours or a raw control character fails the test, whatever its own assertions said. `ask` sends a
request as it is written, because an HTTP client would mend it; `exchange` sends any bytes.
"""

from __future__ import annotations

import asyncio
import json
import re
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yarl import URL

from tests.end_to_end.processes import LIMIT, Running, configure, running

_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What must not reach a terminal: C0 but for the line feed, C1, line separators, bidi marks."""

_TROUBLE = re.compile(
    r"Traceback \(most recent call last\)|Error handling request"
    r"|(?<!JSON is malformed:) unexpected "  # which a line of the log quotes of an answer
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, byte for byte. `status` is 0 when the connection ended without an answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first of this name, whatever its case."""
        return next((text for key, text in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The code of an error of the API; `None` when it is none."""
        try:
            return str(self.json["error"]["code"])
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True, slots=True)
class Case:
    """A row of a table: the attack in words, its request, and what it gets: a status, with the code
    of the error where there is one."""

    attack: str
    method: str
    target: str | bytes
    gets: str
    headers: Sequence[tuple[str, str | bytes]] = ()
    body: bytes | None = None


@asynccontextmanager
async def attacked(
    folder: Path, *words: str, config: str | None = None, **environment: str
) -> AsyncIterator[Running]:
    """`dlr words…` on a free port of the loopback, stopped in order at the end.

    Raises AssertionError if it does not end with 0, or `troubles` finds something in what it wrote.
    """
    if config is not None:
        configure(folder, config)
    async with running(folder, *words, descriptors=None, stdin=DEVNULL, **environment) as server:
        yield server
        code = await server.stop()
        written = f"{server.out.text}\n{server.err.text}"
        assert not troubles(written), "\n".join(troubles(written))
        assert code == 0, written


def troubles(written: str) -> list[str]:
    """The lines of an output that must not be there: tracebacks, and raw control characters."""
    return [
        f"line {number}: {line!r}"
        for number, line in enumerate(written.split("\n"), 1)
        if _TROUBLE.search(line) or _RAW.search(line)
    ]


async def ask(
    server: Running,
    method: str,
    target: str | bytes,
    headers: Iterable[tuple[str, str | bytes]] = (),
    body: bytes | None = None,
) -> Answer:
    """Send one request. The target goes out as it is; a `Host` among the headers replaces ours."""
    named = {name.lower() for name, _ in headers}
    head = [_bytes(method) + b" " + _bytes(target) + b" HTTP/1.1"]
    if "host" not in named:
        head.append(b"Host: " + URL(server.url).authority.encode())
    if body is not None and not named & {"content-length", "transfer-encoding"}:
        head.append(b"Content-Length: %d" % len(body))
    head += [_bytes(name) + b": " + _bytes(text) for name, text in headers]
    head += [b"Connection: close", b"", b""]
    return await exchange(server, b"\r\n".join(head) + (body or b""))


async def got(server: Running, case: Case) -> str:
    """What a row of a table gets, in the words of `Case.gets`."""
    answer = await ask(server, case.method, case.target, case.headers, case.body)
    return f"{answer.status} {answer.code or ''}".strip()


async def ask_json(server: Running, method: str, target: str, value: Any) -> Answer:
    """Send a value as a body in JSON; `bytes` are sent as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return await ask(server, method, target, [("Content-Type", "application/json")], body)


async def exchange(server: Running, sent: bytes, limit: float = LIMIT) -> Answer:
    """Send bytes on a connection of their own, and read until the server closes it."""
    url = URL(server.url)
    async with asyncio.timeout(limit):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        try:
            writer.write(sent)
            return _answer(await _all(reader))
        finally:
            writer.close()


async def _all(reader: asyncio.StreamReader) -> bytes:
    """What came before the end, or before the connection was reset."""
    came = bytearray()
    try:
        while piece := await reader.read(65_536):
            came += piece
    except ConnectionError:
        pass
    return bytes(came)


def _answer(came: bytes) -> Answer:
    head, _, body = came.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[1].isdecimal():
        return Answer(0, (), came)
    pairs = (line.partition(":") for line in lines)
    return Answer(int(words[1]), tuple((name, text.strip()) for name, _, text in pairs), body)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
