import pytest

from receiver.dlr.model import Status
from receiver.dlr.statuses import (
    GROUP_NAMES,
    SMS_STATUSES,
    group_of,
    is_final,
    names_two_groups,
    progress,
)
from tests.receiver.payloads import STATUSES


@pytest.mark.parametrize(
    ("group", "id", "final"),
    [
        (0, 0, False),
        (1, 3, False),
        (1, 7, False),
        (1, 26, False),
        (1, 999, False),
        (2, 4, True),
        (2, 9, True),
        (3, 2, False),
        (3, 5, True),
        (3, 999, True),
        (4, 15, True),
        (4, 87, True),
        (5, 87, True),
        (5, 100, True),
        (5, None, True),
        (6, 5, False),
        (-1, 5, False),
    ],
)
def test_finality_goes_by_group_and_id(group: int, id: int | None, final: bool) -> None:
    """Undeliverable, expired, rejected and delivered are final, but not with the operator."""
    assert is_final(Status(group_id=group, id=id)) is final


@pytest.mark.parametrize(
    ("status", "group", "final"),
    [
        (None, None, False),
        (Status(), None, False),
        (Status(group_name="DELIVERED"), 3, True),
        (Status(group_name=" delivered "), 3, True),
        (Status(group_name="Delivered", id=2), 3, False),
        (Status(group_name="DELIVERED", name="delivered_to_operator"), 3, False),
        (Status(group_name="PENDING", id=5), 1, False),
        (Status(group_name="NEW_GROUP", id=5), None, False),
        (Status(group_id=9, group_name="DELIVERED"), 3, True),
        (Status(group_id=9, group_name=" delivered ", id=2), 3, False),
        (Status(group_id=-1, group_name="REJECTED"), 5, True),
        (Status(group_id=9, group_name="NEW_GROUP", id=5), 9, False),
        (Status(group_id=9, group_name="", id=5), 9, False),
        (Status(group_id=9, id=5, name="DELIVERED_TO_HANDSET"), 9, False),
        (Status(group_id=5, group_name="DELIVERED"), 5, True),
        (Status(group_id=1, group_name="DELIVERED", id=5), 1, False),
        (Status(group_id=3, group_name="NEW_GROUP"), 3, True),
        (Status(group_id=0, group_name="REJECTED"), 0, False),
        (Status(id=5), 3, True),
        (Status(id=2), 3, False),
        (Status(id=87), 5, True),
        (Status(id=12345), None, False),
        (Status(name="EXPIRED_EXPIRED"), 4, True),
        (Status(name="DELIVERED_TO_OPERATOR"), 3, False),
        (Status(name="REJECTED_INVALID_DESTINATION"), 5, True),
        (Status(name="SOMETHING_NEW"), None, False),
    ],
)
def test_what_is_missing_is_derived(status: Status | None, group: int | None, final: bool) -> None:
    """The groupId tells if the provider's list has it, else the groupName if the list has that,
    and where neither came the id or the name; what is unknown is not final.

    A DELIVERED report whose groupId the list does not have was once of no group: it matched no
    rule for DELIVERED and was not final.
    """
    assert group_of(status) == group
    assert is_final(status) is final


@pytest.mark.parametrize(
    ("number", "name", "conflict"),
    [
        (3, "DELIVERED", False),
        (3, " delivered ", False),
        (3, "REJECTED", True),
        (0, "rejected ", True),
        (3, None, False),
        (3, "", False),
        (3, "NEW_GROUP", False),
        (9, "DELIVERED", False),
        (None, "DELIVERED", False),
        (None, None, False),
    ],
)
def test_number_and_name_of_two_groups(
    number: int | None, name: str | None, conflict: bool
) -> None:
    """A conflict takes two groups of the list; what the list does not have contradicts nothing."""
    assert names_two_groups(number, name) is conflict


def test_the_group_is_trusted_over_the_name() -> None:
    """Status 100 is called UNDELIVERABLE_… and is REJECTED."""
    assert SMS_STATUSES[5, 100] == "UNDELIVERABLE_REJECTED_PLATFORM"
    assert group_of(Status(group_id=5, name="UNDELIVERABLE_REJECTED_PLATFORM")) == 5


def test_an_id_is_not_a_key() -> None:
    """87 stands in two groups under one name."""
    assert SMS_STATUSES[4, 87] == SMS_STATUSES[5, 87] == "SIGNALS_BLOCKED"


def test_every_group_of_the_table_has_a_name() -> None:
    """The table has 38 SMS statuses in six named groups."""
    assert len(SMS_STATUSES) == 38
    assert {group for group, _ in SMS_STATUSES} == set(GROUP_NAMES)


def test_progress_ranks_what_comes_before_the_end() -> None:
    """A message goes from accepted over pending to the operator, then to a final state."""
    on_the_way = [
        None,
        Status(group_id=0, id=0),
        STATUSES["PENDING_ACCEPTED"],
        STATUSES["PENDING_ENROUTE"],
        STATUSES["PENDING_WAITING_DELIVERY"],
        Status(group_id=1, id=1),
        STATUSES["DELIVERED_TO_OPERATOR"],
        STATUSES["DELIVERED_TO_HANDSET"],
    ]
    ranks = [progress(status) for status in on_the_way]
    assert ranks == sorted(set(ranks))


def test_progress_goes_by_name_without_an_id() -> None:
    """A minimal pending status has the rank of the full one."""
    assert progress(Status(name="PENDING_ENROUTE")) == progress(STATUSES["PENDING_ENROUTE"])
    assert progress(Status(group_id=77)) == progress(None)
