"""A receiver: `python -m dispatcher.receivers.child` takes callbacks for the first process.

The first process starts it (children.py) with one end of a channel and the sockets to listen on.
It ends when the channel ends, because the first process stops or is gone. Signals that are meant
for all processes of dlr, such as those of Ctrl-C or systemd, are left to the first one.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pickle import loads

import msgspec
import uvloop

from dispatcher.api.page_guard import page_guard_of
from dispatcher.clocks.clock import machine_clock
from dispatcher.clocks.common_time import CommonTime, boot_id
from dispatcher.flow.descriptors import raised_limit, shares
from dispatcher.observe import logs
from dispatcher.receivers.channel import Channel, Kind
from dispatcher.receivers.receiving import receiver_of, spare_the_collector
from dispatcher.receivers.sorting import SortingConnection, beginnings_of, callbacks_only
from dispatcher.receivers.sums import Numbers, samples_of
from dispatcher.settings.settings import Settings
from dispatcher.storage import Storage, storage
from receiver.callbacks.app import new_app
from receiver.callbacks.events import CallbackAnswered, Listener
from receiver.metrics import bare_registry
from receiver.server import REFUSED_MOST, Opened, listening
from receiver.store.base import StoreUnavailable

log = logging.getLogger("dlr.service")

TOLD_AFTER_SECONDS = 0.02
"""How soon the first process is told of new reports: it would otherwise wake up for each commit."""

_LEFT_TO_THE_FIRST = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT),
    *(signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2),
)


@dataclass(frozen=True, slots=True)
class Order:
    """What such a process is to do. Its settings hold secrets. It is pickled, because both ends of
    the channel are ours."""

    settings: Settings
    speed: float


class _First:
    """The first process, as this one sees it."""

    def __init__(self, end: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = Channel(end, self._take, self._ended)
        self._told = False
        self.order: asyncio.Future[Order] = self._loop.create_future()
        self.gone = asyncio.Event()
        self.numbers: Callable[[], Numbers] = Numbers

    def _take(self, kind: Kind, content: bytes, _: socket.socket | None) -> None:
        if kind is Kind.ORDER:
            self.order.set_result(loads(content))
        elif kind is Kind.ASK:
            self._channel.send(Kind.NUMBERS, msgspec.json.encode(self.numbers()))

    def _ended(self) -> None:
        self.gone.set()
        self.order.cancel()  # if none has come

    def ready(self) -> None:
        self._channel.send(Kind.READY)

    def hand_over(self, connection: int, begun: bytes) -> None:
        self._channel.send(Kind.CONNECTION, begun, connection)

    def stored(self) -> None:
        """New reports are on disk."""
        if not self._told:
            self._told = True
            self._loop.call_later(TOLD_AFTER_SECONDS, self._tell)

    def _tell(self) -> None:
        self._told = False
        self._channel.send(Kind.STORED)

    def answered(self, event: CallbackAnswered) -> None:
        """A listener of the receiver."""
        if event.because is not None:
            told = (event.source, event.because, event.status)
            self._channel.send(Kind.NOT_TAKEN, msgspec.json.encode(told))


def main() -> None:
    for number in _LEFT_TO_THE_FIRST:
        signal.signal(number, signal.SIG_IGN)
    end, *bound = [socket.socket(fileno=int(word)) for word in sys.argv[1:]]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_run(end, bound))
        except StoreUnavailable as error:
            log.error("callbacks wait until the database can be used: %s", error)
            sys.exit(1)


async def _run(end: socket.socket, bound: list[socket.socket]) -> None:
    """Take callbacks until the first process stops this one, or is gone."""
    first = _First(end)
    try:
        order = await first.order
    except asyncio.CancelledError:  # it is gone already
        return
    written, store = order.settings.log, order.settings.store
    logs.set_up(written.format, written.level)
    lines = logs.CallbackLines(written.format, written.level, mask_numbers=written.mask_numbers)
    try:
        async with storage(store.database, wait=store.wait.total_seconds()) as opened:
            await _receive(first, order, opened, bound, [lines, first.answered])
    finally:
        lines.flush()


async def _receive(
    first: _First,
    order: Order,
    opened: Storage,
    bound: list[socket.socket],
    listeners: list[Listener],
) -> None:
    settings, clock = order.settings, machine_clock(order.speed)
    await CommonTime(opened.time, clock, boot_id()).join()
    app, registry = new_app(body_limit=settings.server.body_limit), bare_registry()
    shared = shares(raised_limit(), settings.limits.connections, refused=REFUSED_MOST, pushes=False)
    connections = Opened(shared.refused)
    mine = beginnings_of(source.name for source in settings.source)
    app.middlewares.insert(0, callbacks_only(mine))
    page_guard_of(settings).add_to(app)
    receiver = receiver_of(settings, opened.store, clock, registry, first.stored, listeners)
    receiver.add_routes(app)
    connections.on_head_not_read = receiver.head_not_read
    first.numbers = lambda: Numbers(
        connections.served, shared.connections, connections.full, samples_of(registry)
    )
    async with listening(
        app,
        settings.server,
        replace(settings.limits, connections=shared.connections),
        connections,
        short=receiver.short_way,
        bound=bound,
        connect=partial(SortingConnection, beginnings=mine, hand_over=first.hand_over),
    ):
        for each in bound:  # the server has sockets of its own, which it closes in order
            each.close()
        spare_the_collector()
        first.ready()
        await first.gone.wait()


if __name__ == "__main__":
    main()
