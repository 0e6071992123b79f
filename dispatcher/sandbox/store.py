"""The sandbox's tables: messages, bulks, and reports that wait to be pulled.

Each function that takes a connection is a part of a transaction. Messages are written by
accepting.py, stepping.py, bulks.py and forgetting.py; pull_api.py takes what waits to be pulled.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from dispatcher.sandbox.clock import MovableClock
from dispatcher.sandbox.life import Life, Named, State
from dispatcher.sandbox.model import Api, Sms
from dispatcher.sandbox.outcomes import Fate, Key
from receiver.store.sqlite.database import instant, micros, migrations_of

MIGRATIONS = migrations_of("dispatcher.sandbox", part="dispatcher.sandbox")

MICROSECOND = timedelta(microseconds=1)

_sms = msgspec.json.Decoder(Sms).decode
_fate = msgspec.json.Decoder(Fate).decode

COLUMNS = (
    "sandbox_message.id, message_id, bulk_id, api, sandbox_message.state, accepted_at, start_at,"
    " leaves_at, cancelled_at, done, due_at, done_at, status_group, status_id, error, process_key,"
    " sms, fate"
)
FROM = "sandbox_message JOIN sandbox_bulk ON sandbox_bulk.id = bulk"


class Message(Struct, frozen=True):
    """A message as it is stored."""

    id: int
    message_id: str
    bulk_id: str
    api: Api
    state: State
    accepted_at: datetime
    start_at: datetime
    leaves_at: datetime
    cancelled_at: datetime | None
    done: int
    due_at: datetime | None
    done_at: datetime | None
    status: Key
    error: str
    process_key: str | None
    sms: Sms
    fate: Fate | None  # None: refused

    @property
    def life(self) -> Life:
        return Life(
            accepted_at=self.accepted_at,
            start_at=self.start_at,
            leaves_at=self.leaves_at,
            validity=self.sms.validity,
            delivery=self.sms.delivery,
            fate=self.fate or Fate(self.status, self.error, timedelta(0)),
            cancelled_at=self.cancelled_at,
        )

    @property
    def named(self) -> Named:
        return Named(self.api, self.bulk_id, self.message_id)


def message_of(row: Sequence[Any]) -> Message:
    """A row of COLUMNS."""
    number, message_id, bulk_id, api, state, accepted, start, leaves, cancelled, *rest = row
    done, due, done_at, group, status, error, process_key, sms, fate = rest
    return Message(
        id=number,
        message_id=message_id,
        bulk_id=bulk_id,
        api=api,
        state=state,
        accepted_at=instant(accepted),
        start_at=instant(start),
        leaves_at=instant(leaves),
        cancelled_at=_instant(cancelled),
        done=done,
        due_at=_instant(due),
        done_at=_instant(done_at),
        status=(group, status),
        error=error,
        process_key=process_key,
        sms=_sms(sms),
        fate=None if fate is None else _fate(fate),
    )


def _instant(at: int | None) -> datetime | None:
    return None if at is None else instant(at)


def messages(
    connection: sqlite3.Connection, rest: str, values: Sequence[Any] = ()
) -> list[Message]:
    """The messages that `rest` of a statement chooses."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM {FROM} {rest}", values)
    return [message_of(row) for row in rows.fetchall()]


# --- the clock -----------------------------------------------------------------------------------


def in_milliseconds(now: datetime) -> datetime:
    """The provider's instants have no smaller unit, and reports must say what is stored."""
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def see(connection: sqlite3.Connection, now: datetime) -> None:
    """Remember an instant that something here has now: the clock must not go back before it."""
    connection.execute("UPDATE sandbox SET seen_at = max(seen_at, ?)", (micros(now),))


def is_ahead(connection: sqlite3.Connection, ahead: timedelta, now: datetime) -> None:
    """Remember how far the clock has been moved."""
    see(connection, now)
    connection.execute("UPDATE sandbox SET ahead = ?", (ahead // MICROSECOND,))


def go_on(connection: sqlite3.Connection, clock: MovableClock) -> None:
    """Have the clock go on as it went, and nowhere before what it has seen."""
    ahead, seen_at = connection.execute("SELECT ahead, seen_at FROM sandbox").fetchone()
    clock.ahead = ahead * MICROSECOND
    behind = instant(seen_at) - clock.now()
    clock.ahead += max(behind, timedelta(0))


# --- rules that came at run time ------------------------------------------------------------------


def rules(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """As tables with the keys of the settings, the latest first."""
    text: str = connection.execute("SELECT rules FROM sandbox").fetchone()[0]
    return msgspec.json.decode(text, type=list[dict[str, Any]])


def add_rule(connection: sqlite3.Connection, rule: dict[str, Any]) -> None:
    text = msgspec.json.encode([rule, *rules(connection)]).decode()
    connection.execute("UPDATE sandbox SET rules = ?", (text,))
