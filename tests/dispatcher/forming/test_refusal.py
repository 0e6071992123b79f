"""Which rule keeps a report from an endpoint: exactly what routing says, in words.

"Why did this report not go to beta?" was answered by reading the settings file beside the report.
Now each rule that says no is named as the file names it. The words must never disagree with what
the dispatcher does, also not after somebody has added a rule: that is what these tests hold.
"""

from __future__ import annotations

import asyncio
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dispatcher.endpoints.endpoint import Rules
from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.endpoints.own_urls import taking_own_urls
from dispatcher.forming.refusal import refusals
from dispatcher.forming.routing import goes_to
from dispatcher.settings.settings import EndpointSettings, StatusGroup
from receiver.settings.reader import read_table
from receiver.store.base import StoredReport
from receiver.store.callback import NotifyTo
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.support import stored

SOURCES = ("alpha", "beta")
NAMES = ("InfoSMS", "+41 79 302 67 27", "41793026727", "x")
CALLBACK_DATA = ("", "order 7", '{"tenant": "acme", "n": 7}', '{"tenant": "other"}', "[]", "{")
STATUSES = ("DELIVERED_TO_HANDSET", "PENDING_ENROUTE", "EXPIRED_EXPIRED", None)


def some_reports() -> list[StoredReport]:
    """Each field with each of its values, and with none."""
    items: list[dict[str, Any]] = [{}, {"messageId": "bare"}]
    for number, status in enumerate(STATUSES):
        for name in (*NAMES, None):
            data = CALLBACK_DATA[(number + len(items)) % len(CALLBACK_DATA)]
            fields = {"to": name, "from": name, "bulkId": name, "callbackData": data}
            item = an_sms(f"m{len(items)}", status, **fields) if status else dict(fields)
            items.append({**item, "applicationId": name, "entityId": name})
    callbacks = [
        a_callback(
            *[{**item, "messageId": f"{source}{n}"} for n, item in enumerate(items)], source=source
        )
        for source in SOURCES
    ]
    found = asyncio.run(stored(*callbacks))
    own = NotifyTo("https://user:secret@app.example/dlr?token=1", "json")
    return [*found, *(structs.replace(each, notify_to=own) for each in found[::3])]


REPORTS = some_reports()

_texts = st.lists(st.sampled_from([*NAMES, "nobody"]), max_size=2).map(tuple)
_SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "sources": st.lists(st.sampled_from([*SOURCES, "gamma"]), max_size=2).map(tuple),
    "reports": st.sampled_from(["all", "all", "final", "intermediate", "none"]),
    "status_groups": st.lists(st.sampled_from(get_args(StatusGroup)), max_size=4).map(tuple),
    "senders": _texts,
    "to_prefixes": st.lists(st.sampled_from(["4179", "+41", "49"]), max_size=2).map(tuple),
    "bulk_ids": _texts,
    "application_ids": _texts,
    "entity_ids": _texts,
    "callback_data_prefix": st.sampled_from(["", "", "order", "{", "nothing"]),
    "callback_data_fields": st.sampled_from([{}, {}, {"tenant": "acme"}, {"n": "7", "x": "y"}]),
}
"""Every setting that decides what goes to an endpoint."""


def _endpoint(given: dict[str, Any], own_urls: bool) -> tuple[EndpointSettings, Rules]:
    settings = EndpointSettings("acme", "https://acme.example/", **given)
    endpoint = endpoint_of(settings)
    return settings, (taking_own_urls(endpoint) if own_urls else endpoint).rules


endpoints = st.builds(_endpoint, st.fixed_dictionaries({}, optional=_SETTINGS), st.booleans())


@given(endpoints, st.sampled_from(REPORTS))
def test_it_says_no_exactly_where_routing_does(
    endpoint: tuple[EndpointSettings, Rules], report: StoredReport
) -> None:
    """For any endpoint and any report; and each rule it names does say no by itself, so that an
    endpoint without the named ones would get the report."""
    settings, rules = endpoint

    no = refusals(report, settings, rules)

    assert (not no) is goes_to(report, rules)
    for each in no:
        assert each.words
        assert each.rule == "notifyUrl" or each.words.startswith(f"{each.rule} = {each.expected}: ")
        assert "secret" not in each.words
    named = {each.rule for each in no}
    without = {name: value for name, value in given_of(settings).items() if name not in named}
    if "notifyUrl" not in named:
        assert goes_to(report, _endpoint(without, rules.own_urls is True)[1])


def given_of(settings: EndpointSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in _SETTINGS}


def _differing() -> dict[str, Any]:
    """For each field of Rules a value that refuses some report: a new field has none here."""
    nobody = frozenset({"nobody"})
    return {
        "own_urls": True,
        "sources": nobody,
        "final": True,
        "status_groups": frozenset({5}),
        "senders": nobody,
        "to_prefixes": ("999",),
        "bulk_ids": nobody,
        "application_ids": nobody,
        "entity_ids": nobody,
        "callback_data_prefix": "nothing so",
        "callback_data_fields": {"no": "such"},
        "nothing": True,
    }


def test_every_rule_has_its_words() -> None:
    """A rule that is added to Rules fails here until there are words for it, and until the property
    above is asked for it."""
    settings = EndpointSettings("acme", "https://acme.example/")
    assert set(_differing()) == set(Rules.__struct_fields__) == set(get_type_hints(Rules))
    for field, value in _differing().items():
        rules = Rules(**{"own_urls": None, field: value})
        refused = [no for each in REPORTS for no in refusals(each, settings, rules)]
        assert refused, field
        assert all(each.words for each in refused), field


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sources": ["alpha"]}, 'sources = ["alpha"]: the report came from "default"'),
        ({"reports": "intermediate"}, 'reports = "intermediate": the report is final'),
        ({"reports": "none"}, 'reports = "none": it takes only what is replayed to it'),
        ({"status_groups": ["EXPIRED"]}, 'status_groups = ["EXPIRED"]: the report is DELIVERED'),
        ({"senders": ["X"]}, 'senders = ["X"]: the report\'s sender is "InfoSMS"'),
        (
            {"to_prefixes": ["+49"]},
            'to_prefixes = ["+49"]: the report\'s recipient is "41793026727"',
        ),
        ({"bulk_ids": ["b"]}, 'bulk_ids = ["b"]: the report has no bulkId'),
        (
            {"callback_data_fields": {"tenant": "acme"}},
            'callback_data_fields = { tenant = "acme" }: the report\'s callbackData is "order 7"',
        ),
    ],
)
async def test_the_words(settings: dict[str, Any], words: str) -> None:
    """The setting as the file has it, what it demands in the file's own spelling, and what the
    report has."""
    item = an_sms("m1", callbackData="order 7", **{"from": "InfoSMS"}, bulkId=None)
    (report,) = await stored(a_callback(item))
    table = {"name": "acme", "url": "https://acme.example/", **settings}
    read = read_table(EndpointSettings, table)

    (no,) = refusals(report, read, endpoint_of(read).rules)

    assert no.words == words


async def test_a_url_of_its_own_goes_before_every_endpoint() -> None:
    """It is shown without what may be a secret."""
    (report,) = await stored(a_callback(an_sms("m1")))
    own = structs.replace(report, notify_to=NotifyTo("https://u:pw@app.example/dlr?key=1", "json"))
    settings = EndpointSettings("acme", "https://acme.example/")
    rules = endpoint_of(settings).rules

    (no,) = refusals(own, settings, rules)
    assert (no.rule, no.got) == ("notifyUrl", "https://app.example/dlr?…")
    (no,) = refusals(report, settings, structs.replace(rules, own_urls=True))
    assert (no.rule, no.expected, no.got) == ("notifyUrl", "a notifyUrl", None)
