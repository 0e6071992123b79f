"""One line per attempt that holds everything about it; console text or JSON."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from dispatcher.events import AttemptMade
from receiver.answers import timestamp

log = logging.getLogger("dlr.attempt")


def set_up(form: Literal["console", "json"], level: str) -> None:
    """Send the log of this process to standard error, a line per event."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Its lines at level info tell of each job's every run.
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)


def log_attempt(event: AttemptMade) -> None:
    """A Listener: logs an attempt. A failed one is an outcome to record, not an error of ours."""
    if not log.isEnabledFor(logging.INFO):
        return
    facts = {
        "dispatch": event.dispatch,
        "endpoint": event.endpoint,
        "reports": event.reports,
        "attempt": event.number,
        "outcome": event.outcome.value,
        "status": event.answer.status,
        "error": event.answer.error,
        "ms": round(event.answer.duration_ms, 1),
        "state": event.state,
        "due": timestamp(event.due_at),
    }
    log.info("attempt", extra={"facts": {k: v for k, v in facts.items() if v is not None}})


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts: dict[str, Any] = getattr(record, "facts", {})
    return facts


def _at(record: logging.LogRecord) -> str | None:
    return timestamp(datetime.fromtimestamp(record.created, UTC))


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={value}" for name, value in _facts(record).items())
        text = f"{_at(record)} {record.levelname.lower():7} {record.getMessage()}{facts}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()
