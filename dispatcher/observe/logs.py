"""One line per attempt and one per callback that hold everything about it; console text or JSON.

A line of Python's logging costs 11 to 14 us, more than all else that a callback costs besides its
commit. So the lines of callbacks are gathered and written together, at most LATER_SECONDS late.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Any, Literal, TextIO

import msgspec

from dispatcher.observe.events import AttemptMade
from receiver.answers import timestamp
from receiver.callbacks.events import CallbackAnswered, StoredCallback
from receiver.dlr.json_format import decode_item

log = logging.getLogger("dlr.attempt")
report_log = logging.getLogger("dlr.report")

LATER_SECONDS = 0.1

SYSTEM_LOG = Path("/dev/log")


def set_up(form: Literal["console", "json"], level: str) -> None:
    """Send the log of this process to standard error, a line per event."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def to_system_log(path: Path = SYSTEM_LOG) -> None:
    """Send the log of a command to the system's, as sudo does: what a command prints is for whoever
    typed it. Where there is no such log the lines go nowhere."""
    if not path.is_socket():
        return
    handler = SysLogHandler(str(path))
    handler.ident = "dlr: "
    handler.setFormatter(_Facts())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


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


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """The line of a callback. The query, which may hold a token, is not in it."""

    at: str
    level: str
    logger: str
    message: str
    request: str
    source: str | None
    status: int
    format: str | None = None
    stored: int | None = None
    duplicates: int | None = None
    quarantined: int | None = None
    bytes: int | None = None
    ms: float = 0.0


class CallbackLines:
    """A Listener of the receiver: a line for each callback, refused ones at level warning.

    At level debug there is a line for each report too, with messageId and, if the settings do not
    mask it, the number.
    """

    def __init__(
        self,
        form: Literal["console", "json"],
        level: str,
        *,
        mask_numbers: bool = True,
        stream: TextIO | None = None,
        later: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._stream = stream or sys.stderr
        self._json = form == "json"
        self._lowest = getattr(logging, level.upper())
        self._shown = masked if mask_numbers else str
        self._later = later or (
            lambda work: asyncio.get_running_loop().call_later(LATER_SECONDS, work)
        )
        self._waiting: list[tuple[float, CallbackAnswered]] = []
        self._second = 0
        self._second_text = ""

    def __call__(self, event: CallbackAnswered) -> None:
        if self._lowest > (logging.INFO if event.status < 400 else logging.WARNING):
            return
        if not self._waiting:
            self._later(self.flush)
        self._waiting.append((time.time(), event))
        if self._lowest <= logging.DEBUG and event.stored is not None:
            self._log_reports(event.request_id, event.stored)

    def flush(self) -> None:
        """Write what is waiting. The process calls it at its end."""
        lines = [self._line(at, event) for at, event in self._waiting]
        self._waiting.clear()
        if not lines:
            return
        if self._json:
            self._stream.write(_encode_lines(lines).decode())
        else:
            self._stream.write("".join(map(_text, lines)))
        self._stream.flush()

    def _line(self, at: float, event: CallbackAnswered) -> _Line:
        stored = event.stored
        head = (
            self._instant(at),
            "info" if event.status < 400 else "warning",
            "dlr.callback",
            "callback",
            event.request_id,
            event.source,
            event.status,
        )
        ms = round(event.seconds * 1000, 1)
        if stored is None:
            return _Line(*head, ms=ms)
        counts = stored.counts
        return _Line(
            *head,
            stored.callback.format,
            counts.stored,
            counts.duplicates,
            counts.quarantined,
            stored.size,
            ms,
        )

    def _instant(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{int((at - second) * 1000):03}Z"

    def _log_reports(self, request_id: str, stored: StoredCallback) -> None:
        for entry in stored.callback.verdict.entries:
            report = decode_item(entry.item, entry.generation)
            facts = {
                "request": request_id,
                "messageId": report.message_id,
                "to": None if report.to is None else self._shown(report.to),
                "status": report.status and report.status.name,
                "final": entry.final,
            }
            report_log.debug("report", extra={"facts": facts})


_encode_lines = msgspec.json.Encoder().encode_lines


def _text(line: _Line) -> str:
    text = (
        f"{line.at} {line.level:7} callback request={line.request}"
        f" source={line.source or '-'} status={line.status}"
    )
    if line.format is not None:
        text += (
            f" format={line.format} stored={line.stored} duplicates={line.duplicates}"
            f" quarantined={line.quarantined} bytes={line.bytes}"
        )
    return f"{text} ms={line.ms}\n"


def masked(number: str) -> str:
    """A number whose owner cannot be told: the first four and the last two characters are left, of
    a short one nothing."""
    hidden = len(number) - 6
    return f"{number[:4]}{'*' * hidden}{number[-2:]}" if hidden >= 3 else "*" * len(number)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts: dict[str, Any] = getattr(record, "facts", {})
    return facts


def _at(record: logging.LogRecord) -> str | None:
    return timestamp(datetime.fromtimestamp(record.created, UTC))


class _Facts(logging.Formatter):
    """Without instant and level, which the system's log writes by itself."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={value}" for name, value in _facts(record).items())
        return f"{record.getMessage()}{facts}"


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
