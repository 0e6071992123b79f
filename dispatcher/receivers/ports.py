"""The sockets of several processes that listen on one port.

Each process has sockets of its own, and the kernel gives each new connection to one of them
(SO_REUSEPORT). All are bound here, before a process starts, and stay open in the first process. So
a connection waits while its process is started again, and is not refused.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from receiver.server import BACKLOG, naming_the_address
from receiver.settings.settings import ServerSettings


@contextmanager
def shared_port(server: ServerSettings, processes: int) -> Iterator[list[list[socket.socket]]]:
    """Yields for each process the sockets to listen on, one for each address of `server.bind`.

    Raises OSError as one process does: for an address that cannot be listened on, and for a port
    that anybody listens on already, another dlr with several processes included.
    """
    with ExitStack() as stack:
        groups: list[list[socket.socket]] = [[] for _ in range(processes)]
        port = server.port
        with naming_the_address(server.bind, server.port):
            found = socket.getaddrinfo(
                server.bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            # The same address may be named twice.
            for family, _, _, _, address in dict.fromkeys(found):
                host, rest = address[0], address[2:]
                # SO_REUSEPORT would share the port with anybody who sets it too. So the port is
                # first bound without it, which fails if somebody listens already. This also finds
                # a free port.
                with _bound(family, (host, port, *rest), shared=False) as alone:
                    port = alone.getsockname()[1]
                for group in groups:
                    group.append(_bound(family, (host, port, *rest), shared=True))
                    stack.enter_context(group[-1]).listen(BACKLOG)
        yield groups


def _bound(family: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # IPv4 has a socket of its own
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
