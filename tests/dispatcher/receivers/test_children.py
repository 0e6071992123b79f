"""When a process is started again, and what several processes count together."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from dispatcher.receivers.child import Order
from dispatcher.receivers.children import Children, ending, pause_after
from dispatcher.receivers.receiving import shared_out
from dispatcher.receivers.sums import Summed, samples_of, total
from dispatcher.settings.settings import Settings, read_settings
from receiver.metrics import bare_registry

MB = 1024**2


def test_a_process_that_dies_at_once_is_started_more_and_more_rarely() -> None:
    """One that has worked for a while is started again at once."""
    pauses, pause = [], 0.0
    for ran in (0.5, 0.5, 0.5, 9.9, 0.5, 0.5, 0.5, 10.0, 3.0):
        pause = pause_after(pause, ran)
        pauses.append(pause)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 0, 1]


def test_how_a_process_ended_is_told_in_words() -> None:
    assert [ending(-9), ending(1), ending(-99)] == ["SIGKILL", "exit code 1", "signal 99"]


async def test_receivers_that_are_missing_for_long_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """/readyz gives it as the reason. A start takes its time."""
    children = Children([Order(Settings(), 1.0)] * 2)
    assert children.trouble() is None
    monkeypatch.setattr("dispatcher.receivers.children.MISSING_SECONDS", -1.0)
    assert children.trouble() == "not running: receiver 1 of 2, receiver 2 of 2"


def counted(*, taken: int, refused: int, seconds: float) -> CollectorRegistry:
    """What one process has counted."""
    registry = bare_registry()
    callbacks = Counter("callbacks_total", "Callbacks.", ["outcome"], registry=registry)
    if taken:
        callbacks.labels("taken").inc(taken)
    if refused:
        callbacks.labels("refused").inc(refused)
    Histogram("commit", "Commits.", buckets=(1, 5), registry=registry).observe(seconds)
    return registry


def test_counters_and_histograms_are_summed_by_their_labels() -> None:
    """With the names, labels and order of one process; also what only the others have counted."""
    own = counted(taken=3, refused=0, seconds=0.5)
    others = [counted(taken=4, refused=1, seconds=2), counted(taken=0, refused=5, seconds=9)]
    summed = Summed(own, lambda: total(samples_of(each) for each in others))
    registry = bare_registry()
    registry.register(summed)
    lines = generate_latest(registry).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'callbacks_total{outcome="taken"} 7.0',
        'callbacks_total{outcome="refused"} 6.0',
        'commit_bucket{le="1.0"} 1.0',
        'commit_bucket{le="5.0"} 2.0',
        'commit_bucket{le="+Inf"} 3.0',
        "commit_count 3.0",
        "commit_sum 11.5",
    ]


def test_limits_are_divided_among_the_processes() -> None:
    """All connections together are as many as with one process, and none takes no large body."""
    settings = read_settings(
        None,
        {
            "DLR_SERVER_RECEIVERS": "2",
            "DLR_LIMITS_CONNECTIONS": "100",
            "DLR_LIMITS_BODIES": "18MB",
        },
    )
    shares = [each.limits for each in shared_out(settings)]
    assert [each.connections for each in shares] == [34, 33, 33]
    assert [each.bodies for each in shares] == [10 * MB, 10 * MB, 10 * MB]  # server.body_limit
