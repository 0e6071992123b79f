"""What can be read off a timeline: figures, JSON, CSV and sentences."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from dispatcher.simulation.answer import answer, clock_text, left_out, span_text
from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.timeline import (
    BACKLOG_GONE,
    Band,
    Bins,
    Lateness,
    RunTotals,
    Timeline,
    csv_rows,
    to_dict,
    to_json,
)
from tests.simulation.support import HOUR, a_scenario, outage, simulated


def a_lateness(*seconds: float) -> Lateness:
    lateness = Lateness()
    for each in seconds:
        lateness.add(each)
    return lateness


def test_percentiles_are_by_nearest_rank_and_never_too_small() -> None:
    """At most 3.2 % above the true one, so that "95 % came no later" holds."""
    rng = Random(1)
    seconds = sorted(rng.expovariate(1 / 300) for _ in range(10_000))
    found = a_lateness(*seconds).percentiles()

    for percent, at in found.items():
        true = seconds[percent * 100 - 1]
        assert true <= at <= true * 1.032


def test_percentiles_of_an_outage_are_exact() -> None:
    """Reports that were equally late are one figure."""
    lateness = a_lateness(*[0.08] * 94, *[8880.0] * 5, 12780.0)

    assert lateness.percentiles() == {50: 0.08, 95: 8880.0, 99: 8880.0}
    assert lateness.longest == 12780
    assert lateness.late == 6


def test_nothing_has_no_percentiles() -> None:
    """Rather than zeros, which would be punctual."""
    assert Lateness().percentiles() == {}
    assert to_dict(simulated(duration="1s", until="1s", phase=[{"behaves": "refuses"}]))[
        "lateness"
    ] == {
        "p50": None,
        "p95": None,
        "p99": None,
        "max": None,
        "of": 0,
        "leftOut": 1,
        "histogram": [],
    }


def test_columns_add_up() -> None:
    """Each column to its total, and the backlog to what has come and not ended."""
    timeline = simulated(
        duration="2h", arrivals={"per_second": 0.2}, phase=[outage("30m", "45m")], bin="1m"
    )
    bins, totals = timeline.bins, timeline.totals

    assert sum(bins.arrivals) == totals.reports == 1440
    assert sum(bins.attempts) == totals.attempts
    assert sum(map(sum, bins.failed.values())) == totals.wasted
    assert sum(bins.acknowledged) == totals.acknowledged
    assert sum(timeline.lateness.bins.values()) == totals.acknowledged
    backlog = 0
    for arrived, acknowledged, lost, waits in zip(
        bins.arrivals, bins.acknowledged, bins.exhausted, bins.backlog, strict=True
    ):
        backlog += arrived - acknowledged - lost
        assert waits == backlog
    assert {len(column) for column in (bins.arrivals, bins.peak, *bins.failed.values())} == {
        len(bins.backlog)
    }


def test_json_has_the_figures_and_what_follows_from_them() -> None:
    """In camelCase, as the API speaks."""
    timeline = simulated(duration="2h", phase=[outage("30m", "45m", "answers", status=503)])
    said = json.loads(to_json(timeline))

    assert said["engine"] == "exact"
    assert said["partial"] is False
    assert said["totals"]["late"] == 2700
    assert said["totals"]["attemptsPerReport"] > 1
    assert said["lateness"]["max"] == timeline.lateness.longest
    assert sum(count for _, count in said["lateness"]["histogram"]) == 7200
    assert said["bands"] == [{"start": 1800.0, "end": 4500.0, "what": "answers 503"}]
    assert said["recoveredAt"] == 4500
    assert said["drainedAt"] == timeline.drained_at
    assert said["peakPerSecond"] >= said["peakPerSecondAfterRecovery"] > 1
    assert said["bins"]["failed"].keys() == {"failed"}


def test_csv_is_the_same_columns() -> None:
    """A heading and a row for each bin, outcomes by their names."""
    timeline = simulated(duration="1m", phase=[outage("0s", "10s")], bin="30s")
    heading, *rows = csv_rows(timeline)

    assert heading == [
        *("start", "arrivals", "attempts", "acknowledged", "exhausted", "backlog"),
        *("peakPerSecond", "unreachable"),
    ]
    assert rows[0] == [0.0, 30, 30, 20, 0, 10, 1, 10]
    assert len(rows) == len(timeline.bins.arrivals)


def test_the_peak_can_be_asked_for_after_an_instant() -> None:
    """The wave after a recovery is another one than that of the outage."""
    timeline = simulated(
        duration="1h",
        arrivals={"kind": "bursts", "burst_every": "1h", "burst_lasts": "1s", "per_second": 0.1}
        | {"burst_per_second": 50.0},
    )

    assert timeline.peak() == (50, 0.0)
    assert timeline.peak(since=600.0)[0] == 1


def a_timeline(
    reports: int, late: int, lost: int, *, drained_at: float | None, partial: bool = False
) -> Timeline:
    return Timeline(
        engine="exact",
        seed=1,
        schedule="infobip",
        partial=partial,
        ended_at=HOUR,
        totals=RunTotals(reports, reports - lost, lost, 0, 2000, 700),
        lateness=Lateness({700: late}, {700: 90.0}, late),
        bins=Bins(width=60.0, peak=[1, 9, 2]),
        bands=[Band(0.0, 600.0, "refuses")],
        drained_at=drained_at,
    )


@pytest.mark.parametrize(
    ("timeline", "sentences"),
    [
        (
            a_timeline(1000, 50, 3, drained_at=1800.0),
            [
                "50 of 1,000 reports were late (worst: 1m30s); 3 were lost.",
                "700 of 2,000 requests failed; at most 9 came in one second, at 00:01:00.",
                "The backlog was gone 20m after the recovery at 00:10:00.",
            ],
        ),
        (
            a_timeline(1000, 0, 0, drained_at=600.0),
            [
                "None of 1,000 reports were late; none were lost.",
                "700 of 2,000 requests failed; at most 9 came in one second, at 00:01:00.",
                "No backlog was left at the recovery at 00:10:00.",
            ],
        ),
        (
            a_timeline(1000, 0, 0, drained_at=None, partial=True),
            [
                "PARTIAL: stopped at 01:00:00 of the scenario; figures until then:",
                "None of 1,000 reports were late; none were lost.",
                "700 of 2,000 requests failed; at most 9 came in one second, at 00:01:00.",
                "What had come before the recovery at 00:10:00 is not over yet.",
            ],
        ),
    ],
)
def test_the_answer_is_a_few_sentences(timeline: Timeline, sentences: list[str]) -> None:
    """How many late and lost, how high the wave, when all was over."""
    assert answer(timeline) == sentences


def test_times_go_on_after_a_day() -> None:
    """The schedule is known by 41:30 h."""
    assert clock_text(41.5 * HOUR) == "41:30:00"
    assert [span_text(each) for each in (0.0885, 9.5, 59.7, 8880.4)] == [
        *("88ms", "9.5s", "1m", "2h28m"),
    ]


SLOW_AFTERWARDS = {
    "duration": "40m",
    "bin": "1m",
    "arrivals": {"per_second": 1.0},
    "phase": [
        {"behaves": "slows", "per_second": 1.2, "at": "15m"},
        outage("5m", "10m"),
    ],
    "endpoint": {"window": 4},
}
"""Back from an outage, the endpoint is busy with what has come meanwhile."""


@pytest.mark.parametrize("engine", [simulate_exact, simulate_cohort])
def test_backlog_gone_is_where_the_line_of_the_plot_ends(engine: Any) -> None:
    """The plot has a line for what had arrived by the recovery; it comes down to nothing in the bin
    of `drainedAt`, though newer reports may wait still. The words are the same everywhere."""
    timeline = engine(a_scenario(**SLOW_AFTERWARDS))
    said = to_dict(timeline)
    gone = int(said["drainedAt"] // said["bins"]["width"])
    before = said["bins"]["before"]

    assert before[gone - 1] > 0
    assert not any(before[gone:])
    assert all(old <= all_ for old, all_ in zip(before, said["bins"]["backlog"], strict=True))
    assert said["drainedAtMeans"] == BACKLOG_GONE


def test_without_a_recovery_there_is_no_backlog_to_be_gone() -> None:
    """Nor words about it."""
    said = to_dict(simulated(duration="1m"))

    assert (said["drainedAt"], said["drainedAtMeans"], said["bins"]["before"]) == (None, None, [])


def test_percentiles_say_what_they_leave_out() -> None:
    """Half of the reports are lost: the percentiles of the others are not those of all."""
    timeline = simulated(
        duration="20m",
        arrivals={"per_second": 0.1},
        phase=[outage("0s", "10m")],
        schedule={"preset": "custom", "waits": ["1m"], "retries": 1},
    )
    lateness = to_dict(timeline)["lateness"]

    assert left_out(timeline) == f" (without {timeline.totals.exhausted} lost)"
    assert lateness["of"] == timeline.totals.acknowledged
    assert lateness["leftOut"] == timeline.totals.exhausted > 0
