"""Which share of an endpoint's limits each dispatcher has: reckoned by each for itself, and yet
never more together than is set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.flow.share import (
    NOTHING,
    SMALLEST_WINDOW,
    Limits,
    Serving,
    Share,
    least,
    ranked,
    share_of,
    sharers,
)

LIMITS = st.builds(
    Limits,
    st.integers(1, 200),
    st.none() | st.floats(0.01, 1000, allow_nan=False),
    st.booleans(),
)
NAMES = st.lists(st.text("abcdef", min_size=4, max_size=4), min_size=1, max_size=9, unique=True)


@given(LIMITS, NAMES)
def test_the_shares_add_up_to_what_is_set(limits: Limits, names: list[str]) -> None:
    serving = {name: {"acme": limits} for name in names}
    shares = [share_of("acme", name, serving) for name in names]
    at_work = [share for share in shares if share.window]

    assert sum(share.window for share in shares) == limits.window
    if limits.rate is not None:
        assert sum(share.rate or 0 for share in at_work) == pytest.approx(limits.rate)
    assert [share.probes for share in shares].count(True) == 1
    assert max(share.window for share in at_work) - min(share.window for share in at_work) <= 1
    assert {share.others for share in at_work} == {len(at_work) - 1}


@given(LIMITS, NAMES)
def test_no_share_is_too_small(limits: Limits, names: list[str]) -> None:
    """Each keeps a place for first attempts, and what all may begin with at once is no more than a
    tenth of what goes in ten seconds; or one dispatcher has it all."""
    serving = {name: {"acme": limits} for name in names}
    shares = [share_of("acme", name, serving) for name in names]
    at_work = [share for share in shares if share.window]

    if len(at_work) > 1:
        assert min(share.window for share in at_work) >= SMALLEST_WINDOW
        assert limits.rate is None or len(at_work) <= limits.rate
    assert len(at_work) == min(len(names), sharers(limits))


@given(st.dictionaries(st.sampled_from("abcd"), LIMITS, min_size=1))
def test_where_settings_differ_the_smaller_limit_holds(limits: dict[str, Limits]) -> None:
    serving = {name: {"acme": each} for name, each in limits.items()}
    shares = [share_of("acme", name, serving) for name in limits]

    assert sum(share.window for share in shares) == min(each.window for each in limits.values())


def test_who_does_not_work_for_an_endpoint_has_no_share() -> None:
    """Two dispatchers may divide the endpoints between them."""
    serving: Serving = {"one": {"acme": Limits(20)}, "two": {"beta": Limits(20)}}

    assert share_of("acme", "one", serving) == Share(20, None, True)
    assert share_of("acme", "two", serving) == NOTHING


def test_whoever_has_a_breaker_decides_about_it() -> None:
    without, has = Limits(20), Limits(20, breaker=True)
    for name in ("acme", "beta", "gamma", "delta"):
        serving: Serving = {"one": {name: without}, "two": {name: has}}
        assert ranked(name, serving)[0] == "two"


@given(NAMES, st.text("abc", min_size=1))
def test_who_leaves_changes_nothing_for_what_was_not_its_own(
    names: list[str], endpoint: str
) -> None:
    serving = {name: {endpoint: Limits(1)} for name in names}
    before = ranked(endpoint, serving)
    without = {name: of for name, of in serving.items() if name != before[-1]}

    assert ranked(endpoint, without) == before[:-1]


def test_of_several_shares_the_least_is_used() -> None:
    assert least([Share(5, 2.0, True), Share(7, 1.0, False)]) == Share(5, 1.0, False)
    assert least([Share(5, None, True), Share(7, 1.0, True)]) == Share(5, 1.0, True)
    assert least([Share(5, others=2), Share(7, others=1)]) == Share(5, others=2)
    assert least([]) == NOTHING
