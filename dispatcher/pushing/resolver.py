"""Asks the system for addresses, so that a name which cannot be found delays no other.

The system's look-up blocks a thread, for half a minute when its name server is silent, and cannot
be broken off. aiohttp and uvloop share four to six threads for all of them: five dead names of five
customers held up every new connection. Here each look-up has a thread of its own, and those that
take long do not stand in the way:

    asked ──▶ quick, at most QUICK ──▶ done
                    │ after PATIENCE, while there are fewer than SLOW
                    ▼
    asked again ──▶ slow, at most SLOW ──▶ done
        a name whose last look-up took longer than PATIENCE; at most DOUBTED
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct

QUICK = 32
SLOW = 96
DOUBTED = 48
PATIENCE = 0.25
"""Seconds."""

REMEMBERED = 10_000
"""Names of which it is remembered that their look-up took long."""

Address = tuple[int, int, str]
"""Family, protocol and the address itself."""

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

Question = tuple[str, int]
"""A name, and the family of addresses that is wanted."""


def look_up(host: str, family: int) -> list[Address]:
    """Blocks. Raises OSError, and ValueError for what is no name."""
    found = socket.getaddrinfo(
        host, None, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return [(each, protocol, _text(address)) for each, _, protocol, _, address in found]


def _text(address: Sequence[object]) -> str:
    if len(address) < 4 or not address[3]:
        return str(address[0])
    # A link-local one, which needs its zone.
    scoped = (str(address[0]), 0, 0, int(str(address[3])))
    return socket.getnameinfo(scoped, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]


class _Asked(Struct, eq=False):
    """A look-up: `slow` when it counts among those that take long."""

    question: Question
    found: asyncio.Future[list[Address]]
    slow: bool
    running: bool = False
    late: bool = False


class Resolver(AbstractResolver):
    """Implements aiohttp's resolver. Whoever asks for a name that is being looked up shares the
    answer."""

    def __init__(
        self,
        look_up: Callable[[str, int], list[Address]] = look_up,
        patience: float = PATIENCE,
    ) -> None:
        self._look_up = look_up
        self._patience = patience
        self._asked: dict[Question, _Asked] = {}
        self._waiting: deque[_Asked] = deque()
        self._waiting_in_doubt: deque[_Asked] = deque()
        self._overdue: deque[_Asked] = deque()  # late, and no place among the slow ones yet
        self._quick = 0
        self._slow = 0
        self._in_doubt: dict[Question, None] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        question = (host, int(family))
        asked = self._asked.get(question) or self._ask(question)
        # One that is given up does not take the answer from the others that wait for it.
        addresses = await asyncio.shield(asked.found)
        return [
            ResolveResult(
                hostname=host, host=text, port=port, family=kind, proto=proto, flags=_NUMERIC
            )
            for kind, proto, text in addresses
        ]

    async def close(self) -> None:
        """Nobody waits any more. A thread that still looks up ends by itself."""
        for asked in list(self._asked.values()):
            asked.found.cancel()

    def _ask(self, question: Question) -> _Asked:
        found: asyncio.Future[list[Address]] = asyncio.get_running_loop().create_future()
        found.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen
        asked = _Asked(question, found, slow=question in self._in_doubt)
        self._asked[question] = asked
        (self._waiting_in_doubt if asked.slow else self._waiting).append(asked)
        self._start()
        return asked

    def _start(self) -> None:
        """Begin what may begin now."""
        while self._overdue and self._slow < SLOW:
            asked = self._overdue.popleft()
            if asked.running:
                asked.slow = True
                self._quick -= 1
                self._slow += 1
        while self._waiting and self._quick < QUICK:
            self._quick += 1
            self._run(self._waiting.popleft())
        while self._waiting_in_doubt and self._slow < DOUBTED:
            self._slow += 1
            self._run(self._waiting_in_doubt.popleft())

    def _run(self, asked: _Asked) -> None:
        asked.running = True
        loop = asyncio.get_running_loop()
        loop.call_later(self._patience, self._late, asked)
        # A daemon: the process does not wait for it at its end.
        threading.Thread(
            target=self._in_thread, args=(asked, loop), name="dlr-dns", daemon=True
        ).start()

    def _in_thread(self, asked: _Asked, loop: asyncio.AbstractEventLoop) -> None:
        found: list[Address] | Exception
        try:
            found = self._look_up(*asked.question)
        except Exception as error:  # noqa: BLE001  whoever has asked gets it
            found = error
        with suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(self._ended, asked, found)

    def _late(self, asked: _Asked) -> None:
        """It takes long: make room for others, and remember it."""
        if not asked.running:
            return
        asked.late = True
        self._in_doubt[asked.question] = None
        if len(self._in_doubt) > REMEMBERED:
            del self._in_doubt[next(iter(self._in_doubt))]
        if not asked.slow:
            self._overdue.append(asked)
            self._start()

    def _ended(self, asked: _Asked, found: list[Address] | Exception) -> None:
        asked.running = False
        del self._asked[asked.question]
        if not asked.late:
            self._in_doubt.pop(asked.question, None)
        if asked.slow:
            self._slow -= 1
        else:
            self._quick -= 1
        if not asked.found.done():
            if isinstance(found, Exception):
                asked.found.set_exception(found)
            else:
                asked.found.set_result(found)
        self._start()
