"""What a log entry is read as, and what it means beside the reports that came."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import json, structs

from dispatcher.reconcile.comparison import finding, judged
from dispatcher.reconcile.log_page import NoPage, read_page, report_of
from receiver.dlr.errors import MalformedReport
from receiver.dlr.item import read_item, write_item
from receiver.dlr.model import Error, Report, Status
from tests.reconcile.scripted_provider import NOW, Api, Sms

UNDER_WAY = timedelta(minutes=10)


def logged(status: str = "DELIVERED_TO_HANDSET", **changes: object) -> Report:
    return report_of(Sms("m", status, **changes).log("v3"), "v3", "results[0]")  # type: ignore[arg-type]


def reported(status: str = "DELIVERED_TO_HANDSET", **changes: object) -> Report:
    return read_item(Sms("m", status, **changes).report("v3"), "results[0]")  # type: ignore[arg-type]


def verdict(said: Report, *came: Report) -> str:
    return judged(said, came, now=NOW, under_way=UNDER_WAY)


@pytest.mark.parametrize("api", ["v1", "v3"])
def test_a_log_entry_is_the_report_without_callback_data(api: Api) -> None:
    """Of a log entry becomes the report that the provider makes of the message, but for what the
    log does not tell; and never a word of its text."""
    sms = Sms("m")
    pushed = read_item(sms.report(api), "results[0]")

    read = report_of(sms.log(api), api, "results[0]")

    assert read == structs.replace(pushed, callback_data=None)
    assert b"secret" not in json.encode(write_item(read))


def test_what_only_the_log_knows_stays_there() -> None:
    """Unknown fields of a log entry are not taken for fields of a report."""
    item = Sms("m").log("v3") | {"networkName": "Swisscom", "channel": "SMS"}

    assert report_of(item, "v3", "results[0]").unknown is None


def test_the_generation_is_that_of_the_api() -> None:
    """An entry with no field that tells the generation has that of the API that was asked."""
    item = {"messageId": "m", "status": {"id": 5}}

    assert report_of(item, "v1", "").generation == "v2"
    assert report_of(item, "v3", "").generation == "v3"


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"status": {"id": 5}}, "results[1].messageId"),
        ("text", "results[1]"),
        ({"messageId": "m", "status": {"groupId": "x"}}, "results[1].status.groupId"),
    ],
)
def test_an_entry_that_cannot_be_read_is_told(item: object, place: str) -> None:
    """An unreadable entry costs its neighbours nothing, and is told with its place."""
    page = read_page(json.encode({"results": [Sms("m").log("v1"), item]}), "v1")

    assert (len(page.entries), page.size) == (1, 2)
    assert page.unreadable[0].startswith(f"{place}: expected")
    with pytest.raises(MalformedReport):
        report_of(item, "v1", "results[1]")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"results":3}', b"<a/>", b"[" * 99_999])
def test_an_answer_without_a_list_is_no_page(body: bytes) -> None:
    """What holds no list of entries is refused, whatever it is."""
    with pytest.raises(NoPage):
        read_page(body, "v3")


def test_null_results_and_cursors_are_none() -> None:
    """`results` and `cursor` may be null, and the cursor empty."""
    page = read_page(b'{"results":null,"cursor":{"nextCursor":""}}', "v3")

    assert (page.entries, page.size, page.cursor) == ([], 0, None)


@pytest.mark.parametrize(
    ("said", "came", "expected"),
    [
        (logged(), [reported()], "agrees"),
        (logged(), [reported("PENDING_ENROUTE"), reported()], "agrees"),
        (logged(), [reported(done_at=NOW)], "agrees"),  # the instant alone is no other outcome
        (logged("PENDING_ENROUTE"), [], "open"),
        (logged("DELIVERED_TO_OPERATOR"), [], "open"),
        (logged("PENDING_ENROUTE"), [reported()], "open"),
        (logged("REJECTED_DUPLICATE_MESSAGE_ID"), [], "open"),  # the first with the id may be lost
        (logged("REJECTED_DUPLICATE_MESSAGE_ID"), [reported()], "open"),
        (logged("REJECTED_NETWORK"), [], "missing"),
        (logged(), [], "missing"),
        (logged(), [reported("PENDING_ENROUTE")], "missing"),
        (logged(), [reported("DELIVERED_TO_OPERATOR")], "missing"),
        (logged(), [reported("EXPIRED_EXPIRED")], "differing"),
        (logged(done_at=NOW - UNDER_WAY), [], "missing"),
        (logged(done_at=NOW - UNDER_WAY + timedelta(seconds=1)), [], "under_way"),
        (logged(done_at=NOW + timedelta(hours=1)), [], "under_way"),
        (logged(done_at=None), [], "missing"),
    ],
)
def test_a_verdict(said: Report, came: list[Report], expected: str) -> None:
    """Only a last word can be missed, unless it is so fresh that its report may be on its way."""
    assert verdict(said, *came) == expected


def test_another_error_is_another_end() -> None:
    """The same status with another error differs; a report that tells no error does not."""
    said = structs.replace(logged("UNDELIVERABLE_NOT_DELIVERED"), error=Error(group_id=1, id=1))
    came = reported("UNDELIVERABLE_NOT_DELIVERED")

    assert verdict(said, structs.replace(came, error=Error(group_id=1, id=27))) == "differing"
    assert verdict(said, structs.replace(came, error=None)) == "agrees"


def test_names_will_do_where_ids_are_missing() -> None:
    """A minimal report is compared by what it tells, and one without a status tells nothing."""
    minimal = Report(message_id="m", status=Status(group_name="delivered"))

    assert verdict(logged(), minimal) == "agrees"
    assert verdict(logged("EXPIRED_EXPIRED"), minimal) == "differing"
    assert verdict(logged(), Report(message_id="m")) == "missing"


def test_a_finding_says_where_the_store_stood() -> None:
    """A finding tells the message's state in the store; an intermediate report that was pulled is
    missing even when the last word has come."""
    final, pending = reported(), reported("PENDING_ENROUTE")

    assert finding(logged(), [], "log").state is None
    assert finding(logged("EXPIRED_EXPIRED"), [pending, final], "log").state == final
    assert finding(logged("EXPIRED_EXPIRED"), [final], "log").verdict == "differing"
    assert finding(pending, [final], "pull").verdict == "missing"
