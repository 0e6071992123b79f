"""How long answers take whose durations are log-normal: its moments and ranges. Pure.

A push waits for `limit` at most, so all but `share_above` is about the distribution below it.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from msgspec import Struct

_NORMAL = NormalDist()

_Z99 = _NORMAL.inv_cdf(0.99)


class LogNormal(Struct, frozen=True):
    """Latencies with this median, in seconds, and this 99th percentile."""

    median: float
    p99: float

    @property
    def sigma(self) -> float:
        return math.log(self.p99 / self.median) / _Z99

    def share_above(self, limit: float) -> float:
        """How many of all take longer than `limit`."""
        return 1 - self._below(limit, 0)

    def moments(self, limit: float) -> tuple[float, float]:
        """The mean of what does not take longer than `limit`, and the mean of its square."""
        below = self._below(limit, 0)
        if not below:
            return limit, limit**2
        first, second = (self._below(limit, power) / below for power in (1, 2))
        return first, second

    def moments_up_to(self, limit: float) -> tuple[float, float]:
        """The same of all, where what takes longer is over at the limit."""
        late = self.share_above(limit)
        first, second = self.moments(limit)
        return late * limit + (1 - late) * first, late * limit**2 + (1 - late) * second

    def mean_of_part(self, low: float, high: float, limit: float) -> float:
        """The mean of those which, of all up to `limit` in order, lie between these shares."""
        if not self.sigma:
            return min(self.median, limit)
        below = self._below(limit, 0)
        first, last = (self._mass(share * below) for share in (low, high))
        return self._whole(1) * (last - first) / ((high - low) * below)

    def _mass(self, share: float) -> float:
        """How much of the sum of all latencies the shortest `share` of them have."""
        if 0 < share < 1:
            return _NORMAL.cdf(_NORMAL.inv_cdf(share) - self.sigma)
        return float(share >= 1)

    def _below(self, limit: float, power: int) -> float:
        """The part of the moment of that power which the latencies up to `limit` have."""
        if not self.sigma:
            return self._whole(power) * (self.median <= limit)
        at = math.log(limit / self.median) / self.sigma
        return self._whole(power) * _NORMAL.cdf(at - power * self.sigma)

    def _whole(self, power: int) -> float:
        return self.median**power * math.exp((power * self.sigma) ** 2 / 2)
