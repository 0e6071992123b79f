"""Reports that really arrived, to arrive again: out of a database, a capsule, a CSV or an NDJSON
file.

CSV and NDJSON are as `dlr reports --format csv|ndjson` writes them; of CSV only the column
receivedAt is needed. The first report arrives at the start of the scenario.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from dispatcher.capsule.capsule import Capsule, SharedReport, is_capsule, read_capsule
from dispatcher.simulation.scenario import START
from receiver.callbacks.intake import entry_of
from receiver.dlr.errors import MalformedReport
from receiver.dlr.instants import parse_instant
from receiver.dlr.json_format import decode_item
from receiver.dlr.model import Generation
from receiver.settings.configuration import ConfigurationError
from receiver.store.callback import Callback, Entry, Verdict
from receiver.store.instants import instant

_FAULTS_TOLD = 20
"""A file of another kind has a fault in each line."""

_FIELDS = ("bulkId", "messageId", "to", "from", "sentAt", "doneAt", "mccMnc", "callbackData")

_SQLITE = b"SQLite format 3\0"


class _Fault(ValueError):
    """What is wrong with one line."""


def replayed(file: str) -> list[Callback]:
    """The reports of a file in the order of arrival, each a callback of its own, moved such that
    the first arrives at the start. Raises ConfigurationError with the faults of all lines."""
    found = list(_found(Path(file)))
    found.sort(key=lambda each: each.received_at)
    earlier = found[0].received_at - START if found else timedelta()
    return [msgspec.structs.replace(each, received_at=each.received_at - earlier) for each in found]


def _found(file: Path) -> Iterator[Callback]:
    with file.open("rb") as opened:
        start = opened.read(len(_SQLITE))
    if start == _SQLITE:
        return _of_database(file)
    if is_capsule(file):
        return of_capsule(read_capsule(file))
    if file.suffix.lower() == ".csv":
        return _of_csv(file)
    if file.suffix.lower() in (".ndjson", ".jsonl"):
        return _of_lines(file)
    raise ConfigurationError(
        [f"{file}: expected a database or a capsule of dlr, or a file ending with .csv or .ndjson"]
    )


_STORED = """
    SELECT received_at, source, format, message_key, identity, generation, final, item, status_group
    FROM report ORDER BY id
"""


def _of_database(file: Path) -> Iterator[Callback]:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            for received_at, source, form, *of_entry in database.execute(_STORED):
                verdict = Verdict(entries=[_stored(*of_entry)])
                yield Callback(source, form, None, instant(received_at), verdict)
    except sqlite3.Error as error:
        raise ConfigurationError([f"{file}: expected a database of dlr: {error}"]) from error


def _stored(
    key: int, told: int, generation: Generation | None, final: int, item: str, group: int | None
) -> Entry:
    return Entry(
        message_key=key,
        identity=told,
        generation=generation,
        final=bool(final),
        item=item.encode(),
        status_group=group,
    )


def _of_lines(file: Path) -> Iterator[Callback]:
    with file.open("rb") as lines:
        numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
        yield from _read_all(file, numbered, _line)


def of_capsule(capsule: Capsule) -> Iterator[Callback]:
    """Its reports as callbacks, one by one and at the instants at which they were received."""
    return _read_all(capsule.path, enumerate(capsule.reports(), 2), _shared)


def _shared(report: SharedReport) -> Callback:
    at = report.received_at.isoformat()
    view = {"receivedAt": at, "format": report.format, "source": report.source}
    return _callback(view, report.report)


def _of_csv(file: Path) -> Iterator[Callback]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines)
        if "receivedAt" not in (rows.fieldnames or ()):
            raise ConfigurationError([f"{file}: line 1: expected a column receivedAt, got none"])
        numbered = ((rows.line_num, {**row, "": str(rows.line_num)}) for row in rows)
        yield from _read_all(file, numbered, _row)


def _read_all(
    file: Path, lines: Iterator[tuple[int, Any]], read: Callable[[Any], Callback]
) -> Iterator[Callback]:
    faults = []
    for number, line in lines:
        try:
            yield read(line)
        except _Fault as fault:
            faults.append(f"{file}: line {number}: {fault}")
    if faults:
        more = len(faults) - _FAULTS_TOLD
        faults[_FAULTS_TOLD:] = [f"{file}: and {more} more lines"] if more > 0 else []
        raise ConfigurationError(faults)


def _line(line: bytes) -> Callback:
    try:
        view = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Fault(f"expected a JSON object: {error}") from None
    if not isinstance(view, dict) or not isinstance(view.get("report"), dict):
        raise _Fault("expected an object with receivedAt and report")
    return _callback(view, view["report"])


def _row(row: Mapping[str, str]) -> Callback:
    item: dict[str, Any] = {name: row[name] for name in _FIELDS if row.get(name)}
    status = {"name": row.get("status"), "groupName": row.get("statusGroup")}
    # Rows that say nothing else are reports of their own all the same.
    item.setdefault("messageId", f"line-{row['']}")
    item["status"] = {name: value for name, value in status.items() if value}
    return _callback(row, item)


def _callback(view: Mapping[str, Any], item: dict[str, Any]) -> Callback:
    try:
        report = decode_item(msgspec.json.encode(item))
    except MalformedReport as error:
        raise _Fault(f"{error.place}: {error.reason}") from None
    form = view.get("format")
    return Callback(
        source=str(view.get("source") or "default"),
        format="xml" if form == "xml" else "json",
        content_type=None,
        received_at=_instant(view.get("receivedAt")),
        verdict=Verdict(entries=[entry_of(report)]),
    )


def _instant(text: object) -> datetime:
    try:
        return parse_instant(str(text or ""))
    except ValueError:
        raise _Fault(f'receivedAt: expected an instant, got "{text or ""}"') from None
