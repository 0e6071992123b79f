"""What is typed into the search of the inbox: words become the API's parameters, and what cannot be
used is answered with what can be typed instead."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.web.search_words import WORDS, BadSearch, parameters_of, term
from receiver.answers import BadQuery
from receiver.api.filters import REPORT_PARAMETERS, report_query

NOW = datetime(2026, 11, 28, 10, 30, tzinfo=ZoneInfo("Europe/Zurich"))


@pytest.mark.parametrize(
    ("search", "parameters"),
    [
        ("", {}),
        ("status:expired", {"statusGroup": "expired"}),
        ("status:EXPIRED,REJECTED", {"statusGroup": "EXPIRED,REJECTED"}),
        ("status:expired status:rejected", {"statusGroup": "expired,rejected"}),
        ("status:EXPIRED_EXPIRED", {"status": "EXPIRED_EXPIRED"}),
        ("status:15", {"status": "15"}),
        ("to:+4179", {"toPrefix": "+4179"}),
        ('to:"+41 79"', {"toPrefix": "+41 79"}),
        ("is:final is:permanent", {"final": "true", "permanent": "true"}),
        ("is:Intermediate", {"final": "false"}),
        ("source:alpha sender:InfoSMS", {"source": "alpha", "sender": "InfoSMS"}),
        ("error:27 error:EC_X", {"error": "27,EC_X"}),
        ('callback:"order \\"7\\""', {"callbackDataContains": 'order "7"'}),
        ("message:a:b", {"messageId": "a:b"}),
        ("after:10:00", {"receivedSince": "2026-11-28T09:00:00.000Z"}),
        ("before:9:05", {"receivedUntil": "2026-11-28T08:05:00.000Z"}),
        ("done-after:2h", {"doneSince": "2026-11-28T07:30:00.000Z"}),
        ("endpoint:acme state:exhausted", {"endpoint": "acme", "state": "exhausted"}),
        ("order 7", {"text": "order 7"}),
        ('"urn:x" 12:00', {"text": "urn:x 12:00"}),
        ("  m-1   is:final  ", {"text": "m-1", "final": "true"}),
    ],
)
def test_a_search_stands_for_parameters(search: str, parameters: dict[str, str]) -> None:
    """Each word is a filter of the API; everything else is one text."""
    assert parameters_of(search, NOW) == parameters


@pytest.mark.parametrize(
    ("search", "taught"),
    [
        ("foo:1", 'unknown search word "foo:"; expected one of status, is, to'),
        ("foo:1", 'put it in quotes: "foo:1"'),
        ("status:", "status: expected a value, for example status:EXPIRED"),
        ('callback:"  "', "callback: expected a value"),
        ("is:done", "is: expected one of final, intermediate, permanent, temporary"),
        ("after:noon", "after: expected a time such as 14:00, 24h (ago), yesterday"),
        ("after:9999999d", "after: expected a time"),
        ("after:25:00", "after: expected a time"),
        ("to:1 to:2", "to: used twice"),
        ("is:final is:intermediate", "is: used twice"),
        ("status:expired,REJECTED_DND", "either groups"),
        ("status:expired status:REJECTED_DND", "either groups"),
        ('callback:"order', "a quote is not closed"),
        ("x" * 501, "at most 500 characters"),
    ],
)
def test_a_search_that_cannot_be_used_is_explained(search: str, taught: str) -> None:
    """It says what can be typed instead, with an example."""
    with pytest.raises(BadSearch) as told:
        parameters_of(search, NOW)

    assert taught in str(told.value)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("today", "2026-11-27T23:00Z"),
        ("yesterday", "2026-11-26T23:00Z"),
        ("23:30", "2026-11-27T22:30Z"),  # it has not been half past eleven yet today
        ("10:30:00", "2026-11-28T09:30Z"),
        ("15m", "2026-11-28T09:15Z"),
        ("1h30m", "2026-11-28T08:00Z"),
        ("2026-07-01", "2026-06-30T22:00Z"),  # in summer
        ("2026-11-28T10:00", "2026-11-28T09:00Z"),
        ("2026-11-28T10:00:00Z", "2026-11-28T10:00Z"),
        ("2026-11-28T10:00:00.000+0200", "2026-11-28T08:00Z"),
    ],
)
def test_times_are_in_the_zone_of_whoever_types(text: str, at: str) -> None:
    """Unless they name one."""
    read = parameters_of(f'after:"{text}"', NOW)["receivedSince"]
    assert datetime.fromisoformat(read) == datetime.fromisoformat(at)


@given(st.text(max_size=60))
def test_any_search_is_used_or_explained(search: str) -> None:
    """Whatever is typed gives parameters that the API takes, or a BadQuery."""
    with suppress(BadQuery):
        report_query(parameters_of(search, NOW))


_TEXTS = st.text(min_size=1, max_size=40).filter(str.strip)


@given(st.lists(_TEXTS, min_size=4, max_size=4))
def test_a_value_that_is_written_is_read_again(texts: list[str]) -> None:
    """Blanks, quotes and backslashes in it change nothing, and neither do its neighbours."""
    words = dict(zip(("message", "bulk", "sender", "callback"), texts, strict=True))
    search = " ".join(term(name, value) for name, value in words.items())
    if len(search) > 500:
        return

    assert list(parameters_of(search, NOW).values()) == texts


def test_every_word_is_of_the_api_and_has_an_example_that_works() -> None:
    """The table of words cannot name a parameter that GET /api/reports does not have."""
    known = {each.name for each in REPORT_PARAMETERS}
    for word in WORDS:
        found = parameters_of(word.example, NOW)
        assert found.keys() <= known, word
        report_query(found)
        for value in word.values:
            report_query(parameters_of(term(word.name, value), NOW))
    assert urlencode(parameters_of("after:today", NOW.astimezone(UTC)))
