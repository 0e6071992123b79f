"""What a drill is given, within what this machine can do. Pure.

Rates and durations are the scenario's. The clock runs `speed` times as fast, and so do the reports;
what takes the world's time (an answer, a connection, a tick of the feeder) takes `speed` times as
long in the scenario.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from msgspec import Struct, structs

from dispatcher.simulation.answer import span_text
from dispatcher.simulation.arrivals import Arrivals
from dispatcher.simulation.scenario import ArrivalSettings, MixSettings, Phase, Scenario
from receiver.settings.durations import duration_text

Down = Literal["refuse", "stall", "reset", "5xx", "slow", "half-open"]

READ_TIMEOUT = timedelta(seconds=10)
"""Of an endpoint, unless a scenario says otherwise."""

DOWN: Mapping[Down, Phase] = {
    "refuse": Phase("refuses"),
    "stall": Phase("stalls"),
    "reset": Phase("breaks-off"),
    "5xx": Phase("answers", status=503),
    # Half of the answers come too late: the app has the reports, and gets them again.
    "slow": Phase("up", latency=READ_TIMEOUT, latency_p99=3 * READ_TIMEOUT),
    "half-open": Phase("half-open"),
}
"""Each way of being down as the simulator knows it."""

TICK = timedelta(milliseconds=50)
"""Of the world: what arrives within it arrives in one callback."""

REPORTS_MOST = 500_000
PER_SECOND_MOST = 20_000
"""Reports a second of the world. Receiver, dispatcher and proxy share one process here."""

LONGEST = timedelta(hours=2)
"""Of the world: how long reports arrive at most."""

ANSWER_LEAST = timedelta(seconds=1)
"""Of the world: an app has so long for an answer, however fast the clock runs."""

WINDOW_MOST = 300
"""Requests at once between dispatcher and proxy: each takes two sockets of this process."""

INTERMEDIATE = 1 / 3
"""The share of intermediate reports in a drill without a scenario file."""


class CannotDrill(Exception):
    """The drill cannot be made like this; the text says why and what would do."""


class Drill(Struct, frozen=True, kw_only=True):
    """`timeout` is the world's, for each answer. `notes` say what a reader of the outcome must
    know. `pause` and `resume` None: a proxy of ours is down, and the app is not touched."""

    scenario: Scenario
    speed: float
    timeout: timedelta
    window: int
    notes: tuple[str, ...] = ()
    pause: str | None = None
    resume: str | None = None


def outage_scenario(outage: timedelta, per_second: float, down: Down, speed: float) -> Scenario:
    """One outage, and a twentieth of it before and after it in which all is well.

    Reports come in callbacks of what a tick brings, in the simulation as in the drill.
    """
    lead = outage / 20
    together = per_second * speed * TICK.total_seconds()
    return Scenario(
        duration=outage + 2 * lead,
        arrivals=ArrivalSettings(
            per_second=per_second, per_callback=max(1, min(2_000, round(together)))
        ),
        mix=MixSettings(intermediate=INTERMEDIATE),
        phase=(replace(DOWN[down], at=lead, lasts=outage),),
    )


def drill_of(
    scenario: Scenario,
    speed: float,
    timeout: timedelta,
    *,
    pause: str | None = None,
    resume: str | None = None,
) -> Drill:
    """The drill of a scenario. `timeout` is the longest that an answer may take in the world.

    Raises CannotDrill when it would be more than is possible here.
    """
    _check(scenario, speed)
    read_timeout = scenario.customer.read_timeout
    world = min(timeout, max(read_timeout / speed, min(ANSWER_LEAST, read_timeout)))
    window = scenario.endpoint.window
    return Drill(
        scenario=scenario,
        speed=speed,
        timeout=world,
        window=max(window, min(WINDOW_MOST, _wanted(scenario, speed, world))),
        notes=tuple(_notes(scenario, speed, world)),
        pause=pause,
        resume=resume,
    )


def eased(drill: Drill, answered_in: float) -> Drill:
    """The drill for a webhook that answered a plain report in so many seconds: of what waits for
    its turn in the proxy, nothing should wait for so long that it has timed out."""
    window, bucket = drill.scenario.endpoint.window, drill.scenario.endpoint.bucket_size
    turns = drill.timeout.total_seconds() / (2 * max(answered_in, 0.001))
    most = max(window, min(drill.window, int(window * turns)))
    notes = drill.notes
    wanted = per_second(drill.scenario, drill.speed)
    if (taken := window * bucket / max(answered_in, 0.001)) < wanted:
        fitting = _rounded_down(drill.speed * taken / wanted)
        notes += (
            f"the webhook needed {answered_in:.3f} s for a plain report, so it can take at most"
            f" {taken:,.0f} reports per real second, and a backlog would grow: use --speed"
            f" {fitting} or a lower rate",
        )
    return structs.replace(drill, window=most, notes=notes)


def _wanted(scenario: Scenario, speed: float, world: timedelta) -> int:
    """So many pushes at once as are under way in the scenario, where those that hang do so for
    less long."""
    customer = scenario.customer
    stretched = world * speed / customer.read_timeout
    return math.ceil(customer.window * (stretched if _hangs(scenario) else 1))


def per_second(scenario: Scenario, speed: float) -> float:
    """Reports a second of the world, on the average."""
    arrivals = Arrivals(scenario)
    return arrivals.expected() / arrivals.duration.total_seconds() * speed


def _check(scenario: Scenario, speed: float) -> None:
    arrivals = Arrivals(scenario)
    reports, duration = arrivals.expected(), arrivals.duration
    span = duration_text(duration)
    if reports > REPORTS_MOST:
        raise CannotDrill(
            f"expected at most {REPORTS_MOST:,} reports, got {reports:,} in {span}; a lower rate"
            " shows the same"
        )
    in_the_world = per_second(scenario, speed)
    if in_the_world > PER_SECOND_MOST:
        fitting = _rounded_down(speed * PER_SECOND_MOST / in_the_world)
        raise CannotDrill(
            f"at speed {speed:g} this means {in_the_world:,.0f} reports per real second, and at"
            f" most {PER_SECOND_MOST:,} are possible: use --speed {fitting} or a lower rate"
        )
    if duration / speed > LONGEST:
        fitting = math.ceil(duration / LONGEST)
        raise CannotDrill(
            f"{span} at speed {speed:g} take longer than {duration_text(LONGEST)}: "
            f"use --speed {fitting} or more"
        )


def _rounded_down(speed: float) -> int:
    """To two digits, so that what is a little more for rounding is possible too."""
    digits: int = 10 ** max(0, math.floor(math.log10(max(speed, 1))) - 1)
    return max(1, math.floor(speed / digits) * digits)


def _hangs(scenario: Scenario) -> bool:
    """Whether there are pushes that end with a timeout."""
    read_timeout = scenario.customer.read_timeout
    return any(
        phase.behaves in ("drops", "stalls", "half-open", "slows")
        or max(phase.latency, phase.latency_p99 or phase.latency) > read_timeout
        for phase in scenario.phase
    )


def _notes(scenario: Scenario, speed: float, world: timedelta) -> Iterator[str]:
    customer = scenario.customer
    yield (
        f"{per_second(scenario, speed):,.0f} reports per real second, in pushes of up to"
        f" {customer.bucket_size}; a tenth of a real second is {span_text(speed / 10)} in the drill"
    )
    if world * speed > customer.read_timeout:
        yield (
            f"the timeout is {duration_text(world)},"
            f" which is {span_text((world * speed).total_seconds())} in the drill"
        )
    wanted, most = _wanted(scenario, speed, world), max(customer.window, WINDOW_MOST)
    if wanted > most:
        fitting = _rounded_down(most / customer.window * (customer.read_timeout / world))
        yield (
            f"because pushes take longer in the drill, {wanted:,} of them would have to run at"
            f" once as in the scenario, but at most {most} can; use --speed {fitting}"
        )
    if any(phase.behaves == "drops" for phase in scenario.phase):
        yield "dropped packets are simulated by a connection without an answer"
    if any(phase.behaves == "bad-certificate" for phase in scenario.phase):
        yield "a bad certificate is simulated by a connection that is cut"
