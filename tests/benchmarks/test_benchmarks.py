"""The benchmarks count right. How fast it is, they report; no test asserts it.

Those without a mark are short and part of the ordinary suite. Those marked `benchmark` run the
whole thing and print its tables: `pytest -m benchmark tests/benchmarks`.
"""

from __future__ import annotations

import sys
import time
from types import ModuleType

import pytest

from tests.benchmarks import (
    backlog,
    claim,
    cohort,
    fairness,
    fixture,
    growth,
    ingest,
    memory,
    postgres_queue,
    push,
    sandbox,
    simulate,
    two_processes,
)
from tests.benchmarks.bodies import Kind
from tests.benchmarks.ingest import bulk, single


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_each_answered_report_is_stored(kind: Kind) -> None:
    """One report a request: what was answered 200 is in the file, and nothing else."""
    found = single(kind, rounds=1, seconds=0.3, connections=8)

    assert found.answered > 0
    assert found.stored == found.answered
    assert [each.refused for each in (*found.measured, *found.ceiling)] == [0, 0]


def test_each_report_of_a_large_body_is_stored() -> None:
    """A hundred reports a request."""
    found = bulk(rounds=1, seconds=0.3, rows=1_000)

    assert found.answered > 0
    assert found.stored == found.answered


def test_a_store_that_holds_reports_takes_more() -> None:
    """What comes in is added to what is there."""
    found = growth.grow([1_000], rounds=1, seconds=0.3)

    assert all(found.answered.values())
    assert found.stored == found.answered


def test_each_report_is_pushed_and_acknowledged_once() -> None:
    """Alone and in buckets: every report acknowledged, every push an attempt."""
    found = push.push(rounds=1, singles=200, bucketed=1_000)

    assert found.acknowledged == found.reports == 1_200
    assert found.attempts == found.pushes == 210


def test_a_claim_takes_what_is_due() -> None:
    """A hundred each time, however many wait."""
    found = claim.claims([1_000, 5_000], rounds=2)

    assert found.claimed == 2 * 2 * claim.DUE


def test_a_claim_over_postgresql_takes_what_is_due(postgres_server: str) -> None:
    """A time for each claim, all of which take a hundred however many wait."""
    found = postgres_queue.claims(postgres_server, [200, 1_000], rounds=2)

    assert {size: len(times) for size, times in found.items()} == {200: 2, 1_000: 2}


def test_a_dispatcher_ends_what_it_forms(postgres_server: str) -> None:
    """Each dispatch fails once, is claimed again and acknowledged; what is told has ended."""
    with postgres_queue.migrated(postgres_server) as url:
        now = time.time()
        done = postgres_queue.work(postgres_queue.Job(url, "e0", 5, now, now + 0.3, True))
        counts = postgres_queue.counts(url)

    assert counts == {("e0", "acknowledged"): done.ended}
    assert len(done.claims) * 5 == done.ended > 0


def test_two_processes_on_one_file_lose_nothing() -> None:
    """A receiver beside a dispatcher: each callback is answered 200 and stored, each push an
    attempt, and nobody hears that the database is locked."""
    found = two_processes.two_processes(rounds=1, seconds=0.5, stock=500)

    assert found.answered > 0
    assert found.refused == 0
    assert found.stored == found.answered
    assert found.recorded >= found.pushes > 0


def test_each_callback_to_an_idle_service_is_pushed() -> None:
    """A time for each callback, and no push before its request."""
    found = claim.latency(callbacks=3, pause=0.0)

    assert len(found.from_request) == 3
    assert found.from_request[0] > 0


def test_memory_is_read_after_the_reports_are_stored() -> None:
    """The figures belong to as many reports and dispatches as they say."""
    found = memory.memory(2_000)

    assert found.stored == found.answered >= 2_000
    assert found.waiting >= 1_999
    assert found.bare > 0


def test_each_callback_reaches_its_healthy_endpoint() -> None:
    """Whatever the hundredth does, each report comes to the endpoint of its source, once."""
    found = fairness.fairness(rounds=1, callbacks=40, a_second=100.0)

    assert [len(waits[0]) for waits in found.waits.values()] == [40] * 4
    assert found.to_the_hundredth["gone"] == 0 < found.to_the_hundredth["stalls"] <= 40


def test_a_backlog_is_taken_up_where_it_is_due() -> None:
    """Of 10,000 waiting the hundred that are due are pushed after the start, and no other."""
    (found,) = backlog.backlog([10_000], rounds=2)

    assert found.pushes == backlog.DUE
    assert found.claimed == (2 + 1) * backlog.DUE
    assert found.resident > 0


def test_each_accepted_message_is_stored() -> None:
    """What the sandbox has answered 200 is in the file, message by message."""
    found = sandbox.sending(rounds=1, seconds=0.3)

    assert found.answered > 0
    assert found.stored == found.answered
    assert [each.refused for each in (*found.measured, *found.ceiling)] == [0, 0]


def test_each_test_sees_its_own_message() -> None:
    """Every test with `dlr_sandbox` finds a sandbox as new, and its message in it."""
    found = fixture.costs(rounds=1, tests=3)

    assert found.seen == 3
    assert all(found.of_test)


def test_each_simulated_report_is_tried_to_the_end() -> None:
    """21 attempts for each report of an endpoint that is down, one where it is up."""
    found = simulate.simulate(rounds=1, reports=300)

    assert found.attempts.keys() == found.rates.keys() == simulate.LOADS.keys()
    for name in ("retries together", "retries one by one"):
        assert found.attempts[name] == 21 * found.reports[name] > 0
    assert found.attempts["acknowledged at once"] == found.reports["acknowledged at once"] == 1_500


def test_each_report_of_a_day_in_cohorts_is_somewhere() -> None:
    """Acknowledged, lost or waiting, in each load at each size."""
    found = cohort.days(rounds=1, sizes=(10_000,), hours=1)

    assert [day.load for day in found] == list(cohort.LOADS)
    for day in found:
        assert day.ended == day.counted > 0
        assert day.megabytes[0] > 0


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "benchmark",
    [
        ingest,
        growth,
        push,
        claim,
        memory,
        fairness,
        backlog,
        sandbox,
        fixture,
        simulate,
        cohort,
    ],
)
def test_prints_its_table(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole benchmark, as `python -m tests.benchmarks.NAME` runs it."""
    monkeypatch.setattr(sys, "argv", [benchmark.__name__])
    with capsys.disabled():
        benchmark.main()
