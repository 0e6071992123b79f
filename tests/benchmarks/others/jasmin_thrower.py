"""Jasmin's thrower of delivery reports, without a broker: runs in Jasmin's own environment.

`python jasmin_thrower.py URL PUSHES` has the thrower take so many messages from a queue in memory,
32 at a time, which is less than it has to do with RabbitMQ. It prints the seconds of CPU.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from jasmin.managers.content import DLRContentForHttpapi
from jasmin.routing.configs import DLRThrowerConfig
from jasmin.routing.throwers import DLRThrower
from twisted.internet import defer, reactor

IN_FLIGHT = 32


class Message:
    routing_key = "dlr_thrower.http"

    def __init__(self, number: int, url: str) -> None:
        self.delivery_tag = number
        self.content = DLRContentForHttpapi("DELIVRD", str(number), url, 1, method="POST")


class Broker:
    """In the place of RabbitMQ: gives the next message when one is acknowledged."""

    def __init__(self, url: str, pushes: int) -> None:
        self.chan = self
        self.queue = defer.DeferredQueue()
        self._messages = iter([Message(number, url) for number in range(pushes)])
        self._left = pushes

    def give(self) -> None:
        if (message := next(self._messages, None)) is not None:
            self.queue.put(message)

    def basic_ack(self, _: int) -> None:
        self._left -= 1
        self.give()
        if not self._left:
            reactor.stop()

    def basic_reject(self, delivery_tag: int, requeue: int) -> None:
        raise SystemExit(f"message {delivery_tag} was rejected, requeue={requeue}")


def main() -> None:
    url, pushes = sys.argv[1], int(sys.argv[2])
    config: Any = DLRThrowerConfig()
    config.log_file, config.log_level = "stdout", "ERROR"
    thrower = DLRThrower(config)
    broker = Broker(url, pushes)
    thrower.amqpBroker = broker
    thrower.thrower_q = broker.queue
    thrower.thrower_q.get().addCallback(thrower.callback).addErrback(thrower.errback)
    for _ in range(IN_FLIGHT):
        broker.give()
    before = time.process_time()
    reactor.run()
    print(json.dumps(time.process_time() - before))


if __name__ == "__main__":
    main()
