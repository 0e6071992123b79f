"""The store of the right webhooks in Python: a table with a unique key, in SQLite.

It knows nothing of this project. Each web framework puts its own few lines in front of it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict

BODY_LIMIT = 10 * 1024 * 1024
FINAL = ("DELIVERED", "UNDELIVERABLE", "EXPIRED", "REJECTED")
Item = dict[str, Any]

SCHEMA = """
CREATE TABLE report (
    message_id TEXT NOT NULL,
    status TEXT NOT NULL,
    done_at TEXT NOT NULL,
    final INTEGER NOT NULL,
    name TEXT,
    callback_data TEXT,
    UNIQUE (message_id, status, done_at)
)
"""


class NotReadable(Exception):
    """The body holds no reports."""


def read(body: bytes, media_type: str) -> list[Item]:
    """The items of a body. Raises `NotReadable`."""
    try:
        found = _from_xml(body) if media_type.lower().endswith("xml") else _from_json(body)
    except (ValueError, LookupError, TypeError, ExpatError, RecursionError) as error:
        raise NotReadable from error
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise NotReadable
    return found


def _from_json(body: bytes) -> Any:
    return json.loads(body)["results"]


def _from_xml(body: bytes) -> Any:
    (root,) = xmltodict.parse(body, force_list=("result",), strip_whitespace=False).values()
    return root["results"]["result"]


class Inbox:
    """What has come. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute(SCHEMA)

    def take(self, items: list[Item]) -> None:
        """Store a bucket in one transaction; what is known already changes nothing."""
        rows = [row for item in items if (row := _row(item)) is not None]
        with self._lock, self._database:
            self._database.executemany(
                "INSERT OR IGNORE INTO report VALUES (?, ?, ?, ?, ?, ?)", rows
            )

    def message(self, message_id: str) -> Item | None:
        """What is known of a message."""
        with self._lock:
            found = self._database.execute(
                "SELECT name, callback_data, done_at, count(*) OVER () FROM report"
                " WHERE message_id = ? ORDER BY final DESC, rowid DESC LIMIT 1",
                (message_id,),
            ).fetchone()
        if found is None:
            return None
        state, callback_data, done_at, reports = found
        return {
            "state": state,
            "callbackData": callback_data,
            "doneAt": done_at,
            "reports": reports,
        }


def _row(item: Item) -> tuple[Any, ...] | None:
    """None for what is no report."""
    status = item.get("status")
    message_id = item.get("messageId")
    if not isinstance(status, dict) or not message_id:
        return None
    group, number = str(status.get("groupName")), str(status.get("id"))
    final = group in FINAL and (group, number) != ("DELIVERED", "2")
    name = status.get("name") or group
    done_at = str(item.get("doneAt") or "")
    return str(message_id), f"{group}/{number}", done_at, final, name, item.get("callbackData")
