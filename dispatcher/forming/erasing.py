"""Which dispatches, attempts and replays name a recipient: the same for each database. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from xml.sax.saxutils import escape

import msgspec

from dispatcher.forming.carried import carried_by
from dispatcher.settings.settings import SANDBOX
from receiver.store.recipient import Recipient
from receiver.store.texts import unescaped


def of_bodies(recipient: Recipient, rows: Iterable[tuple[int, int, str, bytes]]) -> list[int]:
    """The dispatches whose bytes name it, of rows of id, number of reports, content type, bytes."""
    may_hold = _may_hold(recipient)
    return [
        number
        for number, reports, kind, body in rows
        if may_hold(body)
        and (_carries(recipient, body, kind) if reports else _tells_of(recipient, body, kind))
    ]


def of_urls(recipient: Recipient, rows: Iterable[tuple[int, str]]) -> list[int]:
    """The dispatches whose URL names it."""
    return [number for number, url in rows if recipient.is_named_in(unescaped(url))]


def of_answers(recipient: Recipient, rows: Iterable[tuple[int, bytes, str | None]]) -> list[int]:
    """The attempts whose answer or error names it."""
    return [
        number
        for number, answer, error in rows
        if recipient.is_named_in(error or "") or recipient.is_named_in_bytes(answer)
    ]


def of_replays(recipient: Recipient, rows: Iterable[tuple[int, str | None, str]]) -> list[int]:
    """The replays whose key or selection names it."""
    return [
        number
        for number, key, selection in rows
        if recipient.is_named_in(key or "") or recipient.is_named_in(unescaped(selection))
    ]


def _carries(recipient: Recipient, body: bytes, content_type: str) -> bool:
    return any(recipient.has(report) for _, report in carried_by(body, content_type))


def _tells_of(recipient: Recipient, body: bytes, content_type: str) -> bool:
    """Whether an event that is no report, which only a sandbox pushes, names the recipient."""
    if recipient.source not in (None, SANDBOX):
        return False
    return recipient.is_named_in_bytes(body, content_type)


def _may_hold(recipient: Recipient) -> Callable[[bytes], bool]:
    """Whether to decode a body of ours: there is one for each report, and most are of others."""
    if recipient.to is not None:
        return recipient.may_be_in
    in_json = msgspec.json.encode(recipient.text)[1:-1]
    in_xml = escape(recipient.text).encode()
    return lambda body: in_json in body or in_xml in body
