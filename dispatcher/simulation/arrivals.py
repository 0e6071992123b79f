"""The reports of a scenario, as callbacks in the order in which they arrive.

`instants` is when callbacks come and of how many reports, for who only counts; `callbacks` has
them as the receiver would hand them to its store.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, takewhile
from random import Random

from dispatcher.simulation.curve import curve_of
from dispatcher.simulation.replayed import replayed
from dispatcher.simulation.scenario import START, ArrivalSettings, Scenario
from receiver.dlr.instants import format_instant
from receiver.dlr.model import Format, Generation
from receiver.dlr.statuses import DELIVERED, PENDING
from receiver.store.callback import Callback, Entry, Verdict

MICROSECOND = timedelta(microseconds=1)


class Arrivals:
    """What arrives in a scenario. `duration` is how long; nothing arrives at or after its end."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        settings = scenario.arrivals
        self._replayed = list(replayed(settings.file)) if settings.file else []
        self.duration = scenario.duration or self._whole_seconds()

    def callbacks(self) -> Iterator[Callback]:
        """All of them, made one by one."""
        if not self._scenario.arrivals.file:
            return self._made()
        end = START + self.duration
        return takewhile(lambda each: each.received_at < end, self._replayed)

    def instants(self) -> Iterator[tuple[int, int]]:
        """Microseconds since the start, and the number of reports that come then."""
        if self._scenario.arrivals.file:
            for each in self.callbacks():
                yield (each.received_at - START) // MICROSECOND, len(each.verdict.entries)
            return
        size, end = self._scenario.arrivals.per_callback, self.duration // MICROSECOND
        for at in takewhile(lambda at: at < end, _instants(self._scenario)):
            yield at, size

    def reports_before(self, at: timedelta) -> int:
        """How many reports of evenly spaced arrivals have come before `at`, by arithmetic."""
        settings = self._scenario.arrivals
        end = min(at, self.duration) // MICROSECOND
        most = 2 + int(curve_of(settings).total(end / 1e6) / settings.per_callback)
        callbacks = bisect_left(range(most), end, key=lambda number: even(settings, number))
        return callbacks * settings.per_callback

    def expected(self) -> int:
        """How many reports arrive; of those that come by chance, how many on the average."""
        return len(self._replayed) if self._replayed else self.reports_before(self.duration)

    def _made(self) -> Iterator[Callback]:
        mix = self._scenario.mix
        numbers = count()
        for callback, (at, size) in enumerate(self.instants()):
            generation: Generation = "v3" if falls_in(mix.v3, callback) else "v2"
            when = START + at * MICROSECOND
            done = format_instant(when)
            entries = [
                _entry(number, done, generation, falls_in(mix.intermediate, number))
                for _, number in zip(range(size), numbers, strict=False)
            ]
            form: Format = "xml" if falls_in(mix.xml, callback) else "json"
            yield Callback("default", form, None, when, Verdict(entries=entries))

    def _whole_seconds(self) -> timedelta:
        """So long that the last one arrives too."""
        last = self._replayed[-1].received_at - START if self._replayed else timedelta()
        return timedelta(seconds=last // timedelta(seconds=1) + 1)


def even(settings: ArrivalSettings, number: int) -> int:
    """When callback `number` of evenly spaced ones comes, in microseconds since the start."""
    return round(curve_of(settings).at(number * settings.per_callback) * 1e6)


def _instants(scenario: Scenario) -> Iterator[int]:
    settings = scenario.arrivals
    curve, size = curve_of(settings), settings.per_callback
    if not settings.by_chance:
        yield from (round(curve.at(number * size) * 1e6) for number in count())
    rng = Random(f"{scenario.seed} arrivals")  # the same whatever the endpoint draws
    total = 0.0
    while True:
        total += rng.expovariate(1.0) * size
        yield round(curve.at(total) * 1e6)


def falls_in(share: float, number: int) -> bool:
    """Whether number 0, 1, 2 … is of a share, such that it is spread evenly."""
    return share > 0 and int((number + 1) * share) > int(number * share)


def _entry(number: int, done: str, generation: Generation, intermediate: bool) -> Entry:
    """The entry that intake.py would make of a received report, which takes ten times as long. The
    number stands for the hashes of the message and of the report."""
    to = 41_790_000_000 + number % 10_000_000
    return Entry(
        message_key=number,
        identity=number,  # one report a message
        generation=generation,
        final=not intermediate,
        item=(
            f'{{"bulkId":"simulated","messageId":"simulated-{number}","to":"{to}","sentAt":"{done}",'
            f'"doneAt":"{done}",{_V3 if generation == "v3" else _V2},'
            f'"status":{_PENDING if intermediate else _DELIVERED}}}'
        ).encode(),
        status_group=PENDING if intermediate else DELIVERED,
    )


_V2 = '"from":"InfoSMS","smsCount":1'
_V3 = '"sender":"InfoSMS","messageCount":1,"platform":{}'
_PENDING = '{"groupId":1,"groupName":"PENDING","id":7,"name":"PENDING_ENROUTE"}'
_DELIVERED = '{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET"}'
