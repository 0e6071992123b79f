"""How many more pushes an endpoint may take."""

from __future__ import annotations

import pytest

from dispatcher.flow.window import InFlight, Room, room


@pytest.mark.parametrize(
    ("window", "first", "retries", "expected"),
    [
        (20, 0, 0, Room(retries=15, all=20)),
        (20, 0, 14, Room(retries=1, all=6)),
        (20, 0, 15, Room(retries=0, all=5)),
        (20, 5, 15, Room(retries=0, all=0)),
        (20, 20, 0, Room(retries=0, all=0)),
        (20, 18, 0, Room(retries=2, all=2)),
        (20, 3, 15, Room(retries=0, all=2)),
        (20, 30, 0, Room(retries=0, all=0)),
        (4, 0, 3, Room(retries=0, all=1)),
        (3, 0, 0, Room(retries=3, all=3)),
        (1, 0, 0, Room(retries=1, all=1)),
        (1, 0, 1, Room(retries=0, all=0)),
        (1, 1, 0, Room(retries=0, all=0)),
    ],
)
def test_room(window: int, first: int, retries: int, expected: Room) -> None:
    """A quarter of the window is kept for first attempts; no place is ever negative."""
    assert room(window, InFlight(first, retries)) == expected


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 20, 10_000])
def test_retries_always_have_a_place(window: int) -> None:
    """However small the window is, retries come to their turn when nothing is under way."""
    assert room(window, InFlight()).retries >= 1


def test_counts_in_flight() -> None:
    """A push counts as a retry when attempts were made before it."""
    in_flight = InFlight()
    in_flight.count(0, +1)
    in_flight.count(1, +1)
    in_flight.count(20, +1)
    assert in_flight == InFlight(first=1, retries=2)

    in_flight.count(0, -1)
    in_flight.count(7, -1)
    assert in_flight == InFlight(first=0, retries=1)
