"""Messages between the first process and a receiver, over a pair of Unix sockets.

A message has a kind and bytes, and may carry a connection. The end of the channel is a message too:
it tells the first process that the receiver has ended, and the receiver that it is to stop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from struct import Struct

PIECE = 256 * 1024  # bytes that are read at once
_HEAD = Struct("!BI")  # kind, and bytes that follow
_CONNECTIONS_AT_ONCE = 64


class Kind(IntEnum):
    ORDER = 0  # from the first process: what the receiver is to do
    READY = 1  # from the receiver, as all below but ASK: it listens
    STORED = 2  # new reports are on disk
    NOT_TAKEN = 3  # a callback was refused, and its sender has to change something
    CONNECTION = 4  # asks for something else than a callback; with the bytes read from it
    ASK = 5  # from the first process: send your numbers
    NUMBERS = 6


Take = Callable[[Kind, bytes, socket.socket | None], None]


class Channel:
    """One end of the channel. `take` gets each message. `ended` is called once, when the other end
    is closed.

    Sending never blocks: what cannot be sent at once is sent when there is room.
    """

    def __init__(self, end: socket.socket, take: Take, ended: Callable[[], None]) -> None:
        end.setblocking(False)
        self._end = end
        self._take = take
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._come = bytearray()
        self._come_with: deque[int | None] = deque()  # None: lost, see _read
        self._to_send: deque[tuple[bytes, int | None]] = deque()
        self._loop.add_reader(end, self._read)

    def send(self, kind: Kind, content: bytes = b"", connection: int | None = None) -> None:
        """`connection` is a descriptor, which is closed here once it is sent. After the end of the
        channel nothing is sent."""
        if self._end.fileno() < 0:
            _close(connection)
            return
        self._to_send.append((_HEAD.pack(kind, len(content)) + content, connection))
        if len(self._to_send) == 1:
            self._send()

    def finish(self) -> None:
        """Send nothing more. The other end is told so, and may still send."""
        if self._end.fileno() >= 0:
            self._end.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self._end.fileno() < 0:
            return
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        for connection in [*self._come_with, *(each for _, each in self._to_send)]:
            _close(connection)
        self._to_send.clear()
        self._come_with.clear()

    def _send(self) -> None:
        while self._to_send:
            content, connection = self._to_send[0]
            try:
                sent = socket.send_fds(self._end, [content], _listed(connection))
            except BlockingIOError:
                self._loop.add_writer(self._end, self._send)
                return
            except OSError:  # nobody reads any more: the end of the channel is told by reading
                sent = len(content)
            _close(connection)
            if sent < len(content):
                self._to_send[0] = content[sent:], None
            else:
                self._to_send.popleft()
        self._loop.remove_writer(self._end)

    def _read(self) -> None:
        try:
            content, with_it, flags, _ = socket.recv_fds(self._end, PIECE, _CONNECTIONS_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            content, with_it, flags = b"", [], 0
        self._come += content
        self._come_with += with_it
        if flags & socket.MSG_CTRUNC:
            # The kernel dropped the connection, because this process may open no more files. The
            # message must not take that of the next one.
            self._come_with.append(None)
        if content:
            self._take_all()
        else:
            self._loop.remove_reader(self._end)
            self._ended()

    def _take_all(self) -> None:
        """Hand on each message that has come as a whole."""
        while len(self._come) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._come)
            whole = _HEAD.size + length
            if len(self._come) < whole:
                return
            content = bytes(self._come[_HEAD.size : whole])
            del self._come[:whole]
            connection = None
            if kind == Kind.CONNECTION and self._come_with:
                number = self._come_with.popleft()
                connection = None if number is None else socket.socket(fileno=number)
            self._take(Kind(kind), content, connection)


def _listed(connection: int | None) -> list[int]:
    return [] if connection is None else [connection]


def _close(connection: int | None) -> None:
    if connection is not None:
        os.close(connection)
