"""Which reports go to which endpoint."""

from __future__ import annotations

import pytest

from dispatcher.endpoints.endpoint import Rules
from dispatcher.forming.routing import goes_to
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.support import stored

EU, DEFAULT = frozenset({"eu"}), frozenset({"default"})


@pytest.mark.parametrize(
    ("rules", "delivered", "pending", "unknown"),
    [
        (Rules(), True, True, True),
        (Rules(sources=EU), True, False, False),
        (Rules(sources=DEFAULT), False, True, True),
        (Rules(sources=EU | DEFAULT), True, True, True),
        (Rules(final=True), True, False, False),
        (Rules(final=False), False, True, True),
        (Rules(status_groups=frozenset({3})), True, False, False),
        (Rules(status_groups=frozenset({1, 3})), True, True, False),
        (Rules(status_groups=frozenset({5})), False, False, False),
        (Rules(sources=EU, final=True, status_groups=frozenset({3})), True, False, False),
        (Rules(sources=EU, final=False), False, False, False),
    ],
)
async def test_rules(rules: Rules, delivered: bool, pending: bool, unknown: bool) -> None:
    """All rules that are given must agree; where none is given, everything goes."""
    reports = await stored(
        a_callback(an_sms("m1"), source="eu"),
        a_callback(an_sms("m2", "PENDING_ENROUTE"), {"messageId": "m3"}),
    )

    assert [goes_to(report, rules) for report in reports] == [delivered, pending, unknown]
