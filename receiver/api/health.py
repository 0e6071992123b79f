"""Whether the process is alive, and whether it can do its work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta, Struct

from receiver.answers import ErrorAnswer, answer, fault
from receiver.routes import Reply, Route
from receiver.store.base import ReportStore, StoreUnavailable


class Alive(Struct, frozen=True):
    alive: Literal[True]


class Ready(Struct, frozen=True, omit_defaults=True):
    """`short` is present while something is running short and the process is still ready."""

    ready: Literal[True]
    short: Annotated[
        Sequence[str],
        Meta(description=("What is running short. The field is missing if nothing is")),
    ] = ()


class Health:
    """`/healthz`: the process is alive. `/readyz`: it can do its work."""

    def __init__(self, store: ReportStore) -> None:
        self._store = store
        self._checks: list[Callable[[], str | Awaitable[str | None] | None]] = []
        self._shortages: list[Callable[[], str | None]] = []

    def add(self, check: Callable[[], str | Awaitable[str | None] | None]) -> None:
        """A check gives the reason why this process is not ready, or None."""
        self._checks.append(check)

    def add_shortage(self, check: Callable[[], str | None]) -> None:
        """A check gives what runs short, or None. The process is ready all the same."""
        self._shortages.append(check)

    @Route(
        "GET",
        "/healthz",
        "isAlive",
        "The process is alive",
        {200: Reply("it is", Alive)},
        caller="probe",
    )
    async def _alive(self, _: web.Request) -> web.Response:
        return answer(Alive(True))

    async def reasons(self) -> list[str]:
        """Why this process is not ready; empty when it is."""
        reasons = []
        try:
            for check in self._checks:
                found = check()
                reasons.append(await found if isawaitable(found) else found)
            await self._store.check_writable()
        except StoreUnavailable as error:
            reasons.append(str(error))
        return [reason for reason in reasons if reason is not None]

    @Route(
        "GET",
        "/readyz",
        "isReady",
        "The process can do its work",
        {
            200: Reply("it can", Ready),
            503: Reply("The reason why it cannot", ErrorAnswer, headers={"Retry-After": "seconds"}),
        },
        caller="probe",
    )
    async def _ready(self, _: web.Request) -> web.Response:
        if reasons := await self.reasons():
            return fault(503, "not_ready", "; ".join(reasons))
        short = [text for check in self._shortages if (text := check()) is not None]
        return answer(Ready(True, tuple(short)))
