"""Routing by the fields of reports, and to several endpoints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispatcher.endpoints.endpoint import Rules
from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.forming.routing import goes_to
from dispatcher.settings.settings import EndpointSettings
from receiver.dlr.model import Report
from receiver.settings.reader import read_table
from receiver.store.base import ReportItem, StoredReport
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.support import a_bench, an_endpoint, stored
from tests.receiver.payloads import a_v3_item

CALLBACK_DATA = json.dumps(
    {"tenant": "acme", "n": 7, "half": 0.5, "on": True, "none": None, "in": {"a": [1]}, "é": "ü"}
)


def rules_of(**settings: Any) -> Rules:
    """The rules of an endpoint with these settings."""
    table = {"name": "acme", "url": "https://acme.example/", **settings}
    return endpoint_of(read_table(EndpointSettings, table)).rules


async def one(**fields: Any) -> StoredReport:
    (report,) = await stored(a_callback(an_sms("m1", **fields)))
    return report


@pytest.mark.parametrize(
    ("settings", "goes"),
    [
        ({"senders": ["InfoSMS"]}, True),
        ({"senders": ["Other", "InfoSMS"]}, True),
        ({"senders": ["infosms"]}, False),
        ({"to_prefixes": ["4179"]}, True),
        ({"to_prefixes": ["49", "41793026727"]}, True),
        ({"to_prefixes": ["417930267270", "1793"]}, False),
        ({"to_prefixes": ["+41 79"]}, True),
        ({"to_prefixes": ["0041793026727"]}, True),
        ({"to_prefixes": ["tel:+41-79"]}, True),
        ({"to_prefixes": ["079"]}, False),
        ({"bulk_ids": ["BULK-ID-123-xyz"]}, True),
        ({"bulk_ids": ["BULK-ID-123"]}, False),
        ({"application_ids": ["default"]}, True),
        ({"application_ids": ["other"]}, False),
        ({"entity_ids": ["entity"]}, True),
        ({"entity_ids": ["other"]}, False),
        ({"callback_data_prefix": " cb <"}, True),
        ({"callback_data_prefix": "cb"}, False),
        ({"callback_data_fields": {"tenant": "acme"}}, False),
        ({"senders": ["InfoSMS"], "entity_ids": ["entity"], "to_prefixes": ["41"]}, True),
        ({"senders": ["InfoSMS"], "entity_ids": ["other"]}, False),
        ({"senders": ["InfoSMS"], "reports": "intermediate"}, False),
        ({"status_groups": ["DELIVERED"], "sources": ["default"]}, True),
        ({"reports": "none"}, False),
    ],
)
async def test_each_rule(settings: dict[str, Any], goes: bool) -> None:
    """All rules that are given must agree; of each list one is enough."""
    assert goes_to(await one(), rules_of(**settings)) is goes


@pytest.mark.parametrize("told", ["41793026727", "+41 79 302 67 27", "0041793026727"])
async def test_numbers_match_in_any_form(told: str) -> None:
    """to_prefixes = ["+4179"] was taken and never matched a report to 41793026727, nor did 4179
    match +41793026727. In rules a number is one in all its forms, as recipient and as sender."""
    report = await one(to=told, from_=told)

    for form in ("4179", "+41 79", "0041 79", "tel:+41-79"):
        assert goes_to(report, rules_of(to_prefixes=[form]))
        assert goes_to(report, rules_of(senders=[f"{form} 302 67 27"]))
    assert not goes_to(report, rules_of(to_prefixes=["+4178"]))
    assert not goes_to(report, rules_of(senders=["+41793026728"]))


async def test_fields_of_v3_are_the_same() -> None:
    """A v3 report, which names its fields otherwise, goes by the same rules."""
    (report,) = await stored(a_callback(a_v3_item()))

    rules = rules_of(senders=["InfoSMS"], application_ids=["default"], entity_ids=["entity"])

    assert goes_to(report, rules)


@pytest.mark.parametrize(
    "settings",
    [
        {"senders": ["InfoSMS"]},
        {"to_prefixes": ["4"]},
        {"bulk_ids": ["b"]},
        {"application_ids": ["a"]},
        {"entity_ids": ["e"]},
        {"callback_data_prefix": "a"},
        {"callback_data_fields": {"a": "b"}},
    ],
)
async def test_a_report_of_nothing_matches_no_rule(settings: dict[str, Any]) -> None:
    """No field is required by the provider; a rule for one that did not come does not agree."""
    (report,) = await stored(a_callback({}))

    assert goes_to(report, rules_of())
    assert not goes_to(report, rules_of(**settings))


@pytest.mark.parametrize(
    ("fields", "goes"),
    [
        ({"tenant": "acme"}, True),
        ({"tenant": "acme", "n": "7"}, True),
        ({"tenant": "acme", "n": "8"}, False),
        ({"half": "0.5", "on": "true", "none": "null"}, True),
        ({"in": '{"a": [1]}'}, True),
        ({"é": "ü"}, True),
        ({"missing": "null"}, False),
        ({"tenant": '"acme"'}, False),
    ],
)
async def test_fields_of_callback_data(fields: dict[str, str], goes: bool) -> None:
    """Of callbackData that is a JSON object the fields count: texts without quotes, the rest as
    JSON has it."""
    report = await one(callbackData=CALLBACK_DATA)

    assert goes_to(report, rules_of(callback_data_fields=fields)) is goes


@pytest.mark.parametrize(
    "data", ["", "acme", '["tenant"]', '"tenant"', "{", "[" * 10_000, '{"tenant":' + "9" * 5_000]
)
async def test_callback_data_that_is_no_object(data: str) -> None:
    """callbackData is free text of somebody: what is no JSON object goes nowhere and breaks
    nothing."""
    report = await one(callbackData=data)

    assert not goes_to(report, rules_of(callback_data_fields={"tenant": "acme"}))


async def test_a_report_goes_to_several_endpoints() -> None:
    """Each endpoint gets what its rules say, whatever the others get."""
    endpoints = (
        an_endpoint("all"),
        an_endpoint("swiss", rules=rules_of(to_prefixes=["41"])),
        an_endpoint("vip", rules=rules_of(callback_data_fields={"vip": "true"})),
    )
    async with a_bench(*endpoints) as bench:
        await bench.receive(
            an_sms("a"),
            an_sms("b", to="4912345", callbackData='{"vip":true}'),
            an_sms("c", callbackData='{"vip":true}'),
        )
        await bench.work()

        got = {push.endpoint: push.reports for push in bench.sender.pushes}
        assert got == {"all": 3, "swiss": 2, "vip": 2}


async def test_each_report_is_read_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many endpoints ask for fields, an item is decoded once; and not at all when none
    asks."""
    read_ids: list[int] = []
    read = ReportItem.read

    def counted(report: ReportItem) -> Report:
        read_ids.append(report.id)
        return read(report)

    monkeypatch.setattr(ReportItem, "read", counted)
    asking = (an_endpoint(f"e{n}", rules=rules_of(senders=["InfoSMS"])) for n in range(5))
    async with a_bench(*asking) as bench:
        await bench.receive(*(an_sms(f"m{n}") for n in range(3)))
        await bench.work()
    assert sorted(read_ids) == [1, 2, 3]

    read_ids.clear()
    plain = (an_endpoint(f"e{n}", rules=rules_of(reports="final")) for n in range(5))
    async with a_bench(*plain) as bench:
        await bench.receive()
        await bench.work()
    assert read_ids == []
