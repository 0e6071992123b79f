"""The log line of an attempt, which holds everything about it; console text or JSON."""

from __future__ import annotations

import json
import logging
import time
from typing import Literal, TextIO

import msgspec
from msgspec import Struct

from dispatcher.observe.events import AttemptMade
from dispatcher.observe.gathered import Gathered, Later, Stamps
from receiver.answers import timestamp
from receiver.shown import shown, shown_json


class _Facts(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """In the order in which a line tells them."""

    at: str
    level: str
    logger: str
    message: str
    dispatch: str
    endpoint: str
    reports: int
    attempt: int
    outcome: str
    status: int | None = None
    error: str | None = None
    note: str | None = None
    ms: float
    state: str
    due: str | None = None


class AttemptLines:
    """A Listener: a line for each attempt. A failed one is an outcome to record, not an error of
    ours."""

    def __init__(
        self,
        form: Literal["console", "json"],
        level: str,
        *,
        stream: TextIO | None = None,
        later: Later | None = None,
    ) -> None:
        self._line = _in_json if form == "json" else _in_text
        self._shown = getattr(logging, level.upper()) <= logging.INFO
        self._stamp = Stamps()
        self._gathered = Gathered(self._text, stream, later)
        self.flush = self._gathered.flush

    def __call__(self, event: AttemptMade) -> None:
        if self._shown:
            self._gathered.add((time.time(), event))

    def _text(self, events: list[tuple[float, AttemptMade]]) -> str:
        return "".join([f"{self._line(self._stamp(at), event)}\n" for at, event in events])


def _in_text(at: str, event: AttemptMade) -> str:
    answer = event.answer
    status = "" if answer.status is None else f" status={answer.status}"
    error = "" if answer.error is None else f" error={answer.error}"
    note = "" if answer.note is None else f" note={answer.note}"
    due = "" if event.due_at is None else f" due={timestamp(event.due_at)}"
    return shown(
        f"{at} info    attempt dispatch={event.dispatch} endpoint={event.endpoint}"
        f" reports={event.reports} attempt={event.number} outcome={event.outcome.value}"
        f"{status}{error}{note} ms={round(answer.duration_ms, 1)} state={event.state}{due}"
    )


def _in_json(at: str, event: AttemptMade) -> str:
    answer = event.answer
    facts = _Facts(
        at=at,
        level="info",
        logger="dlr.attempt",
        message="attempt",
        dispatch=event.dispatch,
        endpoint=event.endpoint,
        reports=event.reports,
        attempt=event.number,
        outcome=event.outcome.value,
        status=answer.status,
        error=answer.error,
        note=answer.note,
        ms=round(answer.duration_ms, 1),
        state=event.state,
        due=timestamp(event.due_at),
    )
    try:
        return shown_json(msgspec.json.encode(facts).decode())
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can hold
        return json.dumps(msgspec.to_builtins(facts))
