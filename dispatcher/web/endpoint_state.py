"""In which state an endpoint is, in words. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from dispatcher.api.endpoint_health import EndpointHealth, WindowFigures
from dispatcher.retrying.outcome import Outcome

Word = Literal[
    "left the settings", "held", "paused", "breaker open", "failing", "some fail", "works", "quiet"
]


class EndpointState(Struct, frozen=True):
    """`word` is for a chip, `words` say more. Of one that fails, `since` is when it last
    acknowledged anything, if that is known; `until` is when its breaker tries again."""

    word: Word
    words: str = ""
    since: datetime | None = None
    until: str | None = None


def is_failing(health: EndpointHealth) -> bool:
    """Whether it has acknowledged nothing of what it got in the last hour."""
    hour = health.last_hour
    return hour.attempts > 0 and hour.acknowledged == 0


def state_of(health: EndpointHealth, last_success: datetime | None) -> EndpointState:
    """What stops the pushes goes before how they fare. `last_success` None: not known."""
    flow, hour = health.flow, health.last_hour
    if health.gone:
        return EndpointState("left the settings", "nothing is pushed to it")
    if health.held:
        return EndpointState("held", "its settings are invalid, so nothing is pushed")
    if health.paused:
        return EndpointState("paused", "its reports wait and use up no retries")
    if flow is not None and flow.breaker_open:
        words = f"{flow.breaker_failures} failures in a row"
        return EndpointState("breaker open", words, last_success, flow.breaker_probe_at)
    if is_failing(health):
        return EndpointState("failing", _most(hour), last_success)
    if hour.acknowledged < hour.attempts:
        return EndpointState("some fail", _most(hour))
    if hour.attempts:
        return EndpointState("works")
    return EndpointState("quiet", "no push in the last hour")


def _most(window: WindowFigures) -> str:
    """How it fails most often."""
    outcome = next(iter(window.failures))
    if outcome == Outcome.FAILED.value and window.failed_statuses:
        return f"answers {next(iter(window.failed_statuses))}"
    return outcome.replace("_", " ")
