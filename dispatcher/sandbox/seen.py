"""What a sandbox was asked and what it has pushed, to be looked at: the newest of both, in memory.
A restart forgets them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import count
from typing import Final, Generic, TypeVar

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.observe.events import AttemptMade
from dispatcher.pushing.shown_headers import without_secrets
from dispatcher.queue.base import Leased
from dispatcher.retrying.outcome import Answer, Outcome

T = TypeVar("T")

KEPT: Final = 1000

BODY_SHOWN: Final = 64 * 1024
"""Bytes of a body that are kept to be shown."""


class Newest(Generic[T]):
    """At most KEPT of them, each with a number that is its own also after `forget`."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, T]] = deque(maxlen=KEPT)
        self._numbers = count(1)

    def add(self, one: T) -> None:
        self._kept.append((next(self._numbers), one))

    def after(self, number: int) -> Iterator[tuple[int, T]]:
        """Those with a larger number, in the order in which they came."""
        return ((each, one) for each, one in list(self._kept) if each > number)

    def forget(self) -> None:
        self._kept.clear()


class SeenRequest(Struct, frozen=True):
    """A request to the provider's routes. `status` None: the connection was cut on order."""

    at: datetime
    method: str
    path: str
    query: str
    client: str | None
    status: int | None
    body: str
    answer: str

    @property
    def refused(self) -> bool:
        return self.status is None or self.status >= 400


class SeenPush(Struct, frozen=True):
    """An attempt of a dispatch. `due_at` is when the next one is, None if there is none."""

    dispatch: str
    endpoint: str
    url: str
    number: int
    at: datetime
    headers: Mapping[str, str]
    body: str
    answer: Answer
    outcome: Outcome
    due_at: datetime | None


class PushLog:
    """The pushes, put together of what the sender was about to send and what came of it."""

    def __init__(self) -> None:
        self.pushes: Newest[SeenPush] = Newest()
        self._begun: dict[tuple[str, int], tuple[Mapping[str, str], str]] = {}

    def sending(self, dispatch: Leased, endpoint: Endpoint, headers: Mapping[str, str]) -> None:
        """A request is about to be made; of an attempt with several the last counts."""
        attempt = dispatch.name, dispatch.attempts_made + 1
        self._begun.pop(attempt, None)
        self._begun[attempt] = without_secrets(headers, endpoint), text_of(dispatch.body)
        if len(self._begun) > KEPT:  # attempts that were broken off
            del self._begun[next(iter(self._begun))]

    def attempted(self, event: AttemptMade) -> None:
        """It is over, and recorded."""
        headers, body = self._begun.pop((event.dispatch, event.number), ({}, ""))
        self.pushes.add(
            SeenPush(
                dispatch=event.dispatch,
                endpoint=event.endpoint,
                url=event.url,
                number=event.number,
                at=event.started_at,
                headers=headers,
                body=body,
                answer=event.answer,
                outcome=event.outcome,
                due_at=event.due_at,
            )
        )


def text_of(body: object) -> str:
    """The beginning of a body; empty for what is none."""
    return body[:BODY_SHOWN].decode("utf-8", "replace") if isinstance(body, bytes) else ""
