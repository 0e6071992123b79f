"""The connections of a process to its PostgreSQL server, and what becomes of them when it is gone.

A connection is used by one thread at a time, and there are never more of them than threads. When
the server is restarted, its connections break, and new ones are made as soon as it takes them.
Whoever needs one waits for that until its own deadline.

The network can also fall silent: then nothing breaks. The kernel ends a connection whose other
machine is gone (`tcp_user_timeout`, keepalives); and a server or a proxy that keeps the connection
and does not answer is left after a `patience`, which is longer than it may work at a statement.
"""

from __future__ import annotations

import time
from threading import Event, Lock
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from receiver.store.postgres.texts import adapt_texts

RV = TypeVar("RV")

AGAIN_SECONDS = 0.2
"""How long after a connection was refused the next one is tried."""

FIRST_SECONDS = 3.0
"""How long a new connection's first statement is waited for, which needs no work."""

IDLE_SECONDS = 600.0
"""A connection that nobody has needed for so long is closed."""

SETTINGS: dict[str, Any] = {
    "connect_timeout": 3,  # of each host in the URL: the second one must have its turn
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""What the URL may set otherwise, by the names of libpq."""


class Unanswered(psycopg.OperationalError):
    """The server has not answered a statement in time: nobody knows what became of it."""


class Link(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits for the answer to a statement for a limited time."""

    patience: float = 0.0  # seconds; 0: for ever
    is_pooled: bool = False
    era: int = 0
    idle_since: float = 0.0

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        if not self.patience:
            return super().wait(gen, *args, **kwargs)
        try:
            return super().wait(_within(gen, self.patience), *args, **kwargs)
        except Unanswered:
            self.pgconn.finish()  # an answer that comes later would be taken for the next one's
            raise


def _within(gen: PQGen[RV], seconds: float) -> PQGen[RV]:
    """`gen`, which is told ten times a second that nothing has come, as long as it may last."""
    deadline = time.monotonic() + seconds
    ready: Any = None
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        ready = yield wanted
        if not ready and time.monotonic() > deadline:
            raise Unanswered(f"the server has not answered for {seconds:g} s")


def connect(url: str) -> Link:
    """Raises psycopg.Error with what the server or the network said.

    A pooler may give each transaction another connection of its own, on which a statement that was
    prepared before is missing, or another one has its name. So nothing is prepared behind one. It
    gives its clients process ids of its own making, which are not the server's.
    """
    link = Link.connect(make_conninfo(**SETTINGS | conninfo_to_dict(url)), autocommit=True)
    link.patience = FIRST_SECONDS
    adapt_texts(link)
    try:
        process = link.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    except psycopg.Error:
        link.close()
        raise
    link.is_pooled = process != (link.info.backend_pid,)
    if link.is_pooled:
        link.prepare_threshold = None
    return link


class Connections:
    """Those of one process. `take` and `give_back` are called on its threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = Lock()
        self._idle: list[Link] = []  # the one that was used last is the last
        self._era = 0  # a new one begins when the server turns out to be another one
        self._closing = Event()
        self._trying = Lock()  # while the server is lost, one thread at a time tries to connect
        self._fault = ""

    @property
    def lost(self) -> bool:
        """Whether no connection could be made when that was tried last."""
        return bool(self._fault)

    def take(self, begin: str, patience: float, deadline: float) -> Link:
        """A connection whose transaction has been opened by `begin`, and whose statements wait for
        an answer for `patience` seconds, or for ever with 0. It is tried to be had until
        `deadline`, by time.monotonic(). Raises psycopg.Error with what was in the way."""
        while True:
            link = self._idle_one()
            is_new = link is None
            try:
                link = link or self._connected(deadline)
                # Half of what is left, so that a new one can be had if this one is not answered.
                link.patience = max(1.0, (deadline - time.monotonic()) / 2)
                link.execute(begin, prepare=False)
            except psycopg.OperationalError:
                if link is not None:
                    self.give_back(link)
                if not self._may_try_again(deadline, at_once=not is_new):
                    raise
            else:
                link.patience = patience
                return link

    def give_back(self, link: Link, *, is_astray: bool = False) -> None:
        """Its transaction has ended. If it has broken, so have the idle ones, or they would be
        found broken one by one, each after as long a wait; the same if it is astray: the server
        must not be written to any more, and the URL leads to another one."""
        now = link.idle_since = time.monotonic()
        with self._lock:
            if is_astray or link.closed:
                self._era += 1
            if link.era == self._era and not self._closing.is_set():
                self._idle.append(link)
            else:
                link.close()
            while self._idle and self._is_over(self._idle[0], now):
                self._idle.pop(0).close()

    def close(self) -> None:
        """Close those that nobody uses; the others are when they come back."""
        self._closing.set()
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _idle_one(self) -> Link | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _is_over(self, link: Link, now: float) -> bool:
        return link.era != self._era or link.idle_since < now - IDLE_SECONDS

    def _connected(self, deadline: float) -> Link:
        if not self.lost:
            return self._new()
        if not self._trying.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise psycopg.OperationalError(self._fault)
        try:
            return self._new()
        finally:
            self._trying.release()

    def _new(self) -> Link:
        era = self._era
        try:
            link = connect(self._url)
        except psycopg.Error as error:
            self._fault = str(error)
            raise
        self._fault = ""
        link.era = era
        return link

    def _may_try_again(self, deadline: float, *, at_once: bool) -> bool:
        """Whether there is time left for it, after a moment."""
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        return not self._closing.wait(0 if at_once else min(AGAIN_SECONDS, left))
