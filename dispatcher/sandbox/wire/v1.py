"""POST /sms/1/text|binary/single and multi: the fields, and the `Send` of them (S1, reference 6.5).

They have no settings of their own for reports: those go to the account's subscription or wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dispatcher.sandbox.messages.send import Api, Delivery, Send, Sms
from dispatcher.sandbox.wire.common import BULK_ID, TO
from dispatcher.sandbox.wire.content import binary_content, destination, text_content
from dispatcher.sandbox.wire.rules import Inspection, Rule, SenderId, Text
from dispatcher.sandbox.wire.tables import Field, ListOf, Table, Values
from dispatcher.sandbox.wire.v2 import BINARY


def _single(name: str, content: Rule) -> Table:
    return Table(
        Field("from", SenderId(), "S4; S1: at most 14 digits"),
        Field("to", ListOf(TO, ("to",), one=True), "S1", required=True),
        Field(name, content, "S1; required: ours", required=True),
    )


def _multi(single: Table) -> Table:
    messages = ListOf(single, ("message", "messages"))
    return Table(
        Field("bulkId", BULK_ID, "ours: as in advanced"),
        Field("messages", messages, "WL15", required=True),
    )


TEXT_SINGLE: Final = _single("text", Text())
BINARY_SINGLE: Final = _single("binary", BINARY)
TEXT_MULTI: Final = _multi(TEXT_SINGLE)
BINARY_MULTI: Final = _multi(BINARY_SINGLE)


def send_of(api: Api, values: Values, _: Inspection) -> Send:
    """The request of what a single or a multi table read."""
    messages = values.get("messages", [values])
    return Send(
        api=api,
        bulk_id=values.get("bulkId") or None,
        messages=[sms for message in messages for sms in _messages(message)],
    )


def _messages(values: Values) -> Iterator[Sms]:
    binary = values.get("binary")
    content = text_content(values, None) if binary is None else binary_content(binary)
    for each in values["to"]:
        to, refusal = destination(each)
        yield Sms(
            message_id=None,
            to=to,
            sender=values["from"],
            content=content.content,
            parts=content.parts,
            delivery=Delivery(),
            refusal=refusal or content.refusal,
        )
