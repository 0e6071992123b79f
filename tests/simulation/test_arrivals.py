"""When reports arrive in a scenario, and which."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dispatcher.simulation.arrivals import Arrivals, falls_in
from dispatcher.simulation.arriving import Arriving
from dispatcher.simulation.curve import Curve
from dispatcher.simulation.database_in_place import DatabaseInPlace
from dispatcher.simulation.scenario import START
from receiver.dlr.json_format import decode_item
from receiver.dlr.model import Report
from receiver.dlr.statuses import is_final
from receiver.store.base import StoredReport
from receiver.store.callback import Callback
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.simulation.support import a_scenario

SECOND = 1_000_000


def arrivals(**settings: Any) -> Arrivals:
    duration = settings.pop("duration", "1h")
    seed = settings.pop("seed", 1)
    return Arrivals(a_scenario(duration=duration, seed=seed, arrivals=settings))


def times(of: Arrivals) -> list[float]:
    """Seconds since the start."""
    return [at / SECOND for at, _ in of.instants()]


def test_constant_arrivals_are_evenly_spaced() -> None:
    """The first at the start, none at the end of the duration."""
    assert times(arrivals(duration="10s", per_second=0.5)) == [0, 2, 4, 6, 8]


def test_reports_arrive_together_in_callbacks() -> None:
    """At the same rate of reports."""
    assert list(arrivals(duration="10s", per_second=1, per_callback=4).instants()) == [
        (0, 4),
        (4 * SECOND, 4),
        (8 * SECOND, 4),
    ]


def test_bursts_come_at_the_beginning_of_each_period() -> None:
    """Ten times as many for a minute of each ten."""
    found = times(
        arrivals(
            duration="20m",
            kind="bursts",
            per_second=1,
            burst_per_second=10,
            burst_every="10m",
            burst_lasts="1m",
        )
    )

    each_minute = [sum(60 * m <= at < 60 * m + 60 for at in found) for m in range(20)]
    assert each_minute == ([600] + [60] * 9) * 2


def test_a_day_has_the_arrivals_of_its_curve() -> None:
    """Hours by their weight, and as many in all as the rate says."""
    hours = [0.0] * 23 + [1.0]
    found = times(arrivals(duration="48h", kind="daily", per_second=0.01, hours=hours))

    assert len(found) == 48 * 36
    assert all(at // 3600 % 24 == 23 for at in found)


def test_arrivals_by_chance_come_at_the_rate() -> None:
    """A Poisson process: gaps are exponential, so that their mean is their deviation."""
    found = times(arrivals(duration="10h", per_second=1, by_chance=True))

    gaps = [later - earlier for earlier, later in pairwise(found)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(1, rel=0.03)
    assert deviation == pytest.approx(1, rel=0.05)


def test_chance_is_that_of_the_seed() -> None:
    """The same seed gives the same arrivals, another one others."""
    of = [times(arrivals(per_second=0.1, by_chance=True, seed=seed)) for seed in (1, 1, 2)]

    assert of[0] == of[1] != of[2]


@given(
    pieces=st.lists(
        st.tuples(st.floats(1, 1e4), st.sampled_from([0.0, 0.5, 1.0, 30.0])), min_size=1
    ).filter(lambda pieces: any(rate for _, rate in pieces)),
    total=st.floats(0.001, 1e6),
)
def test_a_curve_and_its_inverse_agree(pieces: list[tuple[float, float]], total: float) -> None:
    """When so much has come, so much has come."""
    curve = Curve(pieces)

    assert curve.total(curve.at(total)) == pytest.approx(total, rel=1e-6, abs=1e-6)


@given(
    at=st.integers(0, 4000),
    rate=st.sampled_from([0.01, 0.3, 1.0, 7.0]),
    per_callback=st.integers(1, 5),
    kind=st.sampled_from(
        [
            {"kind": "constant"},
            {"kind": "daily"},
            {
                "kind": "bursts",
                "burst_every": "7m",
                "burst_lasts": "90s",
                "burst_per_second": 11.0,
            },
        ]
    ),
)
def test_counting_agrees_with_making(
    at: int, rate: float, per_callback: int, kind: dict[str, Any]
) -> None:
    """What the arithmetic says has come is what comes one by one."""
    found = arrivals(per_second=rate, per_callback=per_callback, **kind)

    made = sum(size for when, size in found.instants() if when < at * SECOND)
    assert found.reports_before(timedelta(seconds=at)) == made


def test_the_mix_is_as_the_scenario_says() -> None:
    """A quarter intermediate, half in XML, a tenth of v3; spread evenly."""
    scenario = a_scenario(duration="1000s", mix={"intermediate": 0.25, "xml": 0.5, "v3": 0.1})
    callbacks = list(Arrivals(scenario).callbacks())
    entries = [callback.verdict.entries[0] for callback in callbacks]

    assert sum(not entry.final for entry in entries) == 250
    assert sum(callback.format == "xml" for callback in callbacks) == 500
    assert sum(entry.generation == "v3" for entry in entries) == 100
    assert sum(not entry.final for entry in entries[:100]) == 25


def test_what_arrives_are_reports_as_the_platform_sends_them() -> None:
    """They can be read again in their generation, and say what is stored of them."""
    mix = {"intermediate": 0.5, "v3": 0.5}
    for callback in Arrivals(a_scenario(duration="4s", mix=mix)).callbacks():
        (entry,) = callback.verdict.entries
        report = read(callback)

        assert report.generation == entry.generation
        assert is_final(report.status) == entry.final
        assert report.sender == "InfoSMS"
        assert report.message_count == 1
        assert report.unknown is None
        assert report.done_at == callback.received_at >= START


def read(callback: Callback) -> Report:
    (entry,) = callback.verdict.entries
    return decode_item(entry.item, entry.generation)


@given(share=st.floats(0, 1), number=st.integers(1, 500))
def test_a_share_is_spread_evenly(share: float, number: int) -> None:
    """Of the first n as many as the share of n, but for one."""
    fallen = sum(falls_in(share, each) for each in range(number))

    assert abs(fallen - share * number) < 1


@pytest.mark.parametrize(("repeated", "read"), [(False, 0), (True, 1)])
async def test_reports_are_handed_over_as_they_are_stored(repeated: bool, read: int) -> None:
    """What was just stored is not read back, and is the same as if it were. Only where something is
    a repeat, and so has another number, the store is asked."""
    mix = {"v3": 0.3, "xml": 0.4, "intermediate": 0.5}
    played = a_scenario(duration="1m", arrivals={"per_second": 1.0, "per_callback": 3}, mix=mix)
    callbacks = list(Arrivals(played).callbacks())
    database = DatabaseInPlace()
    await database.migrate(MIGRATIONS)
    store = _CountingStore(database)
    arriving = await Arriving.begin(store, iter(callbacks + callbacks[-1:] * repeated))
    await arriving.arrive(callbacks[-1].received_at)

    found = await arriving.reports_after(0, 100)
    asked = store.reads

    assert (len(found), asked) == (60, read)
    stored = await store.reports_after(0, 100)
    assert [structs.replace(each, duplicates=0) for each in stored] == [
        structs.replace(each, duplicates=0) for each in found
    ]
    await database.close()


class _CountingStore(SqliteStore):
    reads = 0

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]:
        self.reads += 1
        return await super().reports_after(report_id, limit)
