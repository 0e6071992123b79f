"""How a replay is asked for, and what is said of what cannot be asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from dispatcher.replay.request import instant_of, read_request
from receiver.answers import BadQuery

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
PARIS = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14:00", datetime(2026, 11, 21, 14, tzinfo=PARIS)),
        ("14:00:30", datetime(2026, 11, 21, 14, 0, 30, tzinfo=PARIS)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=PARIS)),
        ("2026-11-20T14:00", datetime(2026, 11, 20, 14, tzinfo=PARIS)),
        ("2026-11-20 14:00", datetime(2026, 11, 20, 14, tzinfo=PARIS)),
        ("2026-11-20T14:00:00Z", datetime(2026, 11, 20, 14, tzinfo=UTC)),
        ("2026-11-20T14:00:00.5-05:00", datetime(2026, 11, 20, 19, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_instants(text: str, expected: datetime) -> None:
    """A time is today's in the machine's zone, as is a date; RFC 3339 brings its zone."""
    assert instant_of(text, "since", NOW, PARIS) == expected


def test_today_is_the_zones_today() -> None:
    """Just after midnight in Paris it is still yesterday in UTC: 14:00 is that of Paris."""
    now = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)

    assert instant_of("14:00", "since", now, PARIS) == datetime(2026, 11, 22, 14, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "expected at least one filter: ids, messageIds"),
        ({"toEndpoint": "acme", "rate": "5/s"}, "expected at least one filter"),
        ({"since": "yesterday"}, "since: expected a time of today such as 14:00"),
        ({"since": "25:00"}, "since: expected a time of today"),
        ({"since": "17:00", "until": "14:00"}, "until: expected an instant after since"),
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
