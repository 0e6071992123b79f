"""Reports are added up by what they say, all those that say the same at once. The sums of a turn
are those of its reports taken alone, whatever they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.dlr.model import ErrorFields, StatusFields
from receiver.store.excerpt import Summary
from receiver.store.tally import DAY, CountedReport, Sums, Tally

FIRST = 1_767_225_600_000_000  # 2026-01-01 in microseconds

SUMMARIES = st.builds(
    Summary,
    to=st.sampled_from([None, "41793026727", "385991234567"]),
    bulk_id=st.none(),
    sender=st.sampled_from([None, "InfoSMS"]),
    mcc_mnc=st.sampled_from([None, "22801"]),
    status=st.sampled_from([None, StatusFields(id=5), StatusFields(id=4, name="x")]),
    error=st.sampled_from([None, ErrorFields(group_id=1, id=7)]),
    currency=st.sampled_from([None, "EUR", "eur"]),
    price=st.sampled_from([None, Decimal("0.01"), Decimal("0.012")]),
    message_count=st.sampled_from([None, 1, 3]),
    milliseconds=st.sampled_from([None, -1, 1_500, 1_510, 90_000]),
)
REPORTS = st.lists(
    st.tuples(
        SUMMARIES,
        st.integers(0, 2 * DAY).map(lambda seconds: FIRST + seconds * 1_000_000),
        st.sampled_from(["default", "eu"]),
        st.booleans(),
        st.sampled_from([None, 3]),
    ),
    max_size=12,
)


def sums_of(rows: Sequence[tuple[CountedReport, Summary]]) -> Sums:
    tally = Tally()
    for row, summary in rows:
        tally.add(row, summary)
    return tally.sums()


def counts_in(sums: Sums) -> dict[Any, list[Any]]:
    """Each count and sum that is in these sums."""
    found: dict[Any, list[Any]] = {}
    found |= {("cell", *key): [c.reports, c.first, c.last] for key, c in sums.outcomes.items()}
    found |= {("price", *key): [a.reports, a.sum] for key, a in sums.prices.items()}
    found |= {("duration", *key): [count] for key, count in sums.durations.items()}
    parts = sums.parts
    found |= {("part", *key): [count] for key, count in parts.outcomes.items()}
    found |= {("part price", *key): [a.reports, a.sum] for key, a in parts.prices.items()}
    found |= {("part duration", *key): [count] for key, count in parts.durations.items()}
    return found


@given(REPORTS)
@settings(max_examples=30)
def test_together_and_alone(reports: list[Any]) -> None:
    rows = [
        (CountedReport(id, at, source, final, group), summary)
        for id, (summary, at, source, final, group) in enumerate(reports, 1)
    ]
    added: dict[Any, list[Any]] = {}
    for row in rows:
        for key, numbers in counts_in(sums_of([row])).items():
            before = added.get(key)
            if before is None:
                added[key] = numbers
            elif key[0] == "cell":  # a count, and the first and the last report of it
                added[key] = [before[0] + 1, before[1], numbers[2]]
            else:
                added[key] = [a + b for a, b in zip(before, numbers, strict=True)]
    assert counts_in(sums_of(rows)) == added
