"""The log line of an attempt: what it says, and when it is written."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from msgspec import structs

from dispatcher.observe.attempt_lines import AttemptLines
from dispatcher.observe.events import AttemptMade
from dispatcher.retrying.outcome import Answer, Outcome

ACKNOWLEDGED = AttemptMade(
    dispatch="db-7",
    endpoint="shop",
    url="http://127.0.0.1:9/",
    reports=3,
    number=1,
    started_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
    answer=Answer(12.34, status=200),
    outcome=Outcome.ACKNOWLEDGED,
    state="acknowledged",
    due_at=None,
)
FAILED = structs.replace(
    ACKNOWLEDGED,
    number=2,
    answer=Answer(5.0, failure=Outcome.FAILED, error="reset\nby \x1b[31m", note="odd"),
    outcome=Outcome.FAILED,
    state="waiting",
    due_at=datetime(2026, 11, 21, 10, 1, 0, 500_000, tzinfo=UTC),
)


class Written:
    """Lines that are written when the test says so."""

    def __init__(self, form: Literal["console", "json"], level: str = "info") -> None:
        self.stream = io.StringIO()
        self.asked_for = 0
        self.lines = AttemptLines(form, level, stream=self.stream, later=self._later)

    def _later(self, _: Callable[[], None]) -> None:
        self.asked_for += 1

    def of(self, *events: AttemptMade) -> list[str]:
        for event in events:
            self.lines(event)
        assert self.stream.getvalue() == ""
        self.lines.flush()
        return self.stream.getvalue().splitlines()


def test_a_line_for_people_holds_everything() -> None:
    """What an answer says cannot break the line, and what there is not is left out."""
    lines = [line.partition(" ")[2] for line in Written("console").of(ACKNOWLEDGED, FAILED)]

    assert lines == [
        "info    attempt dispatch=db-7 endpoint=shop reports=3 attempt=1 outcome=acknowledged"
        " status=200 ms=12.3 state=acknowledged",
        "info    attempt dispatch=db-7 endpoint=shop reports=3 attempt=2 outcome=failed"
        r" error=reset\nby \x1b[31m note=odd ms=5.0 state=waiting due=2026-11-21T10:01:00.500Z",
    ]


def test_a_line_for_programs_holds_everything() -> None:
    """JSON, in the order in which the other line tells it."""
    first, second = map(json.loads, Written("json").of(ACKNOWLEDGED, FAILED))

    del first["at"], second["at"]
    assert list(first.items()) == [
        ("level", "info"),
        ("logger", "dlr.attempt"),
        ("message", "attempt"),
        ("dispatch", "db-7"),
        ("endpoint", "shop"),
        ("reports", 3),
        ("attempt", 1),
        ("outcome", "acknowledged"),
        ("status", 200),
        ("ms", 12.3),
        ("state", "acknowledged"),
    ]
    assert second["error"] == "reset\nby \x1b[31m"
    assert (second["note"], second["due"]) == ("odd", "2026-11-21T10:01:00.500Z")


def test_a_text_that_is_no_unicode_costs_no_line() -> None:
    """A lone surrogate in an error comes out as an escape."""
    lone = structs.replace(FAILED, answer=Answer(5.0, failure=Outcome.FAILED, error="\ud800"))

    (line,) = Written("json").of(lone)

    assert json.loads(line)["error"] == "\ud800"
    assert r"\ud800" in Written("console").of(lone)[0]


def test_lines_are_gathered() -> None:
    """Many attempts are written at once, a little later, and each has the instant of its own."""
    written = Written("console")

    lines = written.of(*[ACKNOWLEDGED] * 5)

    assert len(lines) == 5
    assert written.asked_for == 1
    assert all(datetime.fromisoformat(line.partition(" ")[0]).year >= 2026 for line in lines)


def test_a_higher_level_has_no_lines_of_attempts() -> None:
    """An attempt is told at level info, also one that failed."""
    assert Written("console", "warning").of(ACKNOWLEDGED, FAILED) == []
