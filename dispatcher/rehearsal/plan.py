"""How much a run does, and how long it waits."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

TIMEOUT = timedelta(seconds=10)
"""How long the platform waits for an answer is not published; 10 s, in the sample of a notification
profile, is the only figure in sight (reference, part 4.3)."""


class Plan(Struct, frozen=True, kw_only=True):
    """`patience`: how long an app may take until it tells a state; `poll`: between two looks at it.
    `stall`: how long a check holds a body back. `flood`: bytes of a body that no webhook should
    take. `growth`: pushes after which a webhook is compared with what it was."""

    timeout: timedelta = TIMEOUT
    patience: timedelta = timedelta(seconds=5)
    poll: timedelta = timedelta(milliseconds=100)
    stall: timedelta = timedelta(seconds=1)
    burst: int = 200
    at_once: int = 50
    rate: int = 50
    sustained: timedelta = timedelta(seconds=6)
    flood: int = 32 * 1024 * 1024
    growth: int = 1000
