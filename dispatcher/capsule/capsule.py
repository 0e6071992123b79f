"""The file format: gzip over NDJSON, a line each for the heading, reports, dispatches and the end.

    {"capsule":1,"from":…,"to":…,"endpoint":{…},"schedule":{…}}
    {"receivedAt":…,"format":"json","report":{…},"source":…}                 in the order of receipt
    {"createdAt":…,"reports":3,"state":"acknowledged","attempts":[{…}, …]}   in the order of forming
    {"end":true,"reports":12345,"dispatches":678}

`endpoint` and `schedule` have the settings of config/dlr.toml that differ from the default and tell
nothing of anybody; both are empty where the store knew no endpoint, and a reader takes no others.
Instants are RFC 3339. A reader takes version 1 with any unknown field; a file without its end is
refused, for it was cut.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct, field, structs

from receiver.faults import joined, misfit
from receiver.settings.configuration import ConfigurationError

VERSION = 1
GZIP = b"\x1f\x8b"

_COMPRESSION = 6
_LINE_LONGEST = 4 * 1024 * 1024


SHARED = (
    *("content_type", "generation", "bucket_size", "window", "connect_timeout", "read_timeout"),
    *("rate_limit", "ordered", "breaker_failures", "breaker_probe", "schedule", "outcome"),
)
"""The settings of an endpoint that a capsule may have. No name, no URL, no header, no security, no
file, and no rule: rules name senders, numbers and ids. Which reports went to the endpoint is
decided already. Of `outcome` all but UNSHARED."""

UNSHARED = "body_matches"
"""An expression, which could be a text of anybody's, or made to do harm."""

FOR_PUSHES = ("content_type", "generation", "bucket_size")
"""Of these what holds where reports of a capsule are pushed: the form of the bodies. How hard an
endpoint is called is for whoever calls it to say."""


class Heading(Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """`endpoint` and `schedule` as tables of config/dlr.toml."""

    capsule: int = VERSION
    since: datetime
    until: datetime
    endpoint: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)


class SharedReport(Struct, frozen=True, rename="camel"):
    """`source` is another name for where it came from: what two sources report alike is two
    reports. `None`: of a capsule that did not tell them apart."""

    received_at: datetime
    format: str
    report: dict[str, Any]
    source: str | None = None


class SharedAttempt(Struct, frozen=True, rename="camel"):
    started_at: datetime
    duration_ms: float
    outcome: str
    status: int | None = None


class SharedDispatch(Struct, frozen=True, rename="camel"):
    created_at: datetime
    reports: int
    state: str
    attempts: list[SharedAttempt]


class End(Struct, frozen=True):
    end: bool
    reports: int
    dispatches: int


Line = SharedReport | SharedDispatch


class Writer:
    """Lines into an open file. `close` writes the end; a file without it cannot be read."""

    def __init__(self, file: BinaryIO, heading: Heading) -> None:
        # No name and no time: the same lines are the same bytes.
        self._gzip = gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0)
        self._encode = msgspec.json.Encoder().encode
        self.reports = self.dispatches = 0
        self._write(heading)

    def report(self, report: SharedReport) -> None:
        self._write(report)
        self.reports += 1

    def dispatch(self, dispatch: SharedDispatch) -> None:
        self._write(dispatch)
        self.dispatches += 1

    def close(self) -> None:
        self._write(End(True, self.reports, self.dispatches))
        self._gzip.close()

    def _write(self, line: Struct) -> None:
        self._gzip.write(self._encode(line) + b"\n")


@dataclass(frozen=True, slots=True)
class Capsule:
    """A file that has been looked at: its heading can be read.

    The file may be a stranger's. So the heading has only settings that have no authority (SHARED);
    `left_out` names the others that were in it.
    """

    path: Path
    heading: Heading
    left_out: tuple[str, ...] = ()

    def lines(self) -> Iterator[Line]:
        """All of it, one by one. Raises ConfigurationError where it cannot be read."""
        counts = {SharedReport: 0, SharedDispatch: 0}
        for number, line in _lines(self.path):
            if number == 1:
                continue
            read = _line(self.path, number, line)
            if isinstance(read, End):
                if (read.reports, read.dispatches) != tuple(counts.values()):
                    raise _fault(self.path, "lines are missing: it was changed or cut")
                return
            counts[type(read)] += 1
            yield read
        raise _fault(self.path, "it has no end: it was cut")

    def for_pushes(self) -> Capsule:
        """The same with those settings alone that a push may follow."""
        endpoint = self.heading.endpoint
        taken = {name: endpoint[name] for name in FOR_PUSHES if name in endpoint}
        more = tuple(f"endpoint.{name}" for name in endpoint if name not in taken)
        more += ("schedule",) if self.heading.schedule else ()
        heading = structs.replace(self.heading, endpoint=taken, schedule={})
        return replace(self, heading=heading, left_out=(*self.left_out, *more))

    def reports(self) -> Iterator[SharedReport]:
        return (line for line in self.lines() if isinstance(line, SharedReport))


def is_capsule(path: Path) -> bool:
    """Whether the file could be one, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(len(GZIP)) == GZIP
    except OSError:
        return False


def read_capsule(path: Path) -> Capsule:
    """Raises ConfigurationError when it is none, or of a version that this program does not
    know."""
    first = next((line for _, line in _lines(path)), b"")
    try:
        version = msgspec.json.decode(first, type=dict[str, Any]).get("capsule")
        if version != VERSION:
            raise _fault(path, f"expected a capsule of version {VERSION}, got version {version}")
        return _harmless(path, msgspec.json.decode(first, type=Heading))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = _reason(error, first, Heading)
        raise _fault(path, f"expected a capsule of `dlr capture`: {reason}") from None


def _harmless(path: Path, heading: Heading) -> Capsule:
    taken = {name: value for name, value in heading.endpoint.items() if name in SHARED}
    left_out = [joined("endpoint", name) for name in heading.endpoint if name not in taken]
    outcome = taken.get("outcome")
    if isinstance(outcome, dict) and UNSHARED in outcome:
        taken["outcome"] = {name: each for name, each in outcome.items() if name != UNSHARED}
        left_out.append(f"endpoint.outcome.{UNSHARED}")
    return Capsule(path, structs.replace(heading, endpoint=taken), tuple(left_out))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path) as file:
            number = 0
            while line := file.readline(_LINE_LONGEST):
                number += 1
                if not line.endswith(b"\n"):
                    raise _fault(path, f"line {number}: it is cut, or longer than any of ours")
                yield number, line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _fault(path, f"expected a capsule of `dlr capture`: {error}") from None


def _line(path: Path, number: int, line: bytes) -> Line | End:
    kind: Any = SharedReport
    if b'"attempts":' in line and not line.startswith(b'{"receivedAt"'):
        kind = SharedDispatch
    elif line.startswith(b'{"end"'):
        kind = End
    try:
        read: Line | End = msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _fault(path, f"line {number}: {_reason(error, line, kind)}") from None
    return read


def _reason(error: Exception, line: bytes, kind: type[Struct]) -> str:
    if not isinstance(error, msgspec.ValidationError):
        return str(error)
    return str(misfit(msgspec.json.decode(line), kind))


def _fault(path: Path, text: str) -> ConfigurationError:
    return ConfigurationError([f"{path}: {text}"])
