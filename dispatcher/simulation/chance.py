"""Chance for many at once: how many of so many, without drawing for each. Seeded by the caller."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

_FEW = 32
"""So many are drawn one by one."""

_NORMAL_FROM = 25.0
"""From this variance on a normal distribution stands for a binomial or a Poisson one: what it
gets wrong is then below what chance itself scatters by."""


def binomial(rng: Random, count: int, share: float) -> int:
    """How many of `count` it happens to, each with probability `share`."""
    if share <= 0 or share >= 1:
        return count if share >= 1 else 0
    if count <= _FEW:
        return sum(rng.random() < share for _ in range(count))
    variance = count * share * (1 - share)
    if variance >= _NORMAL_FROM:
        return min(count, max(0, round(rng.gauss(count * share, math.sqrt(variance)))))
    return _rare(rng, count, share) if share < 0.5 else count - _rare(rng, count, 1 - share)


def poisson(rng: Random, mean: float) -> int:
    """How many come where `mean` come on the average."""
    if mean >= _NORMAL_FROM:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    number, passed = 0, rng.expovariate(1.0)
    while passed < mean:
        number, passed = number + 1, passed + rng.expovariate(1.0)
    return number


def strata(rng: Random, count: int, most: int) -> Iterator[tuple[int, float]]:
    """`count` numbers between 0 and 1 as at most `most` of them, each for so many: one out of each
    equal part of that range, so that together they are spread as they should be."""
    parts = min(count, most)
    for part in range(parts):
        of = count * (part + 1) // parts - count * part // parts
        yield of, (part + rng.random()) / parts


def _rare(rng: Random, count: int, share: float) -> int:
    """By jumping from one that it happens to to the next."""
    number, at, scale = 0, 0, math.log1p(-share)
    while True:
        at += 1 + int(math.log(1.0 - rng.random()) / scale)
        if at > count:
            return number
        number += 1
