"""A command that has `tests.preloaded` run a program, and ends as that does.

The words: the socket, the program, and its words. Python runs this file alone (`-IS`), without any
package, which takes 20 ms. Its signals go to the program; if it is killed, so is the program.
"""

import json
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def limits() -> dict[int, tuple[int, int]]:
    """The limits of this process, soft and hard, which its children would have."""
    names = (name for name in dir(resource) if name.startswith("RLIMIT_"))
    return {number: resource.getrlimit(number) for number in {getattr(resource, n) for n in names}}


if __name__ == "__main__":
    _, address, program, *words = sys.argv
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    socket.send_fds(connection, [b"+"], [0, 1, 2])
    order = {
        "program": program,
        "words": words,
        "folder": os.getcwd(),  # noqa: PTH109  (pathlib takes as long as all the rest)
        "environment": dict(os.environ),
        "limits": limits(),
    }
    connection.sendall(json.dumps(order).encode() + b"\n")
    told = connection.makefile()
    pid = int(told.readline())

    def forward(number: int, _: FrameType | None) -> None:
        with suppress(ProcessLookupError):  # it has ended
            os.kill(pid, number)

    for each in FORWARDED:
        signal.signal(each, forward)
    for descriptor in range(3):
        os.close(descriptor)  # they are the program's
    code = int(told.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
