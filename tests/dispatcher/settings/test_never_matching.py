"""Rules that can never match are named.

An endpoint with to_prefixes = ["079"] got nothing, and `dlr check` said "no fault": a rule that no
report can match is found by nobody until a customer asks where his reports are.
"""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.settings.never_matching import never_matching
from dispatcher.settings.settings import Settings
from receiver.settings.configuration import ConfigurationError
from receiver.settings.reader import read_table


def found(**endpoint: Any) -> list[str]:
    table = {"name": "acme", "url": "https://acme.example/", **endpoint}
    return [place for place, _ in never_matching(read_table(Settings, {"endpoint": [table]}))]


def found_in_sandbox(*rules: dict[str, Any]) -> list[str]:
    settings = read_table(Settings, {"sandbox": {"outcome": list(rules)}})
    return [place for place, _ in never_matching(settings)]


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({"to_prefixes": ["4179", "+41 79", "0041"]}, []),
        ({"to_prefixes": ["4179", "079"]}, ["to_prefixes[1]"]),
        ({"to_prefixes": ["+079"]}, ["to_prefixes[0]"]),
        ({"to_prefixes": ["417930267270000"]}, []),
        ({"to_prefixes": ["4179302672700001"]}, ["to_prefixes[0]"]),
        ({"reports": "final", "status_groups": ["PENDING", "ACCEPTED"]}, ["status_groups"]),
        ({"reports": "final", "status_groups": ["PENDING", "EXPIRED"]}, []),
        ({"reports": "intermediate", "status_groups": ["EXPIRED"]}, ["status_groups"]),
        ({"reports": "intermediate", "status_groups": ["DELIVERED"]}, []),
        ({"reports": "final", "status_groups": ["DELIVERED"]}, []),
        ({"callback_data_prefix": "cb"}, []),
        (
            {"callback_data_prefix": "cb", "callback_data_fields": {"a": "b"}},
            ["callback_data_prefix"],
        ),
        ({"callback_data_prefix": ' {"a"', "callback_data_fields": {"a": "b"}}, []),
        (
            {"callback_data_prefix": "{a", "callback_data_fields": {"a": "b"}},
            ["callback_data_prefix"],
        ),
        ({"callback_data_fields": {"a": "b"}}, []),
    ],
)
def test_rules_of_endpoints(settings: dict[str, Any], places: list[str]) -> None:
    """What contradicts itself, or asks for a number that there cannot be."""
    assert found(**settings) == [f"endpoint[0].{place}" for place in places]


@pytest.mark.parametrize(
    ("rules", "places"),
    [
        ([{"to": "4179*"}, {"to": "41*"}], []),
        ([{"to": "41*"}, {"to": "+4179*"}], ["[1]"]),
        ([{"to": "41*", "share": 0.5}, {"to": "4179*"}], []),
        ([{"to": "41*", "text": "a"}, {"to": "4179*"}], []),
        ([{}, {"sender": "Acme"}], ["[1]"]),
        ([{"sender": "Acme"}, {}], []),
        ([{"to": "41790000001"}, {"to": "+41 79 000 00 01", "text": "a"}], ["[1]"]),
        ([{"share": 0}], ["[0].share"]),
        ([{"to": "079*"}], ["[0].to"]),
        ([{"to": "4179"}], ["[0].to"]),
    ],
)
def test_rules_of_the_sandbox(rules: list[dict[str, Any]], places: list[str]) -> None:
    """Also a rule all of whose messages an earlier one takes."""
    assert found_in_sandbox(*rules) == [f"sandbox.outcome{place}" for place in places]


def test_rules_of_trouble() -> None:
    """A rule of trouble with no share, or for a number that there cannot be, meets no request."""
    rules = [{"drop": True, "to": "4179*"}, {"drop": True, "share": 0, "to": "079*"}]
    settings = read_table(Settings, {"sandbox": {"fault": rules}})

    places = [place for place, _ in never_matching(settings)]

    assert places == ["sandbox.fault[1].share", "sandbox.fault[1].to"]


@pytest.mark.parametrize(
    ("rules", "places"),
    [
        ([{"to": "4478*", "keyword": "STOP"}, {"to": "4478*"}], []),
        ([{"to": "4478*"}, {"to": "447860019999", "keyword": "STOP"}], ["[1]"]),
        ([{"keyword": "stop"}, {"keyword": "STOP"}], ["[1]"]),
        ([{"keyword": "stop"}, {"keyword": "GO"}, {"to": "7010"}], []),
        ([{}, {"url": "http://a.example"}], ["[1]"]),
        ([{"to": "078*"}], ["[0].to"]),
    ],
)
def test_rules_of_received_sms(rules: list[dict[str, Any]], places: list[str]) -> None:
    """A number that there cannot be, or a rule whose SMS an earlier one takes."""
    settings = read_table(Settings, {"sandbox": {"inbound": rules}})
    found = [place for place, _ in never_matching(settings)]
    assert found == [f"sandbox.inbound{place}" for place in places]


@pytest.mark.parametrize("prefix", ["", "+", "00", "41x", "InfoSMS", "tel:"])
def test_what_begins_no_number_is_a_fault(prefix: str) -> None:
    """Letters in a prefix, or nothing, were always refused."""
    with pytest.raises(ConfigurationError, match=r"to_prefixes\[0\]: expected the beginning"):
        found(to_prefixes=[prefix])
