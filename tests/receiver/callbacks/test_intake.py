import pytest
from msgspec.structs import replace

from receiver.callbacks.intake import verdict_on_bytes
from receiver.dlr.errors import Unreadable
from receiver.dlr.identity import key_of_message
from receiver.dlr.json_format import decode_item
from receiver.dlr.model import Error, Format, Generation, Report, Status
from tests.receiver.payloads import BODIES, a_json_body, a_report, an_item


@pytest.mark.parametrize(("generation", "format", "body"), BODIES)
def test_a_report_becomes_an_entry(generation: Generation, format: Format, body: bytes) -> None:
    """An entry has the keys of its report and the item in its own generation."""
    verdict = verdict_on_bytes(body, format)
    (entry,) = verdict.entries
    assert verdict.readable
    assert verdict.quarantined == []
    assert entry.message_key == key_of_message("2033247207850523791")
    assert (entry.generation, entry.final, entry.status_group) == (generation, True, 3)
    assert decode_item(entry.item) == replace(a_report(), generation=generation)


def test_the_same_report_has_one_identity_in_every_shape() -> None:
    """The store can tell a repetition, whatever it comes as."""
    entries = [verdict_on_bytes(body, format).entries[0] for _, format, body in BODIES]
    assert len({(entry.message_key, entry.identity) for entry in entries}) == 1


def test_a_minimal_report_has_a_group() -> None:
    """The group is derived from its name; an unknown one is none, and not final."""
    body = a_json_body(
        {"status": {"groupName": "Rejected"}}, {"status": {"groupName": "NEW"}}, {"error": {}}
    )
    told, new, nothing = verdict_on_bytes(body, "json").entries
    assert (told.status_group, told.final) == (5, True)
    assert (new.status_group, new.final) == (None, False)
    assert (nothing.status_group, nothing.final) == (None, False)
    assert told.message_key == told.identity


def test_an_empty_message_id_is_kept_as_it_came() -> None:
    """An empty messageId is no key, but it is what came."""
    (entry,) = verdict_on_bytes(a_json_body(an_item(messageId="")), "json").entries
    assert decode_item(entry.item).message_id == ""
    assert entry.message_key == entry.identity


def test_bad_items_are_quarantined_among_good_ones() -> None:
    """Good items are entries, bad ones are quarantined; the body counts as readable."""
    verdict = verdict_on_bytes(
        b'{"results":[{"to":"1","error":{}},{"to":[]},{"to":"2","error":{}}]}', "json"
    )
    assert verdict.readable
    assert [decode_item(entry.item) for entry in verdict.entries] == [
        Report(to="1", error=Error()),
        Report(to="2", error=Error()),
    ]
    assert verdict.quarantined == [
        Unreadable(raw=b'{"to":[]}', place="results[1].to", reason="expected text, got a list")
    ]


@pytest.mark.parametrize("format", ["json", "xml"])
def test_an_unreadable_body_is_quarantined_whole(format: Format) -> None:
    """A body without a list of reports is kept whole, with the reason."""
    verdict = verdict_on_bytes(b"garbage", format)
    assert not verdict.readable
    assert verdict.entries == []
    assert [item.raw for item in verdict.quarantined] == [b"garbage"]
    assert verdict.quarantined[0].reason


@pytest.mark.parametrize(
    ("body", "format"), [(b'{"results":[]}', "json"), (b"<r><results/></r>", "xml")]
)
def test_nothing_is_readable(body: bytes, format: Format) -> None:
    """A body with no reports is a readable one."""
    verdict = verdict_on_bytes(body, format)
    assert (verdict.readable, verdict.entries, verdict.quarantined) == (True, [], [])


def test_operator_delivery_is_not_the_end() -> None:
    """DELIVERED_TO_OPERATOR is an intermediate report of the group DELIVERED."""
    item = an_item(status={"groupId": 3, "id": 2})
    (entry,) = verdict_on_bytes(a_json_body(item), "json").entries
    assert (entry.status_group, entry.final) == (3, False)
    assert decode_item(entry.item).status == Status(group_id=3, id=2)
