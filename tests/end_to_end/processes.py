"""Real `dlr` processes in a folder of their own, a customer that records, and the one wait.

A test waits for what it can see: a line that a process prints, a push that the customer gets, the
end of a process. Only what announces itself in no such way is asked for again and again, by
`eventually`; nothing else here or in the tests may wait.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import aiohttp
from aiohttp import web

from tests.forks import Fork, fork

T = TypeVar("T")

LIMIT = 30.0
"""Seconds after which something that should long have happened has not. Never a time to wait for:
it is long because others may be using the machine."""


async def eventually(
    check: Callable[[], Awaitable[T | None]], what: str, limit: float = LIMIT
) -> T:
    """What `check` gives as soon as it gives something. For what no event announces."""
    deadline = time.monotonic() + limit
    while not (found := await check()):
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}"
        await asyncio.sleep(0.02)
    return found


class Tally:
    """A count that can be waited for."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Event()

    def add(self) -> None:
        self.count += 1
        self._changed.set()

    async def reach(self, number: int, limit: float = LIMIT) -> None:
        async with asyncio.timeout(limit):
            while self.count < number:
                self._changed.clear()
                await self._changed.wait()


# --- processes ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has run to its end."""

    code: int
    out: str
    err: str


async def _start(
    folder: Path,
    words: Iterable[str],
    environment: Mapping[str, str],
    *,
    descriptors: int | None = None,
    stdin: int = DEVNULL,
) -> Fork:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("DLR_")}
    return await fork(
        folder,
        list(words),
        {**inherited, "COLUMNS": "200", **environment},
        stdin=stdin,
        descriptors=descriptors,
    )


async def dlr(
    folder: Path,
    *words: str,
    limit: float = LIMIT,
    stdin: bytes | None = None,
    **environment: str,
) -> Ended:
    """Run `dlr words…` in `folder` to its end, with the variables of `environment`; `stdin` is what
    is piped in."""
    process = await _start(folder, words, environment, stdin=DEVNULL if stdin is None else PIPE)
    try:
        async with asyncio.timeout(limit):
            out, err = await process.communicate(stdin)
    finally:
        await _kill(process)
    return Ended(await process.wait(), out.decode(), err.decode())


async def _kill(process: Fork) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


class Lines:
    """What a process writes to one of its outputs, line by line, as it comes."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.lines: list[str] = []
        self._changed = asyncio.Event()
        self._ended = False
        self.reading = asyncio.create_task(self._read(reader))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def find(self, pattern: str, limit: float = LIMIT) -> re.Match[str]:
        """The first line that matches, be it written yet or not."""
        looked_at = 0
        async with asyncio.timeout(limit):
            while True:
                for line in self.lines[looked_at:]:
                    looked_at += 1
                    if found := re.search(pattern, line):
                        return found
                assert not self._ended, f"ended without a line {pattern!r}; wrote:\n{self.text}"
                self._changed.clear()
                await self._changed.wait()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            self.lines.append(line.decode().rstrip("\n"))
            self._changed.set()
        self._ended = True
        self._changed.set()


class Running:
    """A `dlr` process that listens. Made by `running`."""

    def __init__(self, process: Fork, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self.out = Lines(process.stdout)
        self.err = Lines(process.stderr)
        self._process = process
        self._session = session

    @property
    def pid(self) -> int:
        return self._process.pid

    async def listening(self) -> None:
        try:
            # Alone in its line, or the message of one in JSON.
            self.url = (await self.out.find(r'(?:^|")listening on (https?://[^\s"]+)'))[1]
        except AssertionError as error:
            await self.err.reading
            raise AssertionError(f"{error}\n{self.err.text}") from None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, limit: float = LIMIT) -> int:
        """The exit code, when the process has ended by itself."""
        async with asyncio.timeout(limit):
            code = await self._process.wait()
            await asyncio.gather(self.out.reading, self.err.reading)
        return code

    async def stop(self, limit: float = LIMIT) -> int:
        self.signal(signal.SIGTERM)
        return await self.ended(limit)

    async def kill(self) -> None:
        """SIGKILL: no time for a last word."""
        await _kill(self._process)
        await asyncio.gather(self.out.reading, self.err.reading)

    async def post(
        self, body: bytes, form: str = "json", path: str = "/notify"
    ) -> tuple[int, dict[str, Any]]:
        """Post a callback as the platform does: the status and the JSON of the answer."""
        headers = {"Content-Type": f"application/{form}"}
        async with self._session.post(self.url + path, data=body, headers=headers) as response:
            return response.status, await response.json()

    async def push(self, body: bytes) -> int | None:
        """Push to `dlr endpoint` as the dispatcher does; None when the connection was cut."""
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(self.url, data=body, headers=headers) as response:
                return response.status
        except aiohttp.ClientError:
            return None

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self._session.get(self.url + path) as response:
            return response.status, await response.json()

    async def all(self, name: str) -> list[dict[str, Any]]:
        """All that GET /api/{name} lists, page by page."""
        found: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(1000):
            status, page = await self.get(f"/api/{name}?limit=1000{cursor}")
            assert status == 200, page
            found += page[name]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"
        raise AssertionError(f"/api/{name} does not end")

    async def history(self, dispatch: str) -> dict[str, Any]:
        """One dispatch with its attempts."""
        status, view = await self.get(f"/api/dispatches/{dispatch}")
        assert status == 200, view
        return view


@asynccontextmanager
async def running(
    folder: Path,
    *words: str,
    descriptors: int | None = None,
    stdin: int = DEVNULL,
    **environment: str,
) -> AsyncIterator[Running]:
    """`dlr words…` on a free port, listening; killed at the end if it has not ended by itself. With
    `descriptors` it may have so many open."""
    process = await _start(
        folder, (*words, "--port", "0"), environment, descriptors=descriptors, stdin=stdin
    )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session:
        server = Running(process, session)
        try:
            await server.listening()
            yield server
        finally:
            await server.kill()


@asynccontextmanager
async def started(folder: Path, *words: str, **environment: str) -> AsyncIterator[Running]:
    """`dlr words…` that does not listen, while it runs; killed at the end like `running`."""
    process = await _start(folder, words, environment)
    async with aiohttp.ClientSession() as session:
        command = Running(process, session)
        try:
            yield command
        finally:
            await command.kill()


# --- the customer ------------------------------------------------------------------------------

CUT: Literal["cut"] = "cut"
"""Instead of a status: the connection is cut without an answer."""

AT_ONCE = 3.0
"""Seconds within which a push comes again whose connection was cut, if that was a kept one."""


@dataclass(frozen=True, slots=True)
class Push:
    """One request that the customer got. `at` is monotonic, in seconds."""

    at: float
    path: str
    dispatch: str
    attempt: int
    content_type: str
    body: bytes
    replay: str | None = None
    is_again: bool = False  # of the same attempt: the connection was cut before

    @property
    def message_ids(self) -> list[str]:
        found = re.findall(rb'"messageId":"([^"]+)"|<messageId>([^<]+)</messageId>', self.body)
        return [(a or b).decode() for a, b in found]


@dataclass
class Customer:
    """A customer's endpoint in this process, that records what it gets.

    `answer` decides: a status, or CUT. `may_answer` holds all answers back while it is not set.
    """

    answer: Callable[[Push], int | Literal["cut"]] = lambda _: 200
    pushes: list[Push] = field(default_factory=list)
    acknowledged: list[Push] = field(default_factory=list)
    came: Tally = field(default_factory=Tally)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    address: str = "127.0.0.1"
    _port: int = 0
    _runner: web.AppRunner | None = None
    _cut_at: dict[tuple[str, int], float] = field(default_factory=dict)  # by dispatch and attempt

    async def start(self) -> None:
        """Listen; after a `stop`, on the same port again."""
        app = web.Application(client_max_size=100 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, self._port).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://{self.address}:{self._port}"

    async def stop(self) -> None:
        """Close the port: whoever calls is refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        known_by = request.headers["webhook-id"], int(request.headers["dlr-attempt"])
        push = Push(
            at=now,
            path=request.path,
            dispatch=known_by[0],
            attempt=known_by[1],
            content_type=request.headers["Content-Type"],
            body=await request.read(),
            replay=request.headers.get("dlr-replay"),
            is_again=now - self._cut_at.pop(known_by, -AT_ONCE) < AT_ONCE,
        )
        self.pushes.append(push)
        told = self.answer(push)
        self.came.add()
        await self.may_answer.wait()
        if told == CUT:
            assert request.transport is not None
            self._cut_at[known_by] = time.monotonic()
            request.transport.abort()
            return web.Response(status=500)
        if 200 <= told < 300:
            self.acknowledged.append(push)
        return web.Response(status=told)


@asynccontextmanager
async def customer(
    answer: Callable[[Push], int | Literal["cut"]] = lambda _: 200,
    address: str = "127.0.0.1",
) -> AsyncIterator[Customer]:
    """A customer that listens and answers at once."""
    new = Customer(answer, address=address)
    new.may_answer.set()
    await new.start()
    try:
        yield new
    finally:
        await new.stop()


def configure(folder: Path, text: str) -> None:
    """Write the dlr.toml that each `dlr` in this folder reads."""
    (folder / "dlr.toml").write_text(text, "utf-8")


def an_endpoint(url: str, name: str = "acme", **settings: str) -> str:
    """An [[endpoint]] of a configuration file."""
    lines = {"name": name, "url": url, **settings}
    return "[[endpoint]]\n" + "".join(f'{key} = "{text}"\n' for key, text in lines.items())
