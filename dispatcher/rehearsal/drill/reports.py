"""The reports of a drill, as callbacks; and what the app should hold of them. Pure.

Report number N is of message N, but for an intermediate one when report N + APART is final: then
both are of that one's message. They go in different buckets, which an outage brings into disorder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from dispatcher.rehearsal.bodies import Body, Maker, body
from dispatcher.rehearsal.truth import DELIVERED, PENDING, Expected
from dispatcher.simulation.arrivals import falls_in
from dispatcher.simulation.scenario import MixSettings
from receiver.dlr import json_format
from receiver.dlr.model import Generation, Report

APART = 151
"""Reports from an intermediate one to the final one of its message: more than a bucket, and no
multiple of 2 or 3, so that with usual shares it is a final one."""

_ID = "(id)"


class Ended(Struct, frozen=True):
    """A report for the webhook and what became of it: the state of its dispatch."""

    message_id: str
    final: bool
    state: str


class Reports:
    """Makes the reports of one drill."""

    def __init__(self, maker: Maker, mix: MixSettings) -> None:
        self._maker = maker
        self._mix = mix
        self._items = {
            (generation, final): self._template(generation, final)
            for generation in ("v2", "v3")
            for final in (True, False)
        }

    def callback(self, number: int, first: int, count: int) -> Body:
        """Callback `number` of the drill: `count` reports from number `first` on."""
        generation: Generation = "v3" if falls_in(self._mix.v3, number) else "v2"
        numbers = range(first, first + count)
        if falls_in(self._mix.xml, number):
            return body([self._report(n) for n in numbers], "xml", generation)
        data = json_format.encode_body(self._item(generation, n) for n in numbers)
        return Body(what=f"{count} reports", data=data)

    def message_id(self, number: int) -> str:
        pair = not self._final(number) and self._final(number + APART)
        return self._maker.numbered_id(number + APART if pair else number)

    def _final(self, number: int) -> bool:
        return not falls_in(self._mix.intermediate, number)

    def _report(self, number: int) -> Report:
        name = DELIVERED if self._final(number) else PENDING
        return self._maker.report(name, message_id=self.message_id(number))

    def _item(self, generation: str, number: int) -> bytes:
        # From a template: at 10,000 a second, encoding each would cost more than all the rest.
        template = self._items[generation, self._final(number)]
        return template.replace(_ID.encode(), self.message_id(number).encode())

    def _template(self, generation: Any, final: bool) -> bytes:
        report = self._maker.report(DELIVERED if final else PENDING, message_id=_ID)
        return json_format.encode_item(report, generation)


def truth(ended: Iterable[Ended], maker: Maker) -> list[Expected]:
    """What the app should tell of each message that was acknowledged. What was never acknowledged
    it may hold or not: the platform does not know either."""
    by_message: dict[str, list[Ended]] = {}
    for each in ended:
        by_message.setdefault(each.message_id, []).append(each)
    return [_expected(id, of, maker) for id, of in by_message.items() if _certain(of)]


def _certain(of: Sequence[Ended]) -> bool:
    return all(each.state == "acknowledged" for each in of)


def _expected(message_id: str, of: Sequence[Ended], maker: Maker) -> Expected:
    return Expected(
        message_id,
        DELIVERED if any(each.final for each in of) else PENDING,
        once=len(of) == 1,
        callback_data=maker.callback_data(message_id, f"order {message_id}"),
    )
