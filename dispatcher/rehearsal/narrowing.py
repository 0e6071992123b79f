"""A plain report that is not taken: other values are tried until the field is known.

Each change is made alone first. When none of them helps, all of them together are, and then each is
left out again: those that cannot be are what the webhook minds. The tries of one step are one
batch, so that a webhook that works behind a queue is waited for once a step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, json

from dispatcher.rehearsal.bodies import Body, Ids, Maker, body
from receiver.dlr.item import write_item
from receiver.dlr.model import Format, Generation

Item = dict[str, Any]


class Variant(Struct, frozen=True):
    """A plain report with other values. `what` says which, for "the same report is taken …"."""

    what: str
    message_id: str
    body: Body


class Change(Struct, frozen=True):
    """Makes one item of another. `help` is the option of the command that does the same."""

    what: str
    make: Callable[[Item, Maker], Item]
    option: str = ""

    def __str__(self) -> str:
        return f"{self.what} ({self.option})" if self.option else self.what


NOTHING_HELPS = (
    "no other format, and no other value of ids, callbackData or other fields is accepted either"
)

Take = Callable[[Sequence[Variant]], Awaitable[Sequence[bool]]]
"""Pushes variants and says of each whether the webhook takes it."""


async def narrowed(take: Take, maker: Maker) -> str:
    """With which values the webhook takes a plain report after all, in a sentence."""
    singly = [*(_variant([each], maker) for each in CHANGES), *_shapes(maker)]
    if found := _taken(singly, await take(singly)):
        return f"the same report is accepted {' or '.join(found[:3])}"
    together = _variant(TOGETHER, maker)
    if not _taken([together], await take([together])):
        return NOTHING_HELPS
    fewer = [[each for each in TOGETHER if each is not left] for left in TOGETHER]
    without = await take([_variant(changes, maker) for changes in fewer])
    needed = [str(left) for left, was in zip(TOGETHER, without, strict=True) if not was]
    return f"the same report is accepted {' and '.join(needed or [together.what])}"


def _taken(variants: Sequence[Variant], taken: Sequence[bool]) -> list[str]:
    return [each.what for each, was in zip(variants, taken, strict=True) if was]


def _variant(changes: Sequence[Change], maker: Maker) -> Variant:
    item = write_item(maker.report(), "v2")
    for change in changes:
        item = change.make(item, maker)
    what = " and ".join(map(str, changes))
    data = json.encode({"results": [item]}, enc_hook=float)
    return Variant(what, item["messageId"], Body(what=f"1 report {what}", data=data))


def _shapes(maker: Maker) -> list[Variant]:
    """The same report in the other formats."""
    kinds: Sequence[tuple[Format, Generation]] = (("json", "v3"), ("xml", "v2"), ("xml", "v3"))
    made = []
    for form, generation in kinds:
        report = maker.report()
        pushed = body([report], form, generation)
        made.append(Variant(f"as {generation} {form.upper()}", report.message_id or "", pushed))
    return made


# --- changes -----------------------------------------------------------------------------------


def _ids(kind: Ids) -> Callable[[Item, Maker], Item]:
    return lambda item, maker: {
        **item,
        "messageId": maker.as_id(item["messageId"], kind),
        "bulkId": maker.as_id(item.get("bulkId", ""), kind),
    }


def _short_ids(item: Item, _: Maker) -> Item:
    short = hashlib.sha256(item["messageId"].encode()).hexdigest()[:8]
    return {**item, "messageId": short, "bulkId": short[:4]}


def _callback_data(text: str) -> Callable[[Item, Maker], Item]:
    return lambda item, _: {**item, "callbackData": text}


def _another_number(item: Item, _: Maker) -> Item:
    digest = hashlib.sha256(item["messageId"].encode()).digest()
    return {**item, "to": f"4179{int.from_bytes(digest[:8]) % 10**7:07}"}


def _without(name: str) -> Change:
    def make(item: Item, _: Maker) -> Item:
        return {key: value for key, value in item.items() if key != name}

    return Change(f"without {name}", make)


def _with_z(item: Item, _: Maker) -> Item:
    instants: Mapping[str, str] = {
        name: item[name].replace("+0000", "Z") for name in ("sentAt", "doneAt") if name in item
    }
    return {**item, **instants}


NUMERIC = Change("with numeric ids", _ids("numeric"), "--ids numeric")
NO_CALLBACK_DATA = _without("callbackData")
OTHERS = tuple(
    _without(name)
    for name in ("bulkId", "to", "from", "sentAt", "doneAt", "smsCount", "mccMnc", "price", "error")
)

CHANGES: Sequence[Change] = (
    NUMERIC,
    Change("with UUIDs as ids", _ids("uuid"), "--ids uuid"),
    Change("with short ids", _short_ids),
    NO_CALLBACK_DATA,
    Change("with callbackData of JSON", _callback_data('{"id":1}'), "--callback-data '{\"id\":1}'"),
    Change("with a number as callbackData", _callback_data("1"), "--callback-data 1"),
    Change("with Z in its instants", _with_z),
    Change("to a number that had no report before", _another_number),
    *OTHERS,
)
TOGETHER: Sequence[Change] = (NUMERIC, NO_CALLBACK_DATA, *OTHERS)
"""Changes that do not exclude one another."""
