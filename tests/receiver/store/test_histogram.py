"""Durations in bins: how far a percentile may be from the duration that it stands for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from receiver.store.histogram import RESOLUTION, bin_of, middle_of, percentiles


@given(st.integers(-10, 2**48))
def test_a_bin_is_narrow(milliseconds: int) -> None:
    """The middle of a duration's bin lies within the stated resolution of it."""
    middle = middle_of(bin_of(milliseconds))

    assert abs(middle - max(0, milliseconds)) <= max(0, milliseconds) * RESOLUTION


@given(st.integers(0, 2**48))
def test_bins_ascend(milliseconds: int) -> None:
    """A longer duration is never in an earlier bin, and neighbours are at most one bin apart."""
    assert bin_of(milliseconds + 1) - bin_of(milliseconds) in (0, 1)


def test_percentiles_of_few() -> None:
    """Percentiles are by nearest rank: of one duration all are that one, of none there are none."""
    assert percentiles([(5, 1)], (50, 99)) == [5.0, 5.0]
    assert percentiles([(1, 50), (2, 49), (3, 1)], (50, 90, 99)) == [1.0, 2.0, 2.0]
    assert percentiles([], (50,)) == []
