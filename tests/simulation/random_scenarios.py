"""Small scenarios at random, over everything that a scenario can say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

from hypothesis import strategies as st

from dispatcher.settings.settings import DispatchSettings, OutcomeSettings
from dispatcher.simulation.scenario import (
    ArrivalKind,
    ArrivalSettings,
    Behaviour,
    MixSettings,
    Phase,
    Scenario,
    SimulatedEndpoint,
)

PRESETS = ("infobip", "sinch-sms", "plivo-sms", "8x8-sms", "twilio-status", "svix")


def spans(low: float, high: float) -> st.SearchStrategy[timedelta]:
    """To the tenth of a second."""
    tenths = st.integers(round(low * 10), round(high * 10))
    return tenths.map(lambda each: timedelta(milliseconds=each * 100))


def rates(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda rate: round(rate, 2))


_millis = st.integers(0, 12_000).map(lambda each: timedelta(milliseconds=each))


@st.composite
def arrivals(draw: st.DrawFn, by_chance: bool) -> ArrivalSettings:
    kinds: list[ArrivalKind] = ["constant", "constant", "bursts", "daily"]
    kind = draw(st.sampled_from(kinds))
    more: dict[str, Any] = {}
    if kind == "bursts":
        every = draw(spans(2, 60))
        lasts = min(every, draw(spans(1, 20)))
        more = {
            "burst_every": every,
            "burst_lasts": lasts,
            "burst_per_second": draw(rates(0.5, 6)),
        }
    return ArrivalSettings(
        kind=kind,
        per_second=draw(rates(0.1, 3)),
        per_callback=draw(st.sampled_from([1, 1, 1, 2, 5, 12])),
        by_chance=by_chance and draw(st.booleans()),
        **more,
    )


@st.composite
def phases(draw: st.DrawFn, by_chance: bool) -> Phase:
    behaves = draw(st.sampled_from(get_args(Behaviour)))
    said: dict[str, Any] = {"at": draw(spans(0, 120))}
    if draw(st.integers(0, 9)):
        said["lasts"] = draw(spans(1, 200))
    if behaves not in ("drops", "stalls", "half-open"):
        said["latency"] = draw(st.just(timedelta()) | _millis)
    if by_chance and draw(st.booleans()):
        said["share"] = draw(st.sampled_from([0.01, 0.3, 0.5, 0.9]))
    if by_chance and said.get("latency") and draw(st.booleans()):
        said["latency_p99"] = said["latency"] * draw(st.sampled_from([1, 3, 20]))
    if draw(st.integers(0, 4)) == 0:
        said["every"] = draw(spans(2, 30))
        said["each_time"] = min(draw(spans(1, 20)), said["every"] - timedelta(milliseconds=100))
    if behaves in ("answers", "limits"):
        said["status"] = draw(st.sampled_from([200, 204, 302, 404, 410, 429, 500, 503]))
        if draw(st.booleans()):
            said["retry_after"] = draw(spans(1, 100))
    if behaves in ("limits", "slows"):
        said["per_second"] = draw(rates(0.1, 10))
    return Phase(behaves, **said)


@st.composite
def endpoints(draw: st.DrawFn) -> SimulatedEndpoint:
    breaker = draw(st.sampled_from([0, 0, 0, 1, 3, 10]))
    outcome = None
    if draw(st.booleans()):
        outcome = OutcomeSettings(
            stop_on=draw(st.sampled_from([(), ("410",)])),
            retry_4xx=draw(st.booleans()),
            honour_retry_after=draw(st.booleans()),
        )
    return SimulatedEndpoint(
        window=draw(st.sampled_from([1, 2, 3, 4, 7, 20, 100])),
        bucket_size=draw(st.sampled_from([1, 2, 7, 100])),
        generation="v3",  # one shape: what goes into a bucket is then a matter of counts alone
        connect_timeout=draw(spans(0.3, 10)),
        read_timeout=draw(spans(0.1, 10)),
        rate_limit=draw(st.just(0.0) | rates(0.2, 30)),
        breaker_failures=breaker,
        breaker_probe=draw(spans(1, 60)) if breaker else timedelta(seconds=30),
        outcome=outcome,
        reports=draw(st.sampled_from(["all", "all", "all", "final", "intermediate"])),
        content_type=draw(st.sampled_from(["application/json", "application/xml"])),
    )


@st.composite
def schedules(draw: st.DrawFn, by_chance: bool) -> DispatchSettings:
    if draw(st.integers(0, 3)) == 0:
        return DispatchSettings(preset=draw(st.sampled_from(PRESETS)))
    waits = tuple(draw(st.lists(spans(0, 90), min_size=1, max_size=6)))
    jitter = draw(st.sampled_from([0.0, 0.1, 0.5])) if by_chance else 0.0
    return DispatchSettings(preset="custom", waits=waits, retries=len(waits), jitter=jitter)


@st.composite
def scenarios(draw: st.DrawFn, *, by_chance: bool) -> Scenario:
    """With at most some hundred reports. Without chance: nothing in it is drawn."""
    cut = draw(st.integers(0, 9)) == 0
    endpoint = draw(endpoints())
    # Who never comes back is probed behind a breaker for a month: an hour of it will do.
    hours = 1 if endpoint.breaker_failures else 72
    return Scenario(
        seed=draw(st.integers(0, 1_000)),
        duration=draw(spans(5, 150)),
        until=draw(spans(10, 300)) if cut else timedelta(hours=hours),
        arrivals=draw(arrivals(by_chance)),
        mix=MixSettings(
            intermediate=draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
            v3=draw(st.sampled_from([0.0, 0.5])),
        ),
        phase=tuple(draw(st.lists(phases(by_chance), max_size=4))),
        endpoint=endpoint,
        schedule=draw(schedules(by_chance)),
    )


def has_no_faults(scenario: Scenario) -> bool:
    """Whether its file would be taken."""
    parts: tuple[Any, ...] = (
        scenario,
        scenario.arrivals,
        scenario.endpoint,
        scenario.schedule,
        *scenario.phase,
    )
    return not any(list(part.faults()) for part in parts)


@st.composite
def stories(draw: st.DrawFn) -> Scenario:
    """What simulations are for: some thousand reports, an endpoint that is usual but for one
    trouble of minutes, and a schedule that outlasts it or not."""
    slow = draw(st.sampled_from([0.02, 0.2, 1.0, 3.0]))
    usual = Phase(
        "up",
        latency=timedelta(seconds=slow),
        latency_p99=draw(st.sampled_from([None, timedelta(seconds=3 * slow)])),
    )
    behaves = draw(st.sampled_from(get_args(Behaviour)))
    said: dict[str, Any] = {"at": draw(spans(60, 600)), "lasts": draw(spans(60, 1_200))}
    if behaves in ("answers", "limits"):
        said["status"] = draw(st.sampled_from([429, 500, 503]))
    if behaves in ("limits", "slows"):
        said["per_second"] = draw(rates(0.5, 5))
    said["share"] = draw(st.sampled_from([1.0, 1.0, 0.5, 0.1]))
    waits = tuple(draw(st.lists(spans(20, 900), min_size=2, max_size=6)))
    jitter = draw(st.sampled_from([0.0, 0.0, 0.2]))
    return Scenario(
        seed=draw(st.integers(0, 1_000)),
        duration=timedelta(minutes=draw(st.integers(10, 30))),
        arrivals=ArrivalSettings(
            per_second=draw(rates(0.5, 4)),
            by_chance=draw(st.booleans()),
            per_callback=draw(st.sampled_from([1, 1, 4])),
        ),
        phase=(usual, Phase(behaves, **said)),
        endpoint=SimulatedEndpoint(
            window=draw(st.sampled_from([10, 20, 50])),
            bucket_size=draw(st.sampled_from([1, 10, 100])),
            rate_limit=draw(st.sampled_from([0.0, 0.0, 20.0])),
            read_timeout=timedelta(seconds=10),
        ),
        schedule=DispatchSettings(preset="custom", waits=waits, retries=len(waits), jitter=jitter),
    )
