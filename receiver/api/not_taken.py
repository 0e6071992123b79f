"""The list of callbacks that this process has not taken of late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from receiver.answers import Count, Instant, answer, timestamp
from receiver.callbacks.not_taken import NewestNotTaken, Reason
from receiver.routes import Reply, Route


class NotTakenAnswer(Struct, frozen=True, rename="camel"):
    """Callbacks that were refused for the same reason. `what` names the fault in their requests."""

    reason: Reason
    what: str
    source: Annotated[str | None, Meta(description="null if the request named no known source")]
    status: int
    callbacks: Count
    first_at: Instant
    last_at: Instant


class NotTakenAnswers(Struct, frozen=True, rename="camel"):
    not_taken: Sequence[NotTakenAnswer]


class NotTakenApi:
    """Answers what a receiver has kept in memory."""

    def __init__(self, newest: NewestNotTaken) -> None:
        self._newest = newest

    @Route(
        "GET",
        "/api/callbacks/not-taken",
        "listCallbacksNotTaken",
        "Requests that looked like callbacks and were refused lately by this process: wrong"
        " paths or methods, unknown sources, 413 and 415. Newest first",
        {200: Reply("One entry for each kind", NotTakenAnswers)},
    )
    async def _list(self, _: web.Request) -> web.Response:
        return answer(
            NotTakenAnswers(
                [
                    NotTakenAnswer(
                        kind.reason,
                        kind.what,
                        kind.source,
                        kind.status,
                        kind.callbacks,
                        timestamp(kind.first_at),
                        timestamp(kind.last_at),
                    )
                    for kind in self._newest.kinds()
                ]
            )
        )
