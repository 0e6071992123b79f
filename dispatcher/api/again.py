"""The route that pushes again what a dispatch has pushed, and what it and the command line tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from dispatcher.api.dispatches import DispatchId, DispatchWithHistory, with_history
from dispatcher.api.replays import ReplayAnswer
from dispatcher.queue.base import DispatchQueue, UnknownDispatch
from dispatcher.replay.again import Again, CannotGoAgain, push_again
from dispatcher.replay.replaying import Replaying
from receiver.answers import answer, fault, web
from receiver.api.audit import tell
from receiver.api.parameters import in_path
from receiver.routes import NOT_THERE, Reply, Route
from receiver.store.base import ReportStore


class PushedAgain(Struct, frozen=True):
    """One of the two is null."""

    replay: Annotated[
        ReplayAnswer | None,
        Meta(description=("The replay that pushes its reports; null if it had none")),
    ]
    dispatch: Annotated[
        DispatchWithHistory | None,
        Meta(description=("The dispatch that pushes the event; null if it was not an event")),
    ]


def told_of_again(again: Again) -> dict[str, Any]:
    """What the audit has of it."""
    if again.replay is None:
        return {"dispatch": again.dispatch}
    return {"replay": again.replay.id, "reports": again.replay.total}


class AgainApi:
    """Pushes again. `on_due` is called when there is something to be pushed."""

    def __init__(
        self,
        store: ReportStore,
        queue: DispatchQueue,
        replaying: Replaying,
        *,
        on_due: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._replaying = replaying
        self._on_due = on_due

    async def again(self, name: str, key: str | None = None) -> tuple[Again, PushedAgain]:
        """Push again what this dispatch has pushed. With a `key` its reports go once, however often
        that is asked for. Raises UnknownDispatch, CannotGoAgain."""
        now: datetime = self._replaying.now()
        again = await push_again(name, self._queue, self._replaying, now, key)
        self._on_due()
        found = None if again.dispatch is None else await self._queue.dispatch(again.dispatch)
        return again, PushedAgain(
            replay=None if again.replay is None else ReplayAnswer.of(again.replay, now),
            dispatch=None if found is None else await with_history(self._store, *found),
        )

    @Route(
        "POST",
        "/api/dispatches/{id}/again",
        "pushDispatchAgain",
        "Pushes what an ended dispatch carried to the same endpoint again: reports with a"
        " replay, an event with a new dispatch",
        {
            201: Reply("What pushes it", PushedAgain),
            404: NOT_THERE,
            409: "The dispatch has not ended, or its content or its endpoint no longer exists."
            " The message says what to do instead",
        },
        [in_path("id", DispatchId, "The id of the dispatch")],
    )
    async def push_again(self, request: web.Request) -> web.Response:
        try:
            again, told = await self.again(request.match_info["id"])
        except UnknownDispatch as unknown:
            raise web.HTTPNotFound(text=f"there is no dispatch {unknown}") from unknown
        except CannotGoAgain as error:
            return fault(409, "cannot_go_again", str(error))
        tell(request, **told_of_again(again))
        return answer(told, status=201)
