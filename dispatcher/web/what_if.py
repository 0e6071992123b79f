"""A scenario of one's own traffic: "what if acme is down from 14:00 to 17:00, on a day such as
yesterday?" Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import tomli_w
from msgspec import Struct

from dispatcher.settings.settings import DispatchSettings, EndpointSettings
from receiver.settings.durations import duration_text
from receiver.settings.writing import as_table

DAY = timedelta(days=1)

_KEPT = (
    "bucket_size",
    "window",
    "connect_timeout",
    "read_timeout",
    "rate_limit",
    "ordered",
    "breaker_failures",
    "breaker_probe",
    "schedule",
    "outcome",
)
"""Settings that decide how pushes go. The others say who gets what, or are secret."""


class Outage(Struct, frozen=True):
    """When an endpoint is to be down, from midnight of that day."""

    at: timedelta
    lasts: timedelta


def what_if(
    endpoint: EndpointSettings,
    schedule: DispatchSettings,
    hours: Mapping[int, int],
    outage: Outage,
    day: str,
) -> str:
    """The scenario as TOML. `hours` are the reports of each hour of the day (UTC), 0 to 23."""
    settings = {key: each for key, each in as_table(endpoint).items() if key in _KEPT}
    tables: dict[str, Any] = {"endpoint": settings, "schedule": as_table(schedule)}
    lasts = duration_text(outage.lasts)
    return _SCENARIO.format(
        story=f"{endpoint.name} is down for {lasts}, with the traffic of {day}",
        per_second=max(0.0001, sum(hours.values()) / DAY.total_seconds()),
        hours=", ".join(str(hours.get(hour, 0)) for hour in range(24)),
        at=duration_text(outage.at),
        lasts=lasts,
    ) + tomli_w.dumps({name: table for name, table in tables.items() if table})


_SCENARIO = """\
story = "{story}"
duration = "24h"

[arrivals]
kind = "daily"
per_second = {per_second}  # on the average
hours = [{hours}]

[[phase]]
behaves = "up"
latency = "80ms"
latency_p99 = "400ms"

[[phase]]
behaves = "refuses"
at = "{at}"
lasts = "{lasts}"

"""
