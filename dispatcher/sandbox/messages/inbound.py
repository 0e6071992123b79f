"""An SMS that comes in: which rule it fits, its keyword, its parts, and where it goes. Pure.

Documented are the fields, that a keyword is taken out of `cleanText`, and that a message is either
pushed to the URL that its number forwards to or waits to be pulled (S4, OAS). How a keyword is
found is ours: it is the first word of the text, in capitals or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from dispatcher.sandbox.characters.text import convert
from dispatcher.sandbox.messages.outcomes import is_to
from dispatcher.settings.sandbox import InboundRule
from receiver.dlr.model import Format
from receiver.dlr.number import comparable
from receiver.store.callback import NotifyTo


class Incoming(Struct, frozen=True, kw_only=True):
    """What is said of an SMS that comes in. What is `None` is told by the rule that it fits."""

    sender: str
    to: str
    text: str
    keyword: str | None = None
    url: str | None = None
    format: Format | None = None
    callback_data: str | None = None
    application_id: str | None = None
    entity_id: str | None = None
    campaign_reference_id: str | None = None


class Inbound(Struct, frozen=True, kw_only=True):
    """An SMS that has come in. `keyword` None: it has none, and `clean_text` is all of the text.
    `forward` None: it waits to be pulled."""

    message_id: str
    sender: str
    to: str
    text: str
    clean_text: str
    keyword: str | None
    parts: int
    received_at: datetime
    callback_data: str | None
    application_id: str | None
    entity_id: str | None
    campaign_reference_id: str | None
    forward: NotifyTo | None


def received(
    incoming: Incoming, rules: Iterable[InboundRule], message_id: str, at: datetime
) -> Inbound:
    """What becomes of an SMS that comes in at `at`. The first rule counts that fits."""
    to = comparable(incoming.to)
    rule = next((rule for rule in rules if _fits(rule, to, incoming.text)), InboundRule())
    keyword, clean_text = _cut(incoming.text, incoming.keyword or rule.keyword)
    url = incoming.url or rule.url
    return Inbound(
        message_id=message_id,
        sender=comparable(incoming.sender),
        to=to,
        text=incoming.text,
        clean_text=clean_text,
        keyword=keyword,
        parts=convert(incoming.text).parts,
        received_at=at,
        callback_data=incoming.callback_data or rule.callback_data or None,
        application_id=incoming.application_id,
        entity_id=incoming.entity_id,
        campaign_reference_id=incoming.campaign_reference_id,
        forward=NotifyTo(url, incoming.format or _format_of(rule)) if url else None,
    )


def _fits(rule: InboundRule, to: str, text: str) -> bool:
    return is_to(rule.to, to) and (not rule.keyword or _cut(text, rule.keyword)[0] is not None)


def _cut(text: str, keyword: str) -> tuple[str | None, str]:
    """The keyword as the text has it, and the text without it; the text alone without one."""
    first, *rest = text.split(maxsplit=1) or [""]
    if not keyword or first.casefold() != keyword.casefold():
        return None, text
    return first, "".join(rest)


def _format_of(rule: InboundRule) -> Format:
    return "xml" if rule.content_type == "application/xml" else "json"
