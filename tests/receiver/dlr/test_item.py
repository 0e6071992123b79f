from decimal import Decimal
from typing import Any

import pytest

from receiver.dlr.errors import MalformedReport
from receiver.dlr.fields import describe
from receiver.dlr.item import read_item, write_item
from receiver.dlr.model import Error, Generation, Price, Report, Status
from tests.receiver.payloads import a_report, a_v3_item, an_item


def read(**fields: Any) -> Report:
    return read_item({name.rstrip("_"): value for name, value in fields.items()}, "results[3]")


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def test_reads_a_full_v2_item() -> None:
    """Every field of the example is read; numbers stay exact and texts whole."""
    report = read_item(an_item(), "results[0]")
    assert report.generation == "v2"
    assert (report.sender, report.message_count, report.mcc_mnc) == ("InfoSMS", 1, "04501")
    assert report.callback_data == " cb <&> é \t"
    assert report.price == Price(per_message=Decimal("0.010"), currency="EUR")
    assert report.status is not None
    assert report.status.name == "DELIVERED_TO_HANDSET"
    assert report.error is not None
    assert report.error.permanent is False
    assert report.unknown is None


def test_generations_differ_in_names_only() -> None:
    """A v3 item of the same report gives the same values."""
    two, three = read_item(an_item(), "x"), read_item(a_v3_item(), "x")
    assert three.generation == "v3"
    assert write_item(three, "v2") == write_item(two) == an_item()
    assert write_item(two, "v3") == write_item(three) == a_v3_item()


def test_writes_in_the_providers_order() -> None:
    """The fields stand in the order of each generation's example."""
    assert list(write_item(a_report())) == list(an_item())
    assert list(write_item(a_report(), "v3"))[:6] == [
        "bulkId",
        "price",
        "status",
        "error",
        "messageId",
        "to",
    ]


def test_no_field_is_required() -> None:
    """An empty item is a report of nothing, and null is an absent field."""
    nulls = dict.fromkeys((*an_item(), *a_v3_item(), "mccmnc", "novel"))
    assert read_item({}, "x") == read_item(nulls, "x") == Report()
    assert write_item(Report()) == {}


def test_nothing_is_invented() -> None:
    """The minimal body seen in the field comes back as it was."""
    minimal = {"messageId": "1", "status": {"groupName": "DELIVERED"}}
    assert write_item(read_item(minimal, "x")) == minimal
    assert write_item(read_item(minimal, "x"), "v3") == minimal


def test_empty_is_not_absent() -> None:
    """An empty text, an empty object and a zero are what came."""
    item = {"to": "", "smsCount": 0, "price": {}, "status": {}, "error": {}}
    report = read_item(item, "x")
    assert (report.to, report.price, report.status, report.error) == (
        "",
        Price(),
        Status(),
        Error(),
    )
    assert write_item(report) == item


@pytest.mark.parametrize(
    ("item", "hint", "generation"),
    [
        ({}, None, None),
        ({}, "v3", "v3"),
        ({"smsCount": 1}, "v3", "v2"),
        ({"from": "x"}, None, "v2"),
        ({"entityId": "x"}, None, "v2"),
        ({"applicationId": "x"}, None, "v2"),
        ({"messageCount": 1}, "v2", "v3"),
        ({"sender": "x"}, None, "v3"),
        ({"platform": {}}, None, "v3"),
        ({"platform": None, "sender": None}, None, None),
        ({"sender": "x", "from": "y"}, None, "v3"),
        ({"sender": "x", "from": "y"}, "v2", "v2"),
    ],
)
def test_fields_tell_the_generation(
    item: dict[str, Any], hint: Generation | None, generation: Generation | None
) -> None:
    """The fields tell v2 from v3; the hint counts where they tell nothing or both."""
    assert read_item(item, "x", hint).generation == generation


def test_both_spellings_keep_both_values() -> None:
    """Where both names came, the item's generation has the field and the other is kept."""
    item = {"from": "two", "sender": "three", "smsCount": 2, "messageCount": 3}
    two, three = read_item(item, "x", "v2"), read_item(item, "x", "v3")
    assert (two.sender, two.message_count) == ("two", 2)
    assert (three.sender, three.message_count) == ("three", 3)
    assert two.unknown == {"sender": "three", "messageCount": 3}
    assert write_item(two) == write_item(three) == item


def test_the_other_generations_names_are_read() -> None:
    """A v3 item with `from` has a sender, and is written with v3's name."""
    report = read(messageCount=1, from_="InfoSMS")
    assert (report.generation, report.sender) == ("v3", "InfoSMS")
    assert write_item(report) == {"sender": "InfoSMS", "messageCount": 1}


def test_platform_and_flat_ids() -> None:
    """Both places of the ids are read; what platform holds besides is kept."""
    item = {"entityId": "flat", "platform": {"entityId": "nested", "region": "eu"}}
    three, two = read_item(item, "x"), read_item(item, "x", "v2")
    assert (three.entity_id, three.unknown) == (
        "nested",
        {"entityId": "flat", "platform": {"region": "eu"}},
    )
    assert (two.entity_id, two.unknown) == (
        "flat",
        {"platform": {"entityId": "nested", "region": "eu"}},
    )
    assert write_item(three) == write_item(two) == item


def test_unknown_fields_are_kept_everywhere() -> None:
    """Fields we have no name for come back where they were."""
    item = an_item(networkId=7, extra={"a": [1, None, {"b": True}]})
    for part in ("price", "status", "error"):
        item[part] = item[part] | {"novel": part}
    report = read_item(item, "x")
    assert report.unknown == {"networkId": 7, "extra": {"a": [1, None, {"b": True}]}}
    assert write_item(report) == item


@pytest.mark.parametrize("generation", ["v2", "v3"])
def test_unknown_never_overwrites_known(generation: Generation) -> None:
    """An unknown field under a known name gives way."""
    evil = {"messageId": "evil", "from": "evil", "sender": "evil", "platform": {"entityId": "e"}}
    report = a_report(
        status=Status(id=5, unknown={"id": 6}), unknown=evil, price=Price(unknown={"x": "kept"})
    )
    item = write_item(report, generation)
    assert item["messageId"] == "2033247207850523791"
    assert item["from" if generation == "v2" else "sender"] == "InfoSMS"
    assert item["status"] == {"id": 5}
    assert item["price"] == {"x": "kept"}
    if generation == "v3":
        assert item["platform"] == {"entityId": "entity", "applicationId": "default"}


@pytest.mark.parametrize(
    ("field", "came", "read_as"),
    [
        ("messageId", 2033247207850523791, "2033247207850523791"),
        ("messageId", Decimal("1E+2"), "100"),
        ("messageId", 12345678901234567890123, "12345678901234567890123"),
        ("mccMnc", 22801, "22801"),
        ("mccmnc", "04501", "04501"),
        ("to", 385.5, "385.5"),
        ("smsCount", " 5 ", 5),
        ("smsCount", "+5", 5),
        ("smsCount", Decimal("5.0"), 5),
        ("smsCount", 5.0, 5),
        ("smsCount", "", None),
        ("smsCount", -(2**63), -(2**63)),
        ("sentAt", " ", None),
    ],
)
def test_scalars_of_another_kind_are_read(field: str, came: Any, read_as: Any) -> None:
    """Numbers come as text and text as numbers; both are read exactly."""
    report = read(**{field: came})
    names = {"messageId": "message_id", "to": "to", "smsCount": "message_count"}
    attribute = names.get(field, "sent_at" if field == "sentAt" else "mcc_mnc")
    assert getattr(report, attribute) == read_as
    assert report.unknown is None


@pytest.mark.parametrize(
    ("came", "price"),
    [
        (Decimal("0.10"), "0.10"),
        ("0.10", "0.10"),
        (" 1e-3 ", "0.001"),
        (0, "0"),
        (0.1, "0.1"),
        (".5", "0.5"),
        (Decimal("-0.0"), "-0.0"),
        ("1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"),
    ],
)
def test_prices_are_exact(came: Any, price: str) -> None:
    """A price keeps every digit that came."""
    told = read(price={"pricePerMessage": came}).price
    assert told is not None
    assert f"{told.per_message:f}" == price


@pytest.mark.parametrize(("came", "permanent"), [("true", True), (" FALSE", False), ("1", True)])
def test_booleans_come_as_text(came: str, permanent: bool) -> None:
    """XML has no booleans, so their texts are read."""
    assert read(error={"permanent": came}).error == Error(permanent=permanent)
    assert read(error={"permanent": ""}).error == Error()


TEXT, INTEGER, DECIMAL = "text", "an integer", "a decimal number"
INSTANT, OBJECT = "an instant such as 2019-11-09T16:00:00.000+0100", "an object"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (
            {"status": {"groupId": "delivered"}},
            f'.status.groupId: expected {INTEGER}, got "delivered"',
        ),
        ({"status": {"groupId": True}}, f".status.groupId: expected {INTEGER}, got true"),
        ({"status": {"id": 1.5}}, f".status.id: expected {INTEGER}, got 1.5"),
        ({"error": {"id": [1]}}, f".error.id: expected {INTEGER}, got a list"),
        ({"smsCount": 2**63}, ".smsCount: expected an integer of 64 bits, got 9223372036854775808"),
        (
            {"messageCount": 10**500},
            ".messageCount: expected an integer of 64 bits, got a number of more than 38 digits",
        ),
        ({"smsCount": "9" * 30}, f'.smsCount: expected an integer of 64 bits, got "{"9" * 30}"'),
        ({"smsCount": Decimal("1e999999")}, f".smsCount: expected {INTEGER}, got 1E+999999"),
        ({"smsCount": float("inf")}, f".smsCount: expected {INTEGER}, got Infinity"),
        ({"smsCount": "٣"}, f'.smsCount: expected {INTEGER}, got "٣"'),
        ({"to": True}, f".to: expected {TEXT}, got true"),
        ({"from": {}}, f".from: expected {TEXT}, got an object"),
        ({"sender": []}, f".sender: expected {TEXT}, got a list"),
        ({"to": "\ud800"}, f'.to: expected {TEXT}, got a lone surrogate in "\\ud800"'),
        ({"to": float("nan")}, f".to: expected {TEXT}, finite, got NaN"),
        ({"platform": {"entityId": []}}, f".platform.entityId: expected {TEXT}, got a list"),
        ({"platform": "x"}, f'.platform: expected {OBJECT}, got "x"'),
        ({"price": 1}, f".price: expected {OBJECT}, got 1"),
        ({"status": []}, f".status: expected {OBJECT}, got a list"),
        (
            {"price": {"pricePerMessage": Decimal("1e400")}},
            f".price.pricePerMessage: expected {DECIMAL} of at most 40 digits, got 1E+400",
        ),
        (
            {"price": {"pricePerMessage": Decimal("NaN")}},
            f".price.pricePerMessage: expected {DECIMAL}, finite, got NaN",
        ),
        ({"price": {"pricePerMessage": "NaN"}}, f'.pricePerMessage: expected {DECIMAL}, got "NaN"'),
        ({"price": {"pricePerMessage": "1,5"}}, f'.pricePerMessage: expected {DECIMAL}, got "1,5"'),
        ({"price": {"pricePerMessage": False}}, f".pricePerMessage: expected {DECIMAL}, got false"),
        ({"error": {"permanent": 2}}, ".error.permanent: expected true or false, got 2"),
        ({"error": {"permanent": "yes"}}, '.permanent: expected true or false, got "yes"'),
        ({"sentAt": 1573315200000}, f".sentAt: expected {INSTANT}, got 1573315200000"),
        ({"doneAt": "yesterday"}, f'.doneAt: expected {INSTANT}, got "yesterday"'),
        ({"doneAt": "0001-01-01T00:00:00+0100"}, f".doneAt: expected {INSTANT}"),
        ({"novel": "\udfff"}, ".novel: expected text, got a lone surrogate"),
        ({"\udfff": 1}, ": a name: expected text, got a lone surrogate"),
        ({"status": {"novel": float("inf")}}, ".status.novel: expected a number, finite, got Inf"),
        ({"novel": Decimal("1e1000000")}, ".novel: expected a number of at most 1000 digits"),
        ({"novel": b"x"}, ".novel: expected a JSON value, got a bytes"),
        ({"novel": nested(33)}, ": expected at most 32 levels, got more"),
        ({"novel": nested(900)}, ": expected at most 32 levels, got more"),
        ({1: 1}, ": expected field names that are text, got 1"),
    ],
)
def test_refusals_teach(item: dict[Any, Any], told: str) -> None:
    """What cannot be read is refused with its place, what was expected, and what came."""
    with pytest.raises(MalformedReport) as refused:
        read_item(item, "results[3]")
    assert str(refused.value).startswith("results[3]")
    assert told in str(refused.value)


@pytest.mark.parametrize("item", [None, [], "x", 5, True, 1.5, Decimal(1)])
def test_an_item_is_an_object(item: object) -> None:
    """Anything but an object is refused at the item's place."""
    with pytest.raises(MalformedReport, match=r"^results\[3\]: expected an object, got "):
        read_item(item, "results[3]")


def test_32_levels_are_kept() -> None:
    """An unknown field of 32 levels is kept."""
    assert read(novel=nested(32)).unknown == {"novel": nested(32)}


def test_describing_is_short_and_safe() -> None:
    """A refused value is told in about 60 characters, however large or deep it is."""
    huge: list[object] = ["x" * 10**6, 10**5000, nested(100_000), {"a": 1}, Decimal("1" * 10**5)]
    assert all(len(describe(value)) < 70 for value in huge)


def test_reading_leaves_the_item_alone() -> None:
    """The item that was handed in is not changed."""
    item = a_v3_item(novel=1)
    read_item(item, "x")
    assert item == a_v3_item(novel=1)
