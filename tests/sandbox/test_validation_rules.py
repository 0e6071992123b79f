"""Every rule of every field of every route: what it refuses, where it says so, in both shapes."""

from __future__ import annotations

import copy
import re
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest

from dispatcher.sandbox.api.send import POSTED, PREVIEW, QUERIED
from dispatcher.sandbox.wire.tables import Field, ListOf, Table
from tests.sandbox.rule_table import (
    DOCUMENT_RULES,
    FIELDS,
    NULL,
    REFUSED,
    DocumentRule,
    document,
    refused,
    routes,
    rows,
)
from tests.sandbox.sending import Sending, a_text, a_v3, sending

OCTETS = {"hex": "54 65 73 74"}
A_BINARY = {"destinations": [{"to": "41793026727"}], "binary": OCTETS}
SINGLE_TEXT = {"to": ["41793026727"], "text": "Hello"}
SINGLE_BINARY = {"to": ["41793026727"], "binary": OCTETS}

GOOD: dict[str, dict[str, Any]] = {
    "/sms/1/text/single": SINGLE_TEXT,
    "/sms/1/binary/single": SINGLE_BINARY,
    "/1/sms/binary/single": SINGLE_BINARY,
    "/sms/1/text/multi": {"messages": [SINGLE_TEXT]},
    "/sms/1/binary/multi": {"messages": [SINGLE_BINARY]},
    "/sms/1/text/advanced": {"messages": [a_text()]},
    "/sms/1/binary/advanced": {"messages": [A_BINARY]},
    "/sms/2/text/single": SINGLE_TEXT,
    "/sms/2/binary/single": SINGLE_BINARY,
    "/sms/2/text/advanced": {"messages": [a_text()]},
    "/sms/2/binary/advanced": {"messages": [A_BINARY]},
    "/sms/3/messages": {"messages": [a_v3()]},
    "/sms/1/text/query": {"to": "41793026727", "text": "Hello"},
    "/sms/3/text/query": {"to": "41793026727", "text": "Hello"},
    "/sms/3/text/query.xml": {"to": "41793026727", "text": "Hello"},
    "/sms/1/preview": {"text": "Hello"},
}
"""The least that each route takes."""

NOT_IN_A_QUERY = {"text", "text, clipped at 100", "list of at least one"}
"""Every value of a query is a text, and a `to` that is given is a list."""


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


def planted(good: Any, place: str, value: Any) -> Any:
    """A copy of `good` with `value` at `place`, and objects and lists on the way where none are."""
    bad = copy.deepcopy(good)
    node: Any = bad
    steps: list[str | int] = [
        int(step) if step.isdigit() else step for step in re.findall(r"\w+", place)
    ]
    for step, following in pairwise(steps):
        empty: Any = [None] if isinstance(following, int) else {}
        if isinstance(node, list):
            node[0] = node[0] if node[0] is not None else empty
        else:
            node.setdefault(step, empty)
        node = node[step]
    node[steps[-1]] = value
    return bad


async def faults(provider: Sending, path: str, body: Any) -> list[tuple[str, str]]:
    """Place and text of what is wrong, after a look at the shape of the whole answer."""
    if path in GOOD and "query" in path:
        query = urlencode({name: each for name, each in body.items() if each is not None})
        status, answer = await provider.get(f"{path}?{query}")
    else:
        status, answer = await provider.post(path, body)
    assert status == 400, answer
    return list(_told(path, answer))


def _told(path: str, answer: Any) -> Iterator[tuple[str, str]]:
    if path.endswith(".xml"):
        violations = answer["ApiError"]["violations"]["violation"]
        violations = violations if isinstance(violations, list) else [violations]
        return ((each["property"], each["violation"]) for each in violations)
    if path.startswith("/sms/3"):
        assert set(answer) == {"errorCode", "description", "action", "violations", "resources"}
        assert answer["errorCode"] == "E400"
        return ((each["property"], each["violation"]) for each in answer["violations"])
    (exception,) = answer["requestError"].values()
    assert set(answer["requestError"]) == {"serviceException"}
    assert (exception["messageId"], exception["text"]) == ("BAD_REQUEST", "Bad request")
    errors = exception["validationErrors"].items()
    return ((place, text) for place, texts in errors for text in texts)


CASES = [(path, place, field) for path, table in routes().items() for place, field in rows(table)]


@pytest.mark.parametrize("path", GOOD)
async def test_each_rule_of_each_field(provider: Sending, path: str) -> None:
    """What a field's rule refuses is told at its place in the words of the table."""
    missing = []
    for place, field in rows(routes()[path]):
        if "query" in path and field.rule.words() in NOT_IN_A_QUERY:
            continue
        value, text = refused(field.rule)
        told = await faults(provider, path, planted(GOOD[path], place, value))
        expected = place + "[0]" if "query" in path and field.name == "to" else place
        if (expected, text) not in told:
            missing.append((expected, text, told))
    assert missing == []


@pytest.mark.parametrize("path", GOOD)
async def test_each_item_of_each_list(provider: Sending, path: str) -> None:
    """An item of a list is checked by the rule of the items."""
    for place, field in rows(routes()[path]):
        if isinstance(field.rule, ListOf) and "query" not in path:
            value, text = refused(field.rule.item)
            told = await faults(provider, path, planted(GOOD[path], place, [value]))
            assert (f"{place}[0]", text) in told
            told = await faults(provider, path, planted(GOOD[path], place, [None]))
            assert (f"{place}[0]", NULL) in told


@pytest.mark.parametrize("path", GOOD)
async def test_each_field_that_must_be_there(provider: Sending, path: str) -> None:
    """A field that must be there and is not, or is null, is told at its place."""
    for place, field in rows(routes()[path]):
        if field.required:
            told = await faults(provider, path, planted(GOOD[path], place, None))
            assert (place, NULL) in told


async def test_the_least_that_is_taken(provider: Sending) -> None:
    """What the cases above start from is taken: each fault is of the value that was planted."""
    for path, body in GOOD.items():
        if "query" in path:
            status, _ = await provider.get(f"{path}?{urlencode(body)}")
        else:
            status, _ = await provider.post(path, body)
        assert status == 200, path


def test_the_tables_are_of_all_routes() -> None:
    """No route sends without a table."""
    assert set(GOOD) == {each.path for each in (*POSTED, *QUERIED)} | {PREVIEW}
    assert all(isinstance(table, Table) and [*rows(table)] for table in routes().values())
    assert all(isinstance(field, Field) and field.source for _, _, field in CASES)


def test_each_refused_value_is_of_a_rule() -> None:
    """The table of refused values has none of a rule that is gone."""
    rules = [field.rule for _, _, field in CASES]
    items = [rule.item for rule in rules if isinstance(rule, ListOf)]

    assert set(REFUSED) <= {rule.words() for rule in (*rules, *items)}


def test_fields_md_is_what_the_tables_say() -> None:
    """dispatcher/sandbox/fields.md: if this fails, `python -m tests.sandbox.rule_table`."""
    assert FIELDS.read_text() == document()


def test_what_the_documents_say_is_held() -> None:
    """Each row of fields.md names a test that there is, and none is done by half."""
    tests = FIELDS.parents[2] / "tests"

    def is_held(rule: DocumentRule) -> bool:
        file, _, name = rule.test.partition("::")
        source = (tests / file).read_text("utf-8")
        return re.search(rf"^(async )?def {name}\(", source, re.MULTILINE) is not None

    assert [rule for rule in DOCUMENT_RULES if not is_held(rule) or "partly" in rule.does] == []


# --- several fields together ---------------------------------------------------------------------


def _window(**ends: Any) -> dict[str, Any]:
    return {"deliveryTimeWindow": {"days": ["MONDAY"], **ends}}


def _at(hour: int, minute: int = 0) -> dict[str, int]:
    return {"hour": hour, "minute": minute}


APART = "must be at least 1 hour after from"

TOGETHER: list[tuple[str, Any, tuple[str, str]]] = [
    (
        "/sms/2/text/advanced",
        {"messages": [a_text(**_window(to=_at(3)))]},
        ("messages[0].deliveryTimeWindow.from", "must be given together with to"),
    ),
    (
        "/sms/3/messages",
        {"messages": [a_v3(options=_window(**{"from": _at(3)}))]},
        ("messages[0].options.deliveryTimeWindow.to", "must be given together with from"),
    ),
    (
        "/sms/2/text/advanced",
        {"messages": [a_text(**_window(**{"from": _at(6), "to": _at(6, 59)}))]},
        ("messages[0].deliveryTimeWindow.to", APART),
    ),
    (
        "/sms/3/messages",
        {"messages": [a_v3(options=_window(**{"from": _at(23, 30), "to": _at(0, 29)}))]},
        ("messages[0].options.deliveryTimeWindow.to", APART),
    ),
    (
        "/sms/3/messages",
        {"messages": [a_v3(content={"text": "x", "hex": "00"})]},
        ("messages[0].content", "must have either text or hex, got text and hex"),
    ),
    (
        "/sms/3/messages",
        {"messages": [a_v3(content={})]},
        ("messages[0].content", "must have either text or hex, got neither"),
    ),
    ("/sms/2/text/advanced", {"messages": [a_text(text=None)]}, ("messages[0].text", NULL)),
    ("/sms/2/binary/advanced", {"messages": [a_text()]}, ("messages[0].binary", NULL)),
    (
        "/sms/3/text/query",
        {**GOOD["/sms/3/text/query"], "indiaDltTelemarketerId": "1"},
        ("indiaDltPrincipalEntityId", NULL),
    ),
    (
        "/sms/1/text/query",
        {**GOOD["/sms/1/text/query"], "turkeyIysBrandCode": "1"},
        ("turkeyIysRecipientType", NULL),
    ),
]


@pytest.mark.parametrize(("path", "body", "fault"), TOGETHER)
async def test_fields_together(
    provider: Sending, path: str, body: Any, fault: tuple[str, str]
) -> None:
    """What several fields must be together."""
    assert await faults(provider, path, body) == [fault]


async def test_all_faults_at_once(provider: Sending) -> None:
    """A request is told all its faults at once, and a client of a million faults a hundred."""
    body = {"messages": [a_text(flash="x", callbackData="x" * 4001), {}]}
    assert [place for place, _ in await faults(provider, "/sms/2/text/advanced", body)] == [
        "messages[0].flash",
        "messages[0].callbackData",
        "messages[1].destinations",
        "messages[1].text",
    ]

    assert len(await faults(provider, "/sms/3/messages", {"messages": [{}] * 1000})) == 100


async def test_faults_in_xml(provider: Sending) -> None:
    """In XML the faults of v1 and v2 are elements of ours, those of v3 as documented."""
    bad = "<request><messages><message><text>Hi</text></message></messages></request>"

    v2 = await provider.post_xml("/sms/2/text/advanced", bad)
    v3 = await provider.post_xml("/sms/3/messages", bad.replace("text>", "sender>"))

    exception = v2["ApiException"]["requestError"]["serviceException"]
    assert exception["messageId"] == "BAD_REQUEST"
    assert exception["validationErrors"] == {
        "validationError": {"property": "messages[0].destinations", "message": NULL}
    }
    assert v3["ApiError"]["violations"]["violation"][1:] == [
        {"property": "messages[0].destinations", "violation": NULL},
        {"property": "messages[0].content", "violation": NULL},
    ]


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        (
            "http://xn--.example/",
            'expected a host name, got "xn--.example", which is not valid in the DNS',
        ),
        ("http://a/b c", "expected a URL as RFC 3986 defines it: write http://a/b%20c"),
    ],
)
async def test_a_url_that_would_be_mended(provider: Sending, url: str, fault: str) -> None:
    """A `notifyUrl` is called as it was given, so one that would have to be mended is refused; a
    host that IDNA cannot read was an error of ours."""
    message = {**a_text(), "notifyUrl": url}

    found = await faults(provider, "/sms/2/text/advanced", {"messages": [message]})

    assert found == [("messages[0].notifyUrl", fault)]
