"""What the store takes: a callback, with the verdict on its body."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b

import msgspec
from msgspec import Struct

from receiver.dlr.errors import Unreadable
from receiver.dlr.model import Format, Generation
from receiver.store.excerpt import Summary


class NotifyTo(Struct, frozen=True):
    """The URL that a report came with, and the format in which it is wanted there.

    The URL may contain a user name and a password.
    """

    url: str
    format: Format


class Entry(Struct, frozen=True, kw_only=True):
    """One report as the store takes it.

    `item` is the report as JSON in its own generation; read it again with `generation` as hint.
    `status_group` is derived from names where no groupId came; `None` when nothing tells. `summary`
    is what the read model would read of the item again; `None`: let it do so.
    """

    message_key: int
    identity: int
    generation: Generation | None
    final: bool
    item: bytes
    status_group: int | None
    notify_to: NotifyTo | None = None  # None: it goes to whichever endpoints take it
    summary: Summary | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """What to store of a body, and what to quarantine.

    `readable` is false when no list of reports was found: then the whole body is quarantined. A
    list that is `too_long` is treated the same way, because a mere refusal would lose the reports
    once the platform has given up repeating them.
    """

    entries: Sequence[Entry] = []
    quarantined: Sequence[Unreadable] = []
    readable: bool = True
    too_long: bool = False
    received: bytes | None = None  # the body in UTF-8, where it differs from what is to be stored


class Callback(Struct, frozen=True):
    """One HTTP request that brought reports, as it is to be stored."""

    source: str
    format: Format
    content_type: str | None
    received_at: datetime
    verdict: Verdict


def quarantine_digest(source: str, content_type: str | None, body: bytes) -> bytes:
    """By which PostgreSQL tells that an unreadable body has come before, from the same sender."""
    told = blake2b(msgspec.json.encode((source, content_type)), digest_size=32)
    told.update(body)
    return told.digest()
