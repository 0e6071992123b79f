"""What it means when a request ends in an exception. Pure."""

from __future__ import annotations

import re
import ssl

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from dispatcher.pushing.oauth import NoToken
from dispatcher.retrying.outcome import Outcome
from dispatcher.security.addresses import NotAllowed

FAILURES = (
    NoToken,
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,
    TimeoutError,
    ValueError,
)
"""The exceptions in which a request can end. Any other is a defect of dlr."""

_QUOTED = re.compile(r":? b['\"].*")
"""What aiohttp quotes of an answer. It may hold what was pushed, and a note outlives an erasure."""

_NOT_HTTP = "the answer is not HTTP: "
_ODD = {
    Outcome.TIMED_OUT: "the answer was not complete in time",
    Outcome.NOT_HTTP: "the answer is malformed after its status: {}",
}


def failure_of(error: Exception) -> tuple[Outcome, str]:
    """The outcome that an exception stands for, and what to say of it. The order matters: aiohttp's
    classes overlap."""
    match error:
        case NoToken():
            return Outcome.NO_TOKEN, str(error)
        case NotAllowed() | aiohttp.ClientConnectorError(os_error=NotAllowed()):
            return Outcome.NOT_ALLOWED, _words(error)
        case TimeoutError():
            return Outcome.TIMED_OUT, "no answer in time"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Outcome.TLS_FAILED, _words(error)
        case aiohttp.ClientOSError(__cause__=ssl.SSLError()):
            # A server of TLS 1.3 refuses our certificate, or the lack of one, after the handshake.
            return Outcome.TLS_FAILED, _words(error)
        case aiohttp.ClientConnectorError(os_error=ConnectionResetError(errno=None)):
            # Made by the event loop; the system's own have a number.
            return Outcome.TLS_FAILED, "the connection ended in the TLS handshake"
        case aiohttp.ClientConnectorError():
            return Outcome.UNREACHABLE, _words(error.os_error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return Outcome.BROKEN_OFF, "the connection ended before the answer did"
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return Outcome.NOT_HTTP, f"{_NOT_HTTP}{_in_one_line(error.message)}"[:200]
        case aiohttp.ClientOSError() | ConnectionError():
            return Outcome.BROKEN_OFF, _words(error)
        case _:
            return Outcome.UNREACHABLE, _words(error)


def _words(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"  # asyncio says "Connect call failed ('127.0.0.1', 9)"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _in_one_line(text)[:200]


def _in_one_line(text: str) -> str:
    """aiohttp draws an arrow below the byte at fault; a log and a table have one line."""
    return " ".join(text.split())


def oddity_of(error: Exception) -> tuple[Outcome, str]:
    """As `failure_of`, for an error after the status. The text says what was odd about the answer,
    without what aiohttp quotes of it."""
    failure, text = failure_of(error)
    return failure, _ODD.get(failure, "{}").format(_QUOTED.sub("", text.removeprefix(_NOT_HTTP)))


def broke_off(error: Exception) -> bool:
    """Whether the connection ended, in whatever words. A timeout is none of that: the server may be
    at work."""
    ended = isinstance(error, aiohttp.ClientConnectionError | ConnectionError)
    return ended and not isinstance(error, TimeoutError)


def notes_of(error: BaseException) -> str | None:
    """The notes that were added to the error."""
    return "; ".join(getattr(error, "__notes__", ())) or None
