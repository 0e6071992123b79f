"""Whether a webhook lives in the event loop of whoever is about to block it."""

from __future__ import annotations

import asyncio
import gc
import socket


def ports_served_here() -> frozenset[int]:
    """The ports on which servers of the event loop that runs in this thread listen; none where no
    loop runs. asyncio keeps no list of them, so all objects are looked through: some 20 ms."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return frozenset()
    servers = [each for each in gc.get_objects() if issubclass(type(each), asyncio.Server)]
    return frozenset(
        listener.getsockname()[1]
        for server in servers
        if server.get_loop() is loop
        for listener in server.sockets
        if listener.family in (socket.AF_INET, socket.AF_INET6)
    )
