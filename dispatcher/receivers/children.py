"""The receivers, processes that take callbacks, as the first process sees them.

Each is a child (child.py) that is started again when it ends. Until it listens, the first process
takes what comes to its sockets.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pickle import dumps
from time import monotonic

import msgspec

from dispatcher.receivers.channel import Channel, Kind
from dispatcher.receivers.child import Order
from dispatcher.receivers.sums import Numbers, Samples, total
from receiver.callbacks.not_taken import NotTakenBecause
from receiver.server import Listener

log = logging.getLogger("dlr.service")

STEADY_SECONDS = 10.0
"""A process that ran for so long is started again at once. One that ended sooner is started again
after a pause, which doubles from PAUSE_LEAST to PAUSE_MOST."""
PAUSE_LEAST, PAUSE_MOST = 1.0, 30.0

MISSING_SECONDS = 10.0
"""A process that does not listen for so long makes this one not ready."""

ANSWER_SECONDS = 1.0
"""How long a scrape waits for the numbers of a process. Then those of the last time count."""

STOP_SECONDS = 5.0
"""What a child gets to stop, beyond `server.stop_timeout`, before it is killed."""

Ports = Sequence[socket.socket]

_numbers = msgspec.json.Decoder(Numbers)
_not_taken = msgspec.json.Decoder(tuple[str | None, NotTakenBecause, int])


def pause_after(pause: float, ran: float) -> float:
    """How many seconds to wait before a process that `ran` for so long is started again; `pause` is
    how many it was the last time."""
    return 0.0 if ran >= STEADY_SECONDS else min(max(2 * pause, PAUSE_LEAST), PAUSE_MOST)


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


@dataclass(frozen=True, slots=True)
class Told:
    """What the first process does when they tell of new reports on disk, of a callback that was
    refused (its source, why, and the status), and of a connection, which `listener` takes."""

    on_stored: Callable[[], None]
    on_not_taken: Callable[[str | None, NotTakenBecause, int], None]
    listener: Listener


class Children:
    """All receivers, each with its order."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self._stop_timeout = max(each.settings.server.stop_timeout for each in orders)
        self._all = [
            _Child(f"receiver {number} of {len(orders)}", order)
            for number, order in enumerate(orders, start=1)
        ]

    def __len__(self) -> int:
        return len(self._all)

    @asynccontextmanager
    async def running(self, ports: Sequence[Ports], told: Told) -> AsyncIterator[None]:
        """Have all of them run until the block ends; then they answer what they have begun. When
        the block begins each one listens, or has ended for the first time."""
        keeping = [
            asyncio.create_task(each.keep_running(sockets, told))
            for each, sockets in zip(self._all, ports, strict=True)
        ]
        try:
            await asyncio.gather(*(each.tried.wait() for each in self._all))
            yield
        finally:
            for each in self._all:
                each.stop()
            seconds = self._stop_timeout.total_seconds() + STOP_SECONDS
            await asyncio.wait(keeping, timeout=seconds)
            for each in self._all:
                each.kill()
            await asyncio.gather(*keeping)

    async def ask(self) -> None:
        """Have each tell its numbers."""
        await asyncio.gather(*(each.ask() for each in self._all))

    @property
    def most(self) -> int:
        """The connections that they may have at once."""
        return sum(each.numbers.most for each in self._all)

    @property
    def served(self) -> int:
        """The connections that they have, as they told last."""
        return sum(each.numbers.served for each in self._all)

    @property
    def full(self) -> bool:
        return any(each.numbers.full for each in self._all)

    def counted(self) -> Samples:
        """What all of them have counted since the first process was started."""
        return total(
            samples
            for each in self._all
            for samples in (each.counted_before.items(), each.numbers.samples)
        )

    def trouble(self) -> str | None:
        """Why the first process is not ready."""
        missing = [each.name for each in self._all if each.is_missing()]
        return f"not running: {', '.join(missing)}" if missing else None


class _Child:
    """One receiver, through all processes that it is run by."""

    def __init__(self, name: str, order: Order) -> None:
        self.name = name
        self.tried = asyncio.Event()
        self.numbers = Numbers()
        self.counted_before: Samples = {}  # by processes that have ended, as they told last
        self._order = order
        self._ports: Ports = ()
        self._stopping = asyncio.Event()
        self._missing_since: float | None = monotonic()  # None: it listens
        self._told = asyncio.Event()  # its numbers, since it was asked
        self._process: Process | None = None
        self._channel: Channel | None = None
        self._covers: list[asyncio.Server] = []
        self._handed_over: set[asyncio.Task[None]] = set()
        self._first: Told

    async def keep_running(self, ports: Ports, told: Told) -> None:
        """Start the process, and again whenever it has ended, until `stop`."""
        self._ports, self._first = ports, told
        pause = 0.0
        await self._cover()
        while True:
            started = monotonic()
            how = await self._run()
            self.tried.set()
            if self._stopping.is_set():
                return
            pause = pause_after(pause, monotonic() - started)
            when = f"in {pause:g} s" if pause else "now"
            log.warning("%s ended (%s); it is started again %s", self.name, how, when)
            self._missing_since = self._missing_since or monotonic()
            await self._cover()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                return

    def stop(self) -> None:
        """Have it take no new connection, answer what it has begun, and end."""
        self._stopping.set()
        self._uncover()
        for each in self._ports:
            each.close()
        if self._channel is not None:
            self._channel.finish()

    def kill(self) -> None:
        """Wait for it no longer."""
        if self._process is not None and self._process.returncode is None:
            log.warning("%s has not stopped in time and is killed", self.name)
            self._process.kill()

    def is_missing(self) -> bool:
        since = self._missing_since
        return since is not None and monotonic() - since > MISSING_SECONDS

    async def ask(self) -> None:
        if self._channel is None or self._missing_since is not None:
            return
        self._told.clear()
        self._channel.send(Kind.ASK)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._told.wait()

    async def _run(self) -> str:
        """Run one process to its end. Returns how it ended, in words."""
        ours, theirs = socket.socketpair()
        with theirs:
            passed = [theirs.fileno(), *(each.fileno() for each in self._ports)]
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "dispatcher.receivers.child", *map(str, passed)),
                    pass_fds=passed,
                    stdin=DEVNULL,
                )
            except OSError as error:  # no process, or no file, is left for it
                ours.close()
                return error.strerror or str(error)
        ended = asyncio.Event()
        self._channel = Channel(ours, self._take, ended.set)
        self._channel.send(Kind.ORDER, dumps(self._order))
        if self._stopping.is_set():
            self._channel.finish()
        code = await self._process.wait()
        await ended.wait()  # of what it had told before
        await asyncio.gather(*self._handed_over, return_exceptions=True)
        self._channel.close()
        self._channel = None
        self._told.set()
        self.counted_before = total((self.counted_before.items(), self.numbers.samples))
        self.numbers = Numbers()
        return ending(code)

    async def _cover(self) -> None:
        """Take what comes to its sockets until it listens itself."""
        if not self._covers:
            try:
                self._covers = [await self._first.listener.listen(each) for each in self._ports]
            except OSError as error:  # no descriptor is left
                log.warning("connections wait for %s: %s", self.name, error.strerror)

    def _uncover(self) -> None:
        for each in self._covers:
            each.close()
        self._covers = []

    def _take(self, kind: Kind, content: bytes, connection: socket.socket | None) -> None:
        """What the process tells."""
        if kind is Kind.READY:
            self._missing_since = None
            self._uncover()
            self.tried.set()
        elif kind is Kind.STORED:
            self._first.on_stored()
        elif kind is Kind.NOT_TAKEN:
            self._first.on_not_taken(*_not_taken.decode(content))
        elif kind is Kind.NUMBERS:
            self.numbers = _numbers.decode(content)
            self._told.set()
        elif connection is not None:
            taking = asyncio.create_task(self._first.listener.take(connection, content))
            self._handed_over.add(taking)
            taking.add_done_callback(self._handed_over.discard)
