"""How a replay is asked for, and what is said of what cannot be asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from dispatcher.replay.request import read_request
from receiver.answers import BadQuery

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
PARIS = timezone(timedelta(hours=1))


def test_times() -> None:
    """They are read as everywhere (clocks/typed_time.py): without a zone in the machine's, the time
    of day being the last one."""
    request, _ = read_request({"since": "14:00", "until": "2026-11-21T18:00:00Z"}, NOW, PARIS)

    assert request.selection.since == datetime(2026, 11, 21, 14, tzinfo=PARIS)
    assert request.selection.until == datetime(2026, 11, 21, 18, tzinfo=UTC)
    at_one = datetime(2026, 11, 22, 1, tzinfo=PARIS)
    request, _ = read_request({"since": "14:00", "until": "17:00"}, at_one, PARIS)
    assert request.selection.since == datetime(2026, 11, 21, 14, tzinfo=PARIS)
    assert request.selection.until == datetime(2026, 11, 21, 17, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "expected at least one filter: ids, messageIds"),
        ({"toEndpoint": "acme", "rate": "5/s"}, "expected at least one filter"),
        ({"since": "noon"}, "since: expected a time such as 14:00, 24h (ago), yesterday"),
        ({"since": "25:00"}, "since: expected a time such as 14:00"),
        ({"since": "17:00", "until": "14:00"}, "until: expected a time after the beginning"),
        (
            {"state": "lost"},
            'state: expected "waiting", "leased", "acknowledged", "exhausted" or "cancelled",'
            ' got "lost"',
        ),
        ({"statusGroups": ["LOST"]}, "statusGroups: expected ACCEPTED"),
        ({"ids": ["a"]}, 'ids[0]: expected an integer from 1 to 999999999999999999, got "a"'),
        ({"ids": [0]}, "ids[0]: expected an integer from 1 to 999999999999999999, got 0"),
        ({"messageId": "m"}, "messageId: unknown field"),
        ({"ids": [1], "rate": "5"}, "rate: expected a rate such as 50/s"),
        ({"ids": [1], "rate": "5/s", "pace": "original"}, "rate, pace: use one of the two"),
        ({"ids": [1], "pace": "slow"}, 'pace: expected "original", got "slow"'),
        ({"ids": [1], "speed": 2}, "speed: can only be used with pace"),
        ({"ids": [1], "pace": "original", "speed": 0}, "speed: expected a number above 0"),
        ({"ids": [1], "stopOnErrors": 20}, "stopOnErrors: expected a number from 0 to 1, got 20"),
        ({"ids": [1], "to": "http://a", "toEndpoint": "b"}, "to, toEndpoint: use one"),
    ],
)
def test_what_cannot_be_asked(asked: dict[str, Any], expected: str) -> None:
    """What is wrong with a request is said where it is, and what was expected."""
    with pytest.raises(BadQuery) as told:
        read_request(asked, NOW, PARIS)

    assert expected in str(told.value)
