"""An event loop whose time is virtual: where others sleep, it moves on at once.

All that a program awaits with time in it (`asyncio.sleep`, timeouts, `call_later`) happens in the
order of its instants, and no thread takes part. So a program that draws its waits from a seeded
generator does the same, step by step, each time it runs.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class NothingLeft(RuntimeError):
    """Everything waits for something that will never happen."""


class _NoWaiting(selectors.SelectSelector):
    """Never waits for a file: moves the loop's time instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise NothingLeft("nothing is scheduled, and nothing is ready")
        self.loop.passed += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Give it to `asyncio.Runner` as `loop_factory`. It is not made for sockets or threads."""

    def __init__(self) -> None:
        selector = _NoWaiting()
        self.passed = 0.0
        """Seconds since the loop was made."""
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self.passed

    def run_in_executor(  # type: ignore[override] # of any function
        self,
        executor: Any,  # noqa: ARG002
        func: Callable[..., Any],
        *args: Any,
    ) -> asyncio.Future[Any]:
        """A thread ends when it will; here it has ended when it is begun."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            future.set_exception(error)
        return future
