"""The state of a message, whatever order its reports come in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.dlr.message import state_of
from receiver.dlr.model import Report, Status
from tests.receiver.payloads import STATUSES, a_report

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

UNKNOWN = Status(group_id=77, name="SOMETHING_NEW")


def at(status: str | Status | None, second: int | None) -> Report:
    """A report with this status, done at this second after noon."""
    done_at = None if second is None else NOON + second * SECOND
    return a_report(status, done_at=done_at)


def state(*reports: Report) -> tuple[str | None, bool]:
    """Name of the status and finality after these reports."""
    told = state_of(reports)
    status = told.report.status
    return status.name if status else None, told.final


LIFE = (
    at("PENDING_ACCEPTED", 0),
    at("PENDING_ENROUTE", 1),
    at("PENDING_WAITING_DELIVERY", 2),
    at("DELIVERED_TO_OPERATOR", 3),
    at("DELIVERED_TO_HANDSET", 4),
)


@pytest.mark.parametrize("reported", range(1, len(LIFE) + 1))
def test_every_order_gives_the_same_state(reported: int) -> None:
    """Whatever order the reports of a message come in, it stands where the last of them says."""
    reports = LIFE[:reported]
    states = {state(*order) for order in permutations(reports)}

    assert states == {state(reports[-1])}


@pytest.mark.parametrize("final", ["DELIVERED_TO_HANDSET", "EXPIRED_EXPIRED", "REJECTED_NETWORK"])
@pytest.mark.parametrize("late", ["PENDING_ENROUTE", "DELIVERED_TO_OPERATOR", UNKNOWN, None])
def test_late_intermediate_never_undoes_a_final(final: str, late: str | Status | None) -> None:
    """A final report stands, also against an intermediate one with a later doneAt."""
    assert state(at(final, 1), at(late, 100)) == (final, True)
    assert state(at(late, 100), at(final, 1)) == (final, True)
    assert state(at(final, None), at(late, 100)) == (final, True)


def test_delivered_to_operator_then_nothing() -> None:
    """DELIVERED_TO_OPERATOR is not the last word, though its group is called DELIVERED."""
    assert state(at("PENDING_ENROUTE", 0), at("DELIVERED_TO_OPERATOR", 1)) == (
        "DELIVERED_TO_OPERATOR",
        False,
    )


def test_later_of_two_finals() -> None:
    """Of two final reports that contradict each other the one done later counts."""
    delivered, expired = at("DELIVERED_TO_HANDSET", 5), at("EXPIRED_EXPIRED", 4)

    assert state(delivered, expired) == state(expired, delivered) == ("DELIVERED_TO_HANDSET", True)


def test_instants_are_compared_as_instants() -> None:
    """What counts of doneAt is the instant, not the hour that its offset shows."""
    east = datetime.fromisoformat("2026-03-02T14:00:00+03:00")
    west = datetime.fromisoformat("2026-03-02T11:30:00+00:00")
    earlier = a_report("DELIVERED_TO_OPERATOR", done_at=east)
    later = a_report("PENDING_ENROUTE", done_at=west)

    assert state(earlier, later) == state(later, earlier) == ("PENDING_ENROUTE", False)


@pytest.mark.parametrize("second", [7, None])
def test_further_on_its_way(second: int | None) -> None:
    """Where doneAt is equal or missing, the report that is further on its way counts."""
    reports = [at(report.status, second) for report in LIFE]

    for number in range(1, len(reports) + 1):
        assert state_of(reports[:number]).report == reports[number - 1]
        assert state_of(reports[:number][::-1]).report == reports[number - 1]


def test_dated_before_undated() -> None:
    """A report that says when it was done counts more than one that does not."""
    assert state(at("DELIVERED_TO_OPERATOR", None), at("PENDING_ACCEPTED", 0)) == (
        "PENDING_ACCEPTED",
        False,
    )


def test_report_of_nothing() -> None:
    """A message with a report that says nothing stands nowhere, and not at its end."""
    assert state(Report()) == (None, False)


def test_no_reports() -> None:
    """A message has at least one report."""
    with pytest.raises(ValueError, match="empty"):
        state_of([])


@given(
    st.lists(
        st.builds(
            at,
            st.sampled_from([*STATUSES, UNKNOWN, None]),
            st.none() | st.integers(min_value=0, max_value=3),
        ),
        min_size=1,
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_order_never_matters(reports: list[Report], rng: Random) -> None:
    """Any reports in any order, some of them repeated: the same state."""
    shuffled = reports + reports[:2]
    rng.shuffle(shuffled)

    assert state_of(shuffled) == state_of(reports)
    assert state_of(reports).final == any(state_of([report]).final for report in reports)
