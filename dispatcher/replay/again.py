"""Pushes what one dispatch has pushed once more, whether it failed or succeeded.

Its reports go by a replay, like all reports that go again: so it is listed, counted and cancelled
like one. An event has no reports; its bytes become a new dispatch.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from dispatcher.queue.base import BytesGone, DispatchQueue, StoredDispatch, UnknownDispatch
from dispatcher.replay.replay import Replay
from dispatcher.replay.replaying import Replaying
from dispatcher.replay.request import Request, Selection
from dispatcher.retrying.dispatch import TRANSITIONS


class CannotGoAgain(Exception):
    """What a dispatch has pushed cannot be pushed again. The text says why, and what to do."""


class Again(Struct, frozen=True):
    """What pushes it again: a replay of its reports, or the new dispatch (its name) of an event."""

    replay: Replay | None = None
    dispatch: str | None = None


async def push_again(
    name: str,
    queue: DispatchQueue,
    replaying: Replaying,
    now: datetime,
    key: str | None = None,
) -> Again:
    """Push again what an ended dispatch (by its name or webhook-id) has pushed, to the same
    endpoint. With a `key` its reports go once, however often that is asked for. Raises
    UnknownDispatch, CannotGoAgain."""
    found = await queue.dispatch(name)
    if found is None:
        raise UnknownDispatch(name)
    dispatch = found[0]
    if TRANSITIONS[dispatch.state]:
        raise CannotGoAgain(_still_open(dispatch))
    if dispatch.endpoint not in await replaying.known():
        raise CannotGoAgain(_no_endpoint(dispatch))
    if not dispatch.reports:
        return Again(dispatch=await _event_again(dispatch, queue, now))
    request = Request(selection=Selection(dispatch=dispatch.id), key=key)
    if not (await replaying.find(request, from_outside=False)).total:
        raise CannotGoAgain(f"dispatch {dispatch.id}: its reports are no longer stored")
    made = await replaying.make(request, from_outside=False)
    return Again(replay=made.replay)


async def _event_again(dispatch: StoredDispatch, queue: DispatchQueue, now: datetime) -> str:
    try:
        return await queue.push_event_again(dispatch.id, now)
    except BytesGone as error:
        raise CannotGoAgain(str(error)) from error


def _still_open(dispatch: StoredDispatch) -> str:
    if dispatch.state == "waiting":
        return f"dispatch {dispatch.id} is waiting for its next attempt: retry it instead"
    return f"dispatch {dispatch.id} is leased: an attempt is under way"


def _no_endpoint(dispatch: StoredDispatch) -> str:
    text = f'dispatch {dispatch.id}: the endpoint "{dispatch.endpoint}" no longer exists'
    if not dispatch.reports:
        return text
    return f"{text}; a replay with dispatch = {dispatch.id} can push its reports elsewhere"
