"""Durations in bins whose width grows with them: percentiles of any number of durations from at
most 1,900 counts, each within 1.6 % of the duration it names.

A bin is a power of two cut into 32. Durations below 64 ms have a bin of their own each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

RESOLUTION = 1 / 64
"""The largest share by which a percentile differs from the duration that it stands for."""

_BITS = 6  # 64 bins below 64 ms, then 32 for each power of two


def bin_of(milliseconds: int) -> int:
    """The bin of a duration. Below zero is zero: clocks differ."""
    if milliseconds < 64:
        return max(milliseconds, 0)
    shift = milliseconds.bit_length() - _BITS
    return (shift << 5) + (milliseconds >> shift)


def coarse(bin: int) -> int:
    """One bin of four neighbours: a fourth of the counts, and within 6 % of the duration."""
    return bin if bin < 16 else (bin & ~3) + 2


def least_of(bin: int) -> int:
    """The shortest duration in the bin, in milliseconds."""
    if bin < 64:
        return bin
    shift = (bin >> 5) - 1
    return (bin - (shift << 5)) << shift


def middle_of(bin: int) -> float:
    """The duration in the middle of a bin, in milliseconds."""
    if bin < 64:
        return float(bin)
    return least_of(bin) + ((1 << (bin >> 5) - 1) - 1) / 2


def percentiles(bins: Iterable[tuple[int, int]], percents: Sequence[int]) -> list[float]:
    """For each percentage the duration, in milliseconds, that so many do not exceed (nearest rank).

    `bins` are pairs of bin and count, ascending; there must be one at least. `percents` ascend too.
    """
    counted = list(bins)
    total = sum(count for _, count in counted)
    found: list[float] = []
    seen = 0
    for bin, count in counted:
        seen += count
        while len(found) < len(percents) and seen * 100 >= percents[len(found)] * total:
            found.append(middle_of(bin))
    return found
