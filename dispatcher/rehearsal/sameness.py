"""By what an app takes two reports for the same. Pure, but for who pushes the probes.

A probe is two reports that differ in one respect; what the app holds afterwards says whether the
second one counted. Of the ways to tell reports apart that apps have, those that explain all answers
are named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from dispatcher.rehearsal.bodies import Body, Maker, body, later
from dispatcher.rehearsal.truth import DELIVERED, PENDING, WITH_OPERATOR, Held, Words
from receiver.dlr import json_format
from receiver.dlr.model import Report


class Sent(Struct, frozen=True):
    """A report and the body that it was in."""

    report: Report
    body: Body

    @property
    def status(self) -> tuple[int | None, int | None]:
        told = self.report.status
        return (None, None) if told is None else (told.group_id, told.id)

    @property
    def name(self) -> str:
        told = self.report.status
        return "" if told is None else told.name or ""


class Probe(Struct, frozen=True):
    """Two reports, pushed one after the other."""

    first: Sent
    second: Sent

    @property
    def message_id(self) -> str:
        return self.second.report.message_id or ""

    @property
    def two_messages(self) -> bool:
        return self.first.report.message_id != self.message_id

    @property
    def repeated(self) -> bool:
        return self.first.report == self.second.report


def probes(maker: Maker) -> list[Probe]:
    """Another group; another id of the group; both at one instant; the same body, the same report
    in another body and in XML; two messages with nothing else between them."""
    return [
        _changed(maker, PENDING, 4),
        _changed(maker, WITH_OPERATOR, 4),
        _changed(maker, PENDING, 0),
        *_repeated(maker),
        *_two_messages(maker),
    ]


def _alone(maker: Maker, name: str = DELIVERED) -> Report:
    """A report in a bulk of its own, so that no probe disturbs another."""
    return maker.report(name, bulk_id=maker.message_id())


def _changed(maker: Maker, name: str, seconds: int) -> Probe:
    first = _alone(maker, name)
    second = maker.report(
        message_id=first.message_id, bulk_id=first.bulk_id, done_at=later(first, seconds)
    )
    return Probe(Sent(first, body([first])), Sent(second, body([second])))


def _repeated(maker: Maker) -> list[Probe]:
    same, other, xml, neighbour = (_alone(maker) for _ in range(4))
    return [
        Probe(Sent(same, body([same])), Sent(same, body([same]))),
        Probe(Sent(other, body([other])), Sent(other, body([other, neighbour]))),
        Probe(Sent(xml, body([xml])), Sent(xml, body([xml], "xml", "v3"))),
    ]


def _two_messages(maker: Maker) -> list[Probe]:
    """Alike in all but messageId, and in one respect alone."""
    made = []
    for shared in SHARED:
        first = _alone(maker)
        other: dict[str, Any] = {
            "callback_data": f"another order than that of {first.message_id}",
            "to": OTHER_NUMBER,
            "done_at": later(first, 9),
            "bulk_id": maker.message_id(),
        }
        second = maker.report(**other | {name: getattr(first, name) for name in shared})
        made.append(Probe(Sent(first, body([first])), Sent(second, body([second]))))
    return made


SHARED = (("callback_data", "to", "done_at", "bulk_id"), ("callback_data",), ("to",), ("done_at",))
"""What the two messages of a probe have in common, each with one probe."""

OTHER_NUMBER = "41793026731"


def counted(probe: Probe, held: Held, words: Words) -> bool | None:
    """Whether the second report of a probe counted. None: the app does not tell."""
    if probe.two_messages:
        return words.known(held)
    if held.count is not None and words.count is not None:
        return held.count > words.count
    if probe.repeated or words.same(probe.first.name, DELIVERED):
        return None
    if held.state == words.of(DELIVERED):
        return True
    return False if held.state == words.of(probe.first.name) else None


Key = Callable[[Sent], object]

KEYS: Mapping[str, Key] = {
    "messageId": lambda s: s.report.message_id,
    "messageId and group": lambda s: (s.report.message_id, s.status[0]),
    "messageId and doneAt": lambda s: (s.report.message_id, s.report.done_at),
    "messageId and status": lambda s: (s.report.message_id, s.status),
    "the hash of the body": lambda s: s.body.data,
    "the text of the item": lambda s: (
        s.body.content_type,
        json_format.encode_item(s.report, "v2"),
    ),
    "nothing: each report counts": lambda s: id(s),
    "callbackData": lambda s: s.report.callback_data,
    "callbackData and status": lambda s: (s.report.callback_data, s.status),
    "to": lambda s: s.report.to,
    "to and status": lambda s: (s.report.to, s.status),
    "to and doneAt": lambda s: (s.report.to, s.report.done_at),
    "bulkId and status": lambda s: (s.report.bulk_id, s.status),
    "doneAt": lambda s: s.report.done_at,
    "doneAt and status": lambda s: (s.report.done_at, s.status),
}
"""What apps take for the identity of a report, in the order in which they are named."""

RIGHT = "messageId and status"
"""Explains the answers of an app that is right as far as the probes ask."""


def keys_of(found: Sequence[tuple[Probe, bool | None]]) -> list[str]:
    """The keys that explain what the probes found. The right one alone when it is among them."""
    asked = [(probe, was) for probe, was in found if was is not None]
    fit = [
        name
        for name, key in KEYS.items()
        if all((key(probe.first) != key(probe.second)) == was for probe, was in asked)
    ]
    return [RIGHT] if RIGHT in fit else fit


def cause(found: Sequence[tuple[Probe, bool | None]]) -> str:
    """A sentence on what two reports have in common when the app takes them for the same. Empty
    when that is right, or cannot be told."""
    keys = keys_of(found)
    if not keys or RIGHT in keys:
        return ""
    return f"it treats two reports as the same if they share {' or '.join(keys[:2])}"
