"""What a status and an error mean, in words."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from receiver.dlr.explained import explain_error, explain_status
from receiver.dlr.model import Error, Status
from receiver.dlr.sms_errors import errors
from receiver.dlr.statuses import SMS_STATUSES


def test_each_status_of_the_table_is_explained() -> None:
    """The table of meanings has exactly the statuses that the program knows, with their names."""
    text = files("receiver.dlr").joinpath("sms_statuses.tsv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    named = {(int(row["group"]), int(row["id"])): row["name"] for row in rows}

    assert named == SMS_STATUSES


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            Status(group_id=3, id=5),
            "The operator confirmed that the handset has the message. It is final: no other report"
            " will follow.",
        ),
        (
            Status(group_id=3, id=2),
            "The operator has the message. Whether the handset gets it is still open. It is"
            " intermediate: another report follows.",
        ),
        (Status(group_name="REJECTED", name="rejected_dnd"), "do-not-disturb list. It is final"),
        (Status(group_id=4, id=9999, name="NEW"), "The message has expired. It is final"),
        (Status(group_id=77, id=5), "not in the provider's table"),
        (Status(group_id=5, group_name="DELIVERED", id=10), "contradict each other"),
        (None, "The report has no status"),
    ],
)
def test_a_status_in_words(status: Status | None, words: str) -> None:
    """Its meaning comes by its id or its name, then by its group, and its finality always."""
    assert words in explain_status(status)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, None),
        (errors()["NO_ERROR"], None),
        (Error(id=424242, name="EC_NEW"), None),
        (
            errors()["EC_ABSENT_SUBSCRIBER"],
            "Phone off, unreachable or out of coverage. The error is temporary: sending again"
            " later can succeed.",
        ),
        (
            Error(name="ec_unknown_subscriber", permanent=True),
            "Number not known to the network. The error is permanent: sending again will fail"
            " again.",
        ),
    ],
)
def test_an_error_in_words(error: Error | None, words: str | None) -> None:
    """None where there is none, and where nothing is known of it."""
    assert explain_error(error) == words
