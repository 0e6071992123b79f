"""The exact engine: the schedule to the second, closed forms, and the same bytes each time."""

from __future__ import annotations

import os
import subprocess
import sys
from inspect import iscoroutinefunction
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.retrying.consequences import CONSEQUENCES
from dispatcher.retrying.schedule import INFOBIP
from dispatcher.simulation.database_in_place import DatabaseInPlace
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.foresight import ForeseeingQueue
from dispatcher.simulation.put_off import OtherwiseStored, PutOff
from dispatcher.simulation.scenario import (
    Scenario,
)
from dispatcher.simulation.timeline import Lateness, Timeline, to_json
from dispatcher.simulation.unasked import CONSEQUENCES as UNASKED
from dispatcher.simulation.unasked import INDEXES, OF_ORDER
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.simulation.random_scenarios import scenarios
from tests.simulation.support import (
    DOWN_FOR_EVER,
    HOUR,
    MINUTE,
    ONE_REPORT,
    a_scenario,
    nonzero,
    outage,
    seconds,
    simulated,
)

# The provider's own table (Push Retry Cycle), then the rest of it by arithmetic (reference, 4.1).
DOCUMENTED = ["00:01", "00:03", "00:08", "00:18", "00:35", "01:01", "01:38"]
COMPUTED = [
    *("02:28", "03:33", "04:55", "06:36", "08:38", "11:03", "13:53", "17:10"),
    *("20:56", "25:13", "30:03", "35:28", "41:30"),
]


def hours_and_minutes(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def test_one_report_is_tried_at_the_documented_instants() -> None:
    """The seed's own table, from what the simulator did: 21 attempts, the last after 41:30 h."""
    timeline = simulated(**ONE_REPORT, phase=[DOWN_FOR_EVER], bin="1m")

    assert timeline.totals.attempts == timeline.totals.wasted == 21
    assert [hours_and_minutes(minute) for minute in nonzero(timeline.bins.attempts)] == [
        "00:00",
        *DOCUMENTED,
        *COMPUTED,
    ]
    assert timeline.totals.exhausted == 1
    assert timeline.ended_at == 41.5 * HOUR


def test_attempts_that_stall_do_not_move_the_schedule() -> None:
    """Waits count from the start of the attempt before, however long it took."""
    timeline = simulated(**ONE_REPORT, phase=[{"behaves": "stalls"}], bin="1m")

    assert hours_and_minutes(nonzero(timeline.bins.attempts)[-1]) == "41:30"
    assert timeline.ended_at == 41.5 * HOUR + 10
    assert timeline.bins.failed == {"timed_out": timeline.bins.attempts}


@pytest.mark.parametrize(
    ("down_minutes", "lost"), [(2490, 0), (2491, 1), (2500, 1), (2501, 2), (2550, 6)]
)
def test_an_outage_loses_what_was_tried_in_it_to_the_end(down_minutes: int, lost: int) -> None:
    """One report in ten minutes: of an outage of D those of its first D - 41:30 h, half-open."""
    timeline = simulated(
        duration="44h",
        arrivals={"per_second": 1 / 600},
        phase=[outage("30m", f"{down_minutes}m")],
    )

    assert timeline.totals.exhausted == lost
    assert timeline.totals.acknowledged == 44 * 6 - lost


def fate(arrived: int, waits: list[int], start: int, end: int) -> tuple[int, int | None]:
    """Attempts, and the lateness or None for a loss, by nothing but the definition."""
    for number, at in enumerate(accumulate(waits, initial=arrived), 1):
        if not start <= at < end:
            return number, at - arrived
    return 1 + len(waits), None


@settings(max_examples=40)
@given(
    waits=st.lists(st.integers(0, 900), max_size=8),
    start=st.integers(0, 900),
    lasts=st.integers(1, 3000),
    every=st.integers(7, 300),
)
@example(waits=[60, 120], start=0, lasts=180, every=60)  # the last attempt in the first good second
@example(waits=[0, 0], start=0, lasts=1, every=7)  # retries at the very same instant
def test_fates_are_those_of_the_definition(
    waits: list[int], start: int, lasts: int, every: int
) -> None:
    """Any schedule, any outage: each report's attempts, lateness or loss, by closed form."""
    timeline = simulated(
        duration="20m",
        arrivals={"per_second": 1 / every},
        phase=[outage(f"{start}s", f"{lasts}s")],
        schedule={"preset": "custom", "waits": [f"{w}s" for w in waits]}
        if waits
        else {"preset": "custom", "retries": 0},
    )

    expected = [fate(at, waits, start, start + lasts) for at in range(0, 1200, every)]
    lateness = Lateness()
    for _, late in expected:
        if late is not None:
            lateness.add(float(late))
    assert timeline.totals.attempts == sum(tries for tries, _ in expected)
    assert timeline.totals.exhausted == sum(late is None for _, late in expected)
    assert timeline.lateness == lateness
    assert timeline.totals.waiting == 0


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [
        ({"behaves": "refuses"}, "unreachable"),
        ({"behaves": "drops"}, "timed_out"),
        ({"behaves": "stalls"}, "timed_out"),
        ({"behaves": "breaks-off"}, "broken_off"),
        ({"behaves": "bad-certificate"}, "tls_failed"),
        ({"behaves": "answers", "status": 503}, "failed"),
        ({"behaves": "answers", "status": 410}, "refused"),
        ({"behaves": "answers", "status": 301}, "redirected"),
        ({"behaves": "up", "latency": "11s"}, "timed_out"),
        ({"behaves": "limits", "per_second": 0.001}, "refused"),
    ],
)
def test_an_outage_is_recorded_under_its_name(phase: dict[str, Any], outcome: str) -> None:
    """Two reports: what fails carries the outcome that production would record."""
    timeline = simulated(
        duration="2s", phase=[{"at": "0s", "lasts": "30s", **phase}], schedule={"preset": "infobip"}
    )

    assert set(timeline.bins.failed) == {outcome}
    assert timeline.totals.acknowledged == 2
    assert [(band.start, band.end) for band in timeline.bands] == [(0, 30)]


def test_gone_is_the_end_where_the_rules_say_so() -> None:
    """410 with stop_on: one attempt and no more."""
    timeline = simulated(
        **ONE_REPORT,
        phase=[{"behaves": "answers", "status": 410}],
        endpoint={"outcome": {"stop_on": ["410"]}},
    )

    assert (timeline.totals.attempts, timeline.totals.exhausted) == (1, 1)
    assert timeline.bins.failed == {"stopped": [1]}


def test_retry_after_is_obeyed_where_the_endpoint_is_set_so() -> None:
    """The first retry comes after the ten minutes that were asked for and not after one."""
    timeline = simulated(
        **ONE_REPORT,
        phase=[
            outage("0s", "5m", "answers", status=429, retry_after="10m"),
        ],
        endpoint={"outcome": {"honour_retry_after": True}},
        bin="1m",
    )

    assert nonzero(timeline.bins.attempts) == [0, 10]


def test_the_window_bounds_what_is_under_way() -> None:
    """Ten pushes that stall for 10 s each, four at once: four, four, two."""
    timeline = simulated(
        duration="1s",
        arrivals={"per_second": 10.0, "per_callback": 10},
        phase=[{"behaves": "stalls"}],
        endpoint={"window": 4},
        schedule={"preset": "custom", "retries": 0},
        bin="10s",
    )

    assert timeline.bins.attempts == [4, 4, 2, 0]
    assert timeline.totals.exhausted == 10


def test_a_quarter_of_the_window_is_for_first_attempts() -> None:
    """Retries of a stalling endpoint leave one place of four to what is new."""
    timeline = simulated(
        duration="1s",
        arrivals={"per_second": 8.0, "per_callback": 8},
        phase=[{"behaves": "stalls"}],
        endpoint={"window": 4},
        schedule={"preset": "custom", "waits": ["100s"]},
        bin="10s",
    )

    assert timeline.bins.attempts[:2] == [4, 4]
    assert timeline.bins.attempts[10:14] == [3, 3, 2, 0]


def test_the_rate_limit_spreads_a_burst() -> None:
    """A hundred reports at once, two requests a second."""
    timeline = simulated(
        duration="1s",
        arrivals={"per_second": 100.0, "per_callback": 100},
        endpoint={"rate_limit": 2.0},
    )

    assert timeline.totals.acknowledged == 100
    assert timeline.peak()[0] <= 3
    assert timeline.ended_at == pytest.approx(99 / 2, abs=0.01)  # the first goes at once


def test_the_breaker_spares_retries() -> None:
    """After three failures one probe each half minute, until the endpoint is up again."""
    outages = {
        "duration": "10s",
        "phase": [outage("0s", "10m")],
        "bin": "30s",
    }
    with_breaker = simulated(**outages, endpoint={"breaker_failures": 3})
    without = simulated(**outages)

    assert with_breaker.bins.attempts[:20] == [3] + [1] * 19
    assert with_breaker.totals.acknowledged == without.totals.acknowledged == 10
    assert with_breaker.totals.wasted < without.totals.wasted


def test_a_slow_endpoint_gets_larger_buckets() -> None:
    """With one place and 2 s for each push, what has gathered goes together."""
    timeline = simulated(
        duration="1m",
        arrivals={"per_second": 10.0},
        phase=[{"behaves": "up", "latency": "2s"}],
        endpoint={"window": 1, "bucket_size": 100},
    )

    assert timeline.totals.reports == timeline.totals.acknowledged == 600
    assert timeline.totals.attempts == 31
    assert timeline.lateness.longest == 3.9  # it just missed a bucket


def test_an_overloaded_endpoint_builds_a_backlog_that_goes() -> None:
    """A burst of 600 that is worked off by 20 a second, while ten can wait."""
    timeline = simulated(
        duration="2m",
        arrivals={
            "kind": "bursts",
            "per_second": 1.0,
            "burst_per_second": 60.0,
            "burst_every": "1h",
            "burst_lasts": "10s",
        },
        phase=[{"behaves": "slows", "per_second": 20}],
        endpoint={"window": 10},
        bin="1s",
    )

    assert max(timeline.bins.backlog) == pytest.approx(400, abs=15)
    assert timeline.bins.backlog[-1] == 0
    assert timeline.totals.wasted == 0
    assert max(timeline.bins.acknowledged[:25]) == 20


@pytest.mark.parametrize("content_type", ["application/json", "application/xml"])
@pytest.mark.parametrize("ordered", [False, True])
def test_every_report_ends(content_type: str, ordered: bool) -> None:
    """In either format, ordered or not, through trouble of each kind: none is left or lost."""
    timeline = simulated(
        duration="20m",
        arrivals={"per_second": 0.5, "per_callback": 3, "by_chance": True},
        mix={"intermediate": 0.4, "xml": 0.5, "v3": 0.3},
        phase=[
            {"behaves": "up", "latency": "300ms", "latency_p99": "12s"},
            outage("3m", "2m", "drops"),
            outage("6m", "2m", "limits", per_second=0.2),
            outage("9m", "2m", "slows", per_second=0.2),
            outage("12m", "2m", "answers", status=500, share=0.5),
        ],
        endpoint={"content_type": content_type, "ordered": ordered, "window": 5, "bucket_size": 7},
    )

    assert timeline.totals.reports > 400
    assert timeline.totals.acknowledged == timeline.totals.reports
    assert timeline.bins.backlog[-1] == 0


def test_only_reports_for_the_endpoint_count() -> None:
    """Of four reports one is intermediate; an endpoint for final ones never hears of it."""
    timeline = simulated(duration="100s", mix={"intermediate": 0.25}, endpoint={"reports": "final"})

    assert timeline.totals.reports == timeline.totals.acknowledged == 75


def test_until_ends_it_though_something_waits() -> None:
    """What waits then is waiting, neither acknowledged nor lost; and nothing is partial."""
    timeline = simulated(
        duration="1h", arrivals={"per_second": 0.1}, until="2h", phase=[DOWN_FOR_EVER]
    )

    totals = timeline.totals
    assert (totals.reports, totals.waiting, totals.exhausted) == (360, 360, 0)
    assert timeline.ended_at == 2 * HOUR
    assert not timeline.partial


def test_an_endpoint_that_never_comes_back_behind_a_breaker_is_given_up() -> None:
    """Probes spend one attempt a day; a month after the last retry could be it is enough."""
    timeline = simulated(
        duration="10s",
        phase=[DOWN_FOR_EVER],
        endpoint={"breaker_failures": 1, "breaker_probe": "1d"},
        schedule={"preset": "custom", "retries": 1000, "first": "1s", "step": "0s"},
    )

    assert timeline.totals.waiting == 10
    assert timeline.totals.attempts == 31


def test_the_backlog_is_gone_when_the_last_of_the_outage_is_over() -> None:
    """Down for ten minutes: the last of them is tried again at 18 min, 8 after the recovery."""
    timeline = simulated(duration="1h", arrivals={"per_second": 0.1}, phase=[outage("0s", "10m")])

    assert timeline.recovered_at == 10 * MINUTE
    # Tried at 0, 1, 3, 8 and 18 min after its arrival: what came in the first two minutes needs
    # the last of these, and of those the latest came at 1:50.
    assert timeline.drained_at == 110 + 18 * MINUTE


def wild() -> dict[str, Any]:
    """A scenario that leaves nothing to itself: all chance, all formats, all limits."""
    return {
        "duration": "30m",
        "arrivals": {"per_second": 1.0, "by_chance": True, "per_callback": 2},
        "mix": {"intermediate": 0.3, "xml": 0.3, "v3": 0.3},
        "phase": [
            {"behaves": "up", "latency": "200ms", "latency_p99": "20s"},
            outage("5m", "5m", "answers", status=503, share=0.7, retry_after="90s"),
            outage("12m", "5m", "slows", per_second=0.8),
        ],
        "endpoint": {
            "bucket_size": 5,
            "window": 8,
            "rate_limit": 3.0,
            "breaker_failures": 6,
            "ordered": True,
            "content_type": "application/xml",
        },
        "schedule": {"preset": "custom", "jitter": 0.3, "retries": 12},
    }


def test_the_same_scenario_gives_the_same_bytes() -> None:
    """Twice in one process; and another seed gives others."""
    one, two, other = (to_json(simulated(**wild(), seed=seed)) for seed in (1, 1, 2))

    assert one == two != other


IN_A_PROCESS = """
import sys
from tests.simulation.support import simulated
from tests.simulation.test_exact import wild
from dispatcher.simulation.timeline import to_json
sys.stdout.buffer.write(to_json(simulated(**wild())))
"""


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_gives_the_same_bytes(hash_seed: str) -> None:
    """Whatever the order in which it keeps its sets."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
    )

    assert done.stdout == to_json(simulated(**wild()))


def broken_off_after(calls: int, **tables: Any) -> Timeline:
    left = iter([True] * calls)
    return simulate_exact(a_scenario(**tables), lambda _: next(left, False))


def test_a_watch_can_break_it_off() -> None:
    """What there is by then is a timeline that says so; what is under way is not in it."""
    whole = simulated(duration="2h")
    part = broken_off_after(2, duration="2h")

    assert part.partial
    assert not whole.partial
    assert 0 < part.totals.attempts < whole.totals.attempts
    assert part.totals.reports == part.totals.acknowledged + part.totals.waiting
    assert part.ended_at < whole.ended_at
    count = len(part.bins.arrivals)
    assert part.bins.arrivals[: count - 1] == whole.bins.arrivals[: count - 1]


def test_the_watch_hears_how_far_it_is() -> None:
    """Shares of the way, which never go back."""
    shares: list[float] = []

    def watch(share: float) -> bool:
        shares.append(share)
        return True

    simulate_exact(a_scenario(duration="2h", phase=[outage("10m", "5m")]), watch)

    assert len(shares) > 5
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5 < shares[-1] <= 1


def test_the_span_is_that_of_the_preset() -> None:
    """What this file computes by hand is what the preset says."""
    waits = [seconds(wait) / 60 for wait in INFOBIP.waits]

    assert [hours_and_minutes(int(at)) for at in accumulate(waits)] == [*DOCUMENTED, *COMPUTED]


class _Blind(ForeseeingQueue):
    """Foresees nothing, so that the database is asked each time."""

    knows = False


TROUBLED = {
    "duration": "20m",
    "arrivals": {"per_second": 0.5, "by_chance": True},
    "mix": {"intermediate": 0.2},
    "phase": [
        {"behaves": "up", "latency": "3s", "latency_p99": "15s"},
        outage("5m", "3m"),
        outage("9m", "3m", "stalls", share=0.8),
    ],
}
ENDPOINTS = [
    {},
    {"window": 3},
    {"rate_limit": 0.7},
    {"bucket_size": 9},
    {"reports": "final"},
    {"ordered": True},
]


def troubled(endpoint: dict[str, Any]) -> bytes:
    of = {"window": 20, "breaker_failures": 9, **endpoint}
    return to_json(simulated(**TROUBLED, endpoint=of))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_foresight_changes_nothing(
    endpoint: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is foreseen is what the database would have said: the same bytes with and without."""
    with_foresight = troubled(endpoint)
    monkeypatch.setattr("dispatcher.simulation.exact.ForeseeingQueue", _Blind)

    assert troubled(endpoint) == with_foresight


@settings(max_examples=30)
@given(scenario=scenarios(by_chance=True))
def test_nothing_that_is_spared_changes_anything(scenario: Scenario) -> None:
    """Whatever the scenario says: with all indexes and consequences, with each callback stored when
    it comes and each question asked, the answer has the same bytes."""
    assert sparing_nothing(scenario) == to_json(simulate_exact(scenario))


def sparing_nothing(scenario: Scenario) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dispatcher.simulation.exact.ForeseeingQueue", _Blind)
        patch.setattr("dispatcher.simulation.exact.drop_unasked", lambda *_: None)
        patch.setattr("dispatcher.simulation.arriving.AHEAD", 1)
        return to_json(simulate_exact(scenario))


def test_a_rate_limit_is_used_however_often_somebody_looks() -> None:
    """A look that found nothing decided that the rate's last quarter was kept for new reports,
    though none waited: a retry that became due a moment later began when the other three quarters
    had a place again. So 25 attempts were made here, or 27 by a worker that looked more often.
    """
    played = a_scenario(
        seed=0,
        duration="5s",
        until="3d",
        arrivals={"per_second": 2.0},
        phase=[{"behaves": "drops", "every": "2s", "each_time": "1s"}],
        endpoint={
            "generation": "v3",
            "window": 2,
            "connect_timeout": "300ms",
            "read_timeout": "100ms",
            "rate_limit": 1.5,
        },
        schedule={"preset": "custom", "retries": 3, "waits": ["29.9s", "0s", "0s"], "jitter": 0.5},
    )

    assert sparing_nothing(played) == to_json(simulate_exact(played))
    assert simulate_exact(played).totals.attempts == 25


def test_a_wrong_foresight_ends_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dispatches are stored many at once, after their attempts. If the database then gives one
    another id than foretold, there is an error, and no timeline."""
    begin = PutOff.__init__

    def begin_wrongly(put_off: PutOff, *args: Any) -> None:
        begin(put_off, *args)
        put_off._last = 7

    monkeypatch.setattr(PutOff, "__init__", begin_wrongly)

    with pytest.raises(OtherwiseStored, match=r"dispatch [0-9]+ instead of"):
        simulated(duration="10s")


def test_a_claim_that_was_foreseen_wrongly_ends_the_simulation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Retries are claimed from memory, and many at once in the database. If others are due there
    than were tried, there is an error, and no timeline."""
    monkeypatch.setattr("dispatcher.simulation.foresight.heappop", lambda heap: heap.pop())

    with pytest.raises(OtherwiseStored, match="other dispatches are due"):
        simulated(duration="10s", phase=[outage("0s", "5m")])


async def test_what_is_unasked_is_there_to_be_dropped() -> None:
    """An index or a consequence that has another name now would be kept, and cost its time."""
    database = DatabaseInPlace()
    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    rows = await database.read(
        lambda connection: connection.execute("SELECT name FROM sqlite_schema").fetchall()
    )
    await database.close()

    assert {*INDEXES, *UNASKED, OF_ORDER} <= {name for (name,) in rows}
    assert {*UNASKED, OF_ORDER} <= CONSEQUENCES.keys()


def test_the_database_in_place_has_all_of_its_own() -> None:
    """What Database learns to do on its threads must be learned here too."""
    on_threads = {"write", "write_unflushed", "read", "question", "checkpoint", "close"}
    on_threads |= {"look", "prove", "log_is_held"}
    public = {
        name
        for name, member in vars(Database).items()
        if iscoroutinefunction(member) and not name.startswith("_")
    }

    assert public - {"migrate", "missing"} == on_threads == public & vars(DatabaseInPlace).keys()


def test_a_rate_limit_is_used_up_in_an_outage() -> None:
    """A backlog of retries goes out at the whole rate while no fresh report waits. Three quarters
    of it were for retries at most, so that with few new reports 79 % were used, and with none 75 %.
    """
    timeline = simulated(
        duration="20m",
        bin="1m",
        until="35m",
        arrivals={"per_second": 1.0},
        phase=[outage("0s", "1h")],
        endpoint={"rate_limit": 2.0},
    )

    assert all(118 <= each <= 121 for each in timeline.bins.attempts[21:34])
