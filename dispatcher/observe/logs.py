"""The log of the process, and the line of a callback, which holds everything about it; console text
or JSON. That of an attempt is in attempt_lines.py."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import SysLogHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

import msgspec

from dispatcher.observe.gathered import Gathered, Later, Stamps
from receiver.answers import timestamp
from receiver.callbacks.events import CallbackAnswered, Sparing, StoredCallback
from receiver.dlr.json_format import decode_item
from receiver.shown import ShownFormatter, shown, shown_json

report_log = logging.getLogger("dlr.report")

SYSTEM_LOG = Path("/dev/log")


def set_up(form: Literal["console", "json"], level: str) -> None:
    """Send the log of this process to standard error, a line per event: that of libraries too, and
    what the interpreter itself would print there, such as warnings and tracebacks."""
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    if form == "json":
        sys.excepthook = _log_exception
        sys.unraisablehook = lambda it: _log_exception(it.exc_type, it.exc_value, it.exc_traceback)
        threading.excepthook = lambda it: _log_exception(
            it.exc_type, it.exc_value, it.exc_traceback
        )


def json_line(level: int, text: str) -> str:
    """A line that is no event of the log, such as that of a start, as the log would write it."""
    return _Json().format(_record(level, text))


def _record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("dlr", level, "", 0, text, None, None)


def _log_exception(
    kind: type[BaseException], error: BaseException | None, where: TracebackType | None
) -> None:
    told = None if error is None else (kind, error, where)
    logging.getLogger("dlr").critical("uncaught %s", kind.__name__, exc_info=told)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes a line even where one could not be made. The library would print a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:
        text = f"a line of {record.name} could not be written: {record.msg!r}"
        with suppress(OSError, ValueError):  # the stream is gone
            self.stream.write(self.format(_record(logging.ERROR, text)) + self.terminator)


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
    reason: str | None = None
    what: str | None = None
    left_out: int = msgspec.field(default=0, name="leftOut")  # lines like it, before this one


NOT_TAKEN_A_MINUTE = 20
"""Lines of callbacks not taken for one reason: whoever finds the port could fill the disk."""


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
        later: Later | None = None,
    ) -> None:
        self._lowest = getattr(logging, level.upper())
        self._shown = masked if mask_numbers else str
        self._gathered = Gathered(_json_lines if form == "json" else _text_lines, stream, later)
        self.flush = self._gathered.flush
        self._not_taken = Sparing(NOT_TAKEN_A_MINUTE)
        self._stamp = Stamps()

    def __call__(self, event: CallbackAnswered) -> None:
        if self._lowest > (logging.INFO if event.status < 400 else logging.WARNING):
            return
        left_out: int | None = 0
        if event.because is not None:
            left_out = self._not_taken.admit(event.because.reason)
        if left_out is None:
            return
        # The line and not the event, which holds the callback's reports.
        self._gathered.add(self._line(time.time(), event, left_out))
        if self._lowest <= logging.DEBUG and event.stored is not None:
            self._log_reports(event.request_id, event.stored)

    def _line(self, at: float, event: CallbackAnswered, left_out: int) -> _Line:
        stored = event.stored
        head = (
            self._stamp(at),
            "info" if event.status < 400 else "warning",
            "dlr.callback",
            "callback",
            event.request_id,
            event.source,
            event.status,
        )
        ms = round(event.seconds * 1000, 1)
        because = event.because
        reason = None if because is None else because.reason
        what = None if because is None else because.what
        if stored is None:
            return _Line(*head, ms=ms, reason=reason, what=what, left_out=left_out)
        counts = stored.counts
        return _Line(
            *head,
            stored.callback.format,
            counts.stored,
            counts.duplicates,
            counts.quarantined,
            stored.size,
            ms,
            reason,
            what,
            left_out,
        )

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


def _json_lines(lines: list[_Line]) -> str:
    return shown_json(_encode_lines(lines).decode())


def _text_lines(lines: list[_Line]) -> str:
    return "".join([f"{shown(_text(line))}\n" for line in lines])


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
    if line.reason is not None:
        text += f' reason={line.reason} what="{line.what}"'
    if line.left_out:
        text += f" left_out={line.left_out}"
    return f"{text} ms={line.ms}"


def masked(number: str) -> str:
    """A number whose owner cannot be told: the first four and the last two characters are left, of
    a short one nothing."""
    hidden = len(number) - 6
    return f"{number[:4]}{'*' * hidden}{number[-2:]}" if hidden >= 3 else "*" * len(number)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts: dict[str, Any] = getattr(record, "facts", {})
    return facts


def _in_line(record: logging.LogRecord) -> str:
    facts = _facts(record).items()
    lists = {name: ",".join(map(str, value)) for name, value in facts if isinstance(value, list)}
    return "".join(f" {name}={lists.get(name, value)}" for name, value in facts)


def _at(record: logging.LogRecord) -> str | None:
    return timestamp(datetime.fromtimestamp(record.created, UTC))


class _Facts(ShownFormatter):
    """Without instant and level, which the system's log writes by itself."""

    def format(self, record: logging.LogRecord) -> str:
        facts = _in_line(record)
        return shown(f"{record.getMessage()}{facts}")


class _Console(ShownFormatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = _in_line(record)
        text = f"{_at(record)} {record.levelname.lower():7} {record.getMessage()}{facts}"
        return self.with_exception(shown(text), record)


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
        try:
            return shown_json(msgspec.json.encode(line, enc_hook=str).decode())
        except UnicodeEncodeError:  # a lone surrogate, which only an escape can hold
            return json.dumps(line, default=str)
