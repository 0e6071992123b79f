"""A command that has `tests.preloaded` run a program, and ends as that does.

The words: the socket, the program, and its words. Python runs this file alone (`-IS`), without any
package, which takes 20 ms. Its signals go to the program; if it is killed, so is the program.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

if __name__ == "__main__":
    _, address, program, *words = sys.argv
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    socket.send_fds(connection, [b"+"], [0, 1, 2])
    folder = os.getcwd()  # noqa: PTH109  (pathlib takes as long as all the rest)
    order = {"program": program, "words": words, "folder": folder, "environment": {**os.environ}}
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
