from typing import Any

import pytest
from msgspec.structs import replace

from receiver.dlr import json_format, xml_format
from receiver.dlr.identity import identity, message_key
from receiver.dlr.instants import parse_instant
from receiver.dlr.item import read_item
from receiver.dlr.model import Error, Generation, Report, Status
from tests.receiver.payloads import BODIES, a_report, an_item


def read(body: bytes, format: str) -> Report:
    decode = json_format.decode_body if format == "json" else xml_format.decode_body
    (report,) = decode(body)
    assert isinstance(report, Report)
    return report


def test_one_report_is_one_in_all_shapes() -> None:
    """The same report has one identity in both formats and both generations."""
    reports = [read(body, format) for _, format, body in BODIES]
    assert len({identity(report) for report in reports}) == 1
    assert len({message_key(report) for report in reports}) == 1


def test_without_a_message_id_the_whole_item_counts() -> None:
    """Without a messageId both formats and generations still agree."""
    reports = [read(body.replace(b"messageId", b"otherName"), format) for _, format, body in BODIES]
    assert len({identity(report) for report in reports}) == 1
    assert identity(reports[0]) == message_key(reports[0])
    assert identity(replace(reports[0], to="other")) != identity(reports[0])


@pytest.mark.parametrize(
    "unknown",
    [
        {"n": [1], "deep": {"a": [[1, 2], []], "b": {}, "c": None, "d": [{}]}},
        {"flag": True, "number": 0.5, "list": ["x", False, None], "none": []},
    ],
)
@pytest.mark.parametrize("generation", ["v2", "v3"])
def test_unknown_fields_agree_across_formats(
    unknown: dict[str, Any], generation: Generation
) -> None:
    """Unknown fields of any shape count the same in JSON and in XML."""
    report = replace(a_report(message_id=None, generation=generation), unknown=unknown)
    back = read(xml_format.encode_body([report]), "xml")
    assert identity(back) == identity(report)


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": "other"},
        {"status": "DELIVERED_TO_OPERATOR"},
        {"status": None},
        {"status": Status(group_name="EXPIRED")},
        {"status": Status(group_name="DELIVERED")},
        {"error": Error(group_id=1, id=27)},
        {"error": None},
        {"done_at": None},
        {"done_at": parse_instant("2019-11-09T16:00:01.501+0100")},
    ],
)
def test_what_is_said_makes_another_report(changes: dict[str, Any]) -> None:
    """Another message, status, error or instant is another report."""
    assert identity(a_report(**changes)) != identity(a_report())


def test_minimal_statuses_differ_by_name() -> None:
    """Where ids are missing the names tell reports apart, in any case of letters."""
    pending, delivered, small = (
        identity(Report(message_id="m", status=Status(group_name=name)))
        for name in ("PENDING", "DELIVERED", "delivered")
    )
    assert pending != delivered == small


@pytest.mark.parametrize(
    "changes",
    [
        {"bulk_id": "another-bucket"},
        {"done_at": parse_instant("2019-11-09T15:00:01.500Z")},
        {"generation": "v3"},
        {"price": None},
    ],
)
def test_a_repetition_is_the_same_report(changes: dict[str, Any]) -> None:
    """Another bucket, offset or generation does not make another report."""
    assert identity(a_report(**changes)) == identity(a_report())


def test_the_message_key_goes_by_message_id_alone() -> None:
    """All reports of one message share its key; an empty messageId is none."""
    assert message_key(a_report()) == message_key(a_report("PENDING_ENROUTE", to="1"))
    assert message_key(a_report(message_id="1")) != message_key(a_report())
    nameless = a_report(message_id="")
    assert message_key(nameless) == identity(nameless)


def test_the_numbers_fit_64_bits_and_stay() -> None:
    """Identities are stored, so they must never change: signed, 64 bits, these very numbers."""
    report = read_item(an_item(), "report")
    assert -(2**63) <= identity(report) < 2**63
    assert (message_key(report), identity(report)) == (MESSAGE_KEY, IDENTITY)


MESSAGE_KEY, IDENTITY = 4174303686751598880, 2529924896349980004
