"""How a scripted endpoint meets pushes: each behaviour does what its name says."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from dispatcher.retrying.outcome import Outcome
from dispatcher.simulation.endpoint_model import EndpointModel, Reaction
from tests.simulation.support import a_scenario

SECOND = timedelta(seconds=1)


def a_model(*phases: dict[str, Any], **endpoint: Any) -> EndpointModel:
    scenario = a_scenario(phase=list(phases), endpoint=endpoint)
    return EndpointModel(scenario.phase, scenario.customer, Random(1))


def met(*phases: dict[str, Any], **endpoint: Any) -> Reaction:
    """A push in the first instant."""
    return a_model(*phases, **endpoint).meet(timedelta(0))


def statuses(model: EndpointModel, *seconds: float) -> list[int | None]:
    return [model.meet(at * SECOND).answer.status for at in seconds]


def test_without_phases_it_is_up() -> None:
    """200, at once."""
    reaction = met()

    assert (reaction.answer.status, reaction.takes) == (200, timedelta(0))


@pytest.mark.parametrize(
    ("behaves", "failure", "takes"),
    [
        ("refuses", Outcome.UNREACHABLE, 0),
        ("drops", Outcome.TIMED_OUT, 3),
        ("stalls", Outcome.TIMED_OUT, 20),
        ("half-open", Outcome.TIMED_OUT, 20),
        ("breaks-off", Outcome.BROKEN_OFF, 0),
        ("bad-certificate", Outcome.TLS_FAILED, 0),
    ],
)
def test_a_connection_that_fails(behaves: str, failure: Outcome, takes: int) -> None:
    """By the outcome under which the sender would record it, after the timeout that ends it."""
    reaction = met({"behaves": behaves}, connect_timeout="3s", read_timeout="20s")

    assert reaction.answer.status is None
    assert reaction.answer.failure is failure
    assert reaction.answer.error
    assert reaction.takes == takes * SECOND
    assert reaction.answer.duration_ms == takes * 1000
    assert reaction.heard is (behaves == "half-open")


@pytest.mark.parametrize("status", [204, 302, 404, 410, 429, 500, 503])
def test_a_status(status: int) -> None:
    """Any answer that is wanted, after its latency."""
    reaction = met({"behaves": "answers", "status": status, "latency": "2s"})

    assert reaction.answer.status == status
    assert reaction.answer.failure is None
    assert reaction.takes == 2 * SECOND


def test_retry_after_is_in_whole_seconds() -> None:
    """As the header has it; an acknowledgement asks for nothing."""
    phase = {"behaves": "answers", "status": 429, "retry_after": "1m30.5s"}

    assert met(phase).answer.retry_after == "91"
    assert met({**phase, "status": 200}).answer.retry_after is None


def test_an_answer_that_is_too_slow_is_none() -> None:
    """At the read timeout the attempt is over; the endpoint may know better."""
    in_time = met({"behaves": "up", "latency": "5s"}, read_timeout="5s")
    late = met({"behaves": "up", "latency": "5.001s"}, read_timeout="5s")

    assert (in_time.answer.status, in_time.takes) == (200, 5 * SECOND)
    assert (late.answer.failure, late.takes) == (Outcome.TIMED_OUT, 5 * SECOND)


def test_latencies_have_the_median_and_the_percentile_that_were_given() -> None:
    """Log-normal."""
    model = a_model({"behaves": "up", "latency": "100ms", "latency_p99": "2s"})
    taken = sorted(model.meet(timedelta(0)).takes / SECOND for _ in range(20_000))

    assert taken[10_000] == pytest.approx(0.1, rel=0.05)
    assert taken[19_800] == pytest.approx(2.0, rel=0.15)


def test_the_later_phase_holds() -> None:
    """What it does not speak of falls to those before it, and at last to an endpoint that is up."""
    model = a_model(
        {"at": "1s", "lasts": "3s", "behaves": "answers", "status": 500},
        {"at": "2s", "lasts": "1s", "behaves": "answers", "status": 404},
    )

    assert statuses(model, 0, 1, 2, 3, 4) == [200, 500, 404, 500, 200]


def test_it_flaps() -> None:
    """Down for the first 20 s of each minute."""
    model = a_model(
        {
            "behaves": "answers",
            "status": 502,
            "every": "1m",
            "each_time": "20s",
        }
    )

    assert statuses(model, 0, 19, 20, 59, 60, 79, 80) == [502, 502, 200, 200, 502, 502, 200]


def test_a_share_of_the_pushes_fails() -> None:
    """One of three servers behind a load balancer is broken."""
    model = a_model({"behaves": "answers", "status": 502, "share": 0.33})
    found = Counter(statuses(model, *[0.0] * 10_000))

    assert found.keys() == {200, 502}
    assert found[502] / 10_000 == pytest.approx(0.33, abs=0.02)


def test_it_limits() -> None:
    """A second's worth at once, then so many a second; the others are answered 429."""
    model = a_model({"behaves": "limits", "per_second": 2, "retry_after": "5s"})

    assert statuses(model, 0, 0, 0, 0.4, 0.5, 0.6, 1.0, 1.1) == [
        *(200, 200, 429, 429),
        *(200, 429, 200, 429),
    ]
    assert model.meet(1.2 * SECOND).answer.retry_after == "5"
    assert statuses(model, 60, 60, 60) == [200, 200, 429]  # nothing more is saved up


def test_it_limits_with_the_status_that_it_was_told() -> None:
    """Some answer 503 to what is too much."""
    model = a_model({"behaves": "limits", "per_second": 1, "status": 503})

    assert statuses(model, 0, 0) == [200, 503]


def test_the_more_it_gets_the_slower_it_is() -> None:
    """Ten pushes a second are worked off one after another; idle again, it is quick again."""
    model = a_model({"behaves": "slows", "per_second": 10})
    taken = [model.meet(timedelta(0)).takes / SECOND for _ in range(5)]

    assert taken == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert model.meet(60 * SECOND).takes == 0.1 * SECOND


def test_what_nobody_waits_for_keeps_it_busy() -> None:
    """A push that has timed out is worked off all the same."""
    model = a_model({"behaves": "slows", "per_second": 1}, read_timeout="2s")
    first = [model.meet(timedelta(0)) for _ in range(6)]

    assert [each.answer.status for each in first] == [200, 200, None, None, None, None]
    assert {each.takes for each in first[2:]} == {2 * SECOND}
    assert model.meet(3 * SECOND).answer.failure is Outcome.TIMED_OUT  # its turn ends at 7 s
