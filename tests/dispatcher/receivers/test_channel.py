"""The channel between two processes: messages come whole, each with the connection it was sent with
or with none, and nobody's descriptors are left open.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from unittest.mock import patch

from dispatcher.receivers.channel import PIECE, Channel, Kind
from tests.receiver.served import LIMIT

Taken = tuple[Kind, bytes, socket.socket | None]


def peer_of(connection: socket.socket | None, ends: Sequence[socket.socket]) -> int | None:
    """Which of these ends is at the other end of it."""
    if connection is None:
        return None
    with connection:
        connection.sendall(b"x")
    for number, end in enumerate(ends):
        end.setblocking(False)
        try:
            end.recv(1)
        except BlockingIOError:
            continue
        return number
    return None


async def test_a_connection_that_is_lost_is_nobody_elses() -> None:
    """A process that may open no more files gets a message without its connection. The message took
    the connection of the next one then: one client would have been answered what another asked.
    """
    taken: asyncio.Queue[Taken] = asyncio.Queue()
    ours, theirs = socket.socketpair()
    pairs = [socket.socketpair() for _ in range(2)]
    receive, allowed = socket.recv_fds, iter([0])

    def few(end: socket.socket, size: int, most: int) -> tuple[bytes, list[int], int, object]:
        return receive(end, size, next(allowed, most))

    sender = Channel(theirs, lambda *_: None, lambda: None)
    receiver = Channel(ours, lambda *message: taken.put_nowait(message), lambda: None)
    try:
        with patch("socket.recv_fds", few):
            sender.send(Kind.CONNECTION, b"a" * 2 * PIECE, os.dup(pairs[0][1].fileno()))
            sender.send(Kind.CONNECTION, b"b", os.dup(pairs[1][1].fileno()))
            async with asyncio.timeout(LIMIT):
                came = [await taken.get() for _ in pairs]
        assert [content[:1] for _, content, _ in came] == [b"a", b"b"]
        ends = [client for client, _ in pairs]
        assert [peer_of(connection, ends) for _, _, connection in came] == [None, 1]
    finally:
        sender.close()
        receiver.close()
        for pair in pairs:
            for end in pair:
                end.close()


async def test_many_connections_arrive_in_order_and_none_is_left_open() -> None:
    """Far more than the channel holds at once, with contents of any size."""
    taken: asyncio.Queue[Taken] = asyncio.Queue()
    ours, theirs = socket.socketpair()
    pairs = [socket.socketpair() for _ in range(150)]
    sender = Channel(theirs, lambda *_: None, lambda: None)
    receiver = Channel(ours, lambda *message: taken.put_nowait(message), lambda: None)
    try:
        for number, (_, end) in enumerate(pairs):
            size = (0, 1, 500, 20_000)[number % 4]
            sender.send(Kind.CONNECTION, b"%d " % number + b"x" * size, os.dup(end.fileno()))
            sender.send(Kind.STORED)
        async with asyncio.timeout(LIMIT):
            every = [await taken.get() for _ in range(2 * len(pairs))]
        came = [message for message in every if message[0] is Kind.CONNECTION]
        ends = [client for client, _ in pairs]
        for number, (_, content, connection) in enumerate(came):
            assert int(content.split()[0]) == number
            assert peer_of(connection, ends) == number
        for client, end in pairs:
            end.close()
            assert client.recv(1) == b""  # no process has it open any more
    finally:
        sender.close()
        receiver.close()
        for pair in pairs:
            for end in pair:
                end.close()
