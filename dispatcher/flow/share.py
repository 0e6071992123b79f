"""Which part of an endpoint's limits each of several dispatchers uses. Pure.

Several dispatchers on one database keep `window` and `rate_limit` of an endpoint together: each has
a share, and the shares add up to what is set. All of them reckon alike from the same table of who
works for which endpoints, so nobody hands shares out.

A share that is too small is of no use: a window of less than four keeps no place for first
attempts, and each share of a rate limit may begin with one push at once. So an endpoint with small
limits belongs to fewer dispatchers than there are. Which ones is decided by rendezvous hashing:
whoever comes or goes changes nothing for endpoints that are not its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from msgspec import Struct

SMALLEST_WINDOW = 4
"""A quarter of each share is kept for first attempts (window.py)."""

SMALLEST_RATE = 1.0
"""Pushes a second. Each share may begin with one push at once: in ten seconds these are at most a
tenth of what is set."""


class Limits(Struct, frozen=True, array_like=True):
    """What is set for an endpoint. `rate` in pushes a second; None: as many as can be. `breaker`:
    it has one."""

    window: int
    rate: float | None = None
    breaker: bool = False


Serving = Mapping[str, Mapping[str, Limits]]
"""Each dispatcher with the limits of the endpoints that it works for. Where their settings differ,
the smaller limit holds."""


class Share(Struct, frozen=True):
    """What one dispatcher may use: `window` pushes under way (0: it pushes nothing there), and
    `rate` of them a second. `probes`: it makes the probes of an open breaker, and nobody else.
    `others`: how many other dispatchers have a share."""

    window: int
    rate: float | None = None
    probes: bool = False
    others: int = 0


NOTHING = Share(0)


def sharers(limits: Limits) -> int:
    """How many dispatchers may share these limits at most."""
    by_window = limits.window // SMALLEST_WINDOW
    most = by_window if limits.rate is None else min(by_window, int(limits.rate / SMALLEST_RATE))
    return max(1, most)


def ranked(endpoint: str, serving: Serving) -> list[str]:
    """The dispatchers that work for the endpoint, best first. The first one decides about the
    breaker, so it is one with a breaker if there is any. The first few share the limits."""
    limits = {name: of[endpoint] for name, of in serving.items() if endpoint in of}
    return sorted(limits, key=lambda name: (not limits[name].breaker, _weight(endpoint, name)))


def share_of(endpoint: str, dispatcher: str, serving: Serving) -> Share:
    """The share that this dispatcher has if those in `serving` are all there are."""
    those = ranked(endpoint, serving)
    if dispatcher not in those:
        return NOTHING
    limits = _smallest(serving[name][endpoint] for name in those)
    sharing = those[: sharers(limits)]
    if dispatcher not in sharing:
        return NOTHING
    place, count = sharing.index(dispatcher), len(sharing)
    window, rest = divmod(limits.window, count)
    rate = None if limits.rate is None else limits.rate / count
    return Share(window + (place < rest), rate, place == 0, count - 1)


def least(shares: Iterable[Share]) -> Share:
    """What may be used while several shares may be in force."""
    each = list(shares)
    rates = [share.rate for share in each if share.rate is not None]
    return Share(
        min((share.window for share in each), default=0),
        min(rates, default=None),
        bool(each) and all(share.probes for share in each),
        max((share.others for share in each), default=0),
    )


def _smallest(limits: Iterable[Limits]) -> Limits:
    each = list(limits)
    rates = [limit.rate for limit in each if limit.rate is not None]
    return Limits(min(limit.window for limit in each), min(rates, default=None))


def _weight(endpoint: str, dispatcher: str) -> bytes:
    return blake2b(f"{dispatcher} {endpoint}".encode(), digest_size=8).digest()
