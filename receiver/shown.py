"""Text that came from outside, as it may be shown: in a terminal, a log, a report for people.

What steers a terminal or hides text is written as an escape: C0 and C1 (a newline forges a line,
ESC and U+009B begin a command), marks of direction (U+202E turns a name round), what has no width,
line separators, lone surrogates, and what is no character. A backslash stays one, so this is for
people. What programs read is JSON (`shown_json`), which comes back as it was.
"""

from __future__ import annotations

import logging
import traceback
import unicodedata

_STEERING = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
"""Unicode's categories: control, format, surrogate, unassigned, line and paragraph separators."""


def shown(text: str) -> str:
    """`text` on one line that shows what is in it: `\\n`, `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(_escape(sign) if _steers(sign) else sign for sign in text)


def shown_lines(text: str) -> str:
    """`text` with its own line feeds, each line as in `shown`. Where a line of it cannot be taken
    for one of ours."""
    return "\n".join(map(shown, text.split("\n")))


def shown_json(text: str) -> str:
    """JSON of the same value, in which nothing steers. Line feeds, which JSON has only between its
    values, stay."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(_in_json(sign) if sign != "\n" and _steers(sign) else sign for sign in text)


def _steers(sign: str) -> bool:
    return unicodedata.category(sign) in _STEERING


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def _in_json(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


class ShownFormatter(logging.Formatter):
    """A log line that no value can break: its message is on one line, and a traceback is indented,
    so that no line of an exception's text looks like one of the log."""

    def format(self, record: logging.LogRecord) -> str:
        return self.with_exception(shown(record.getMessage()), record)

    def with_exception(self, line: str, record: logging.LogRecord) -> str:
        """The line, with the traceback of the record below it, if it has one."""
        error = record.exc_info[1] if record.exc_info else None
        below = [] if error is None else traceback_lines(error)
        return "\n".join([line, *(f"  {each}" for each in below)])


def traceback_lines(error: BaseException) -> list[str]:
    """A traceback as it may be shown."""
    parts = traceback.format_exception(error)
    return [shown(line) for part in parts for line in part.rstrip("\n").split("\n")]
