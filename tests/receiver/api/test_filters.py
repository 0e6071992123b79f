"""What is asked for, out of a query string."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from receiver.answers import BadQuery
from receiver.api.filters import report_query
from receiver.dlr.statuses import GROUP_NAMES
from receiver.store.base import ReportQuery
from tests.contracts.report_store import NOON


def test_reads_all_parameters() -> None:
    """Each parameter of the API becomes the filter of its name; instants in either form."""
    query = report_query(
        {
            "messageId": "m",
            "bulkId": "b",
            "to": "1",
            "toPrefix": "41",
            "from": "s",
            "statusGroup": "3,expired",
            "status": "5,expired_expired",
            "error": "EC_ABSENT,27",
            "permanent": "true",
            "final": "false",
            "source": "eu",
            "callbackData": "x",
            "callbackDataContains": "y",
            "receivedSince": "2026-03-02T12:00:00Z",
            "receivedUntil": "2026-03-02T13:00:00.000+0100",
            "doneSince": "2026-03-02T13:00:00.000 0100",
            "doneUntil": "2026-03-02",
            "limit": "7",
            "cursor": "9",
        }
    )

    assert query == ReportQuery(
        limit=7,
        before=9,
        message_id="m",
        bulk_id="b",
        to="1",
        to_prefix="41",
        sender="s",
        status_groups=(3, 4),
        statuses=(5, "EXPIRED_EXPIRED"),
        errors=("EC_ABSENT", 27),
        permanent=True,
        final=False,
        source="eu",
        callback_data="x",
        callback_data_contains="y",
        received_since=NOON,
        received_until=NOON,
        done_since=NOON,
        done_until=NOON.replace(hour=0),
    )
    assert set(GROUP_NAMES.values()) >= {"EXPIRED"}


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"statusGroup": "LOST"}, "statusGroup: expected ACCEPTED"),
        ({"status": "5,,6"}, "status: expected ids or names"),
        ({"error": ""}, "error: expected ids or names"),
        ({"permanent": "yes"}, "permanent: expected true or false"),
        ({"doneSince": "yesterday"}, "doneSince: expected an instant such as"),
        ({"receivedUntil": ""}, "receivedUntil: expected an instant such as"),
        ({"sender": "a", "from": "a"}, "from: it is another name of sender"),
        ({"messageid": "a"}, "messageid: unknown parameter"),
    ],
)
def test_refuses(parameters: dict[str, str], text: str) -> None:
    """What cannot be a filter is told with its name and what was expected."""
    with pytest.raises(BadQuery) as refused:
        report_query(parameters)
    assert str(refused.value).startswith(text), urlencode(parameters)
