"""Requests made to break the sandbox: always the provider's shape of an error, never a 500."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.sending import AUTHORIZATION, Sending, sending
from tests.sandbox.test_validation_rules import GOOD

DEEP = 100_000
POSTED = [path for path in GOOD if "query" not in path]
LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol") for n in range(10)
)


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


async def answer_to(
    provider: Sending, path: str, body: bytes, content_type: str = "application/json", **more: str
) -> int:
    """The status of an answer whose shape was looked at."""
    headers = {**AUTHORIZATION, "Content-Type": content_type, "Accept": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    data = BytesIO(body)  # as aiohttp wants large bodies
    async with provider.client.post(path, data=data, headers=headers) as answer:
        assert answer.content_type == "application/json"
        check_shape(path, answer.status, await answer.json())
        return answer.status


def check_shape(path: str, status: int, answer: Any) -> None:
    assert status == 200 or 400 <= status < 500, answer
    if status == 200:
        assert "messages" in answer or "previews" in answer
    elif path.startswith("/sms/3"):
        assert list(answer) == ["errorCode", "description", "action", "violations", "resources"]
    else:
        assert {"messageId", "text"} <= set(answer["requestError"]["serviceException"])


def around(text: bytes) -> bytes:
    return b'{"to":"41793026727","text":' + text + b"}"


JSON: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "blank": (b" \n", 400),
    "truncated": (b'{"to":"4179', 400),
    "two bodies": (around(b'"x"') * 2, 400),
    "deep": (b"[" * DEEP, 400),
    "deep and closed": (b"[" * DEEP + b"]" * DEEP, 400),
    "deep objects": (b'{"text":' * DEEP + b"1" + b"}" * DEEP, 400),
    "deep in a field that is ignored": (
        b'{"to":"41793026727","text":"x","y":' + b"[" * DEEP + b"]" * DEEP + b"}",
        400,
    ),
    "less deep in a field that is ignored": (
        b'{"to":"41793026727","text":"x","y":' + b"[" * 100 + b"]" * 100 + b"}",
        200,
    ),
    "a lone surrogate": (around(b'"\\ud800"'), 400),
    "a lone surrogate in a name": (b'{"\\ud800":1}', 400),
    "half a character in UTF-8": (around(b'"\xed\xa0\x80"'), 400),
    "bad UTF-8": (around(b'"\xff"'), 400),
    "an escaped NUL": (around(b'"\\u0000"'), 200),
    "NaN": (around(b"NaN"), 400),
    "1e400": (around(b"1e400"), 400),
    "1e999999999": (around(b"1e999999999"), 400),
    "5,000 digits": (around(b"9" * 5000), 400),
    "65 bits as a text": (around(b"18446744073709551616"), 200),
    "a number": (b"1", 400),
    "a list": (b"[]", 400),
    "null": (b"null", 400),
    "a hundred thousand numbers": (
        b'{"text":"x","to":[' + b",".join([b'"41793026727"'] * 100_000) + b"]}",
        200,
    ),
    "a million empty messages": (b'{"messages":[' + b",".join([b"{}"] * 10**6) + b"]}", 400),
    "UTF-16": (around(b'"x"').decode().encode("utf-16"), 200),
    "XML": (b"<request/>", 400),
}

XML: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "truncated": (b"<r><to>1</to>", 400),
    "garbage behind": (b"<r/>x", 400),
    "two roots": (b"<r/><r/>", 400),
    "no children": (b"<r>text</r>", 400),
    "deep": (b"<a>" * DEEP + b"</a>" * DEEP, 400),
    "deep in a text": (b"<r><text>" + b"<a>" * DEEP + b"</a>" * DEEP + b"</text></r>", 400),
    "entity bomb": (b"<!DOCTYPE r [" + LAUGHS + b"]><r><text>&l9;</text></r>", 400),
    "file entity": (
        b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r><text>&a;</text></r>',
        400,
    ),
    "external DTD": (
        b'<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x"><r><to>41793026727</to><text>x</text></r>',
        200,
    ),
    "undefined entity": (b"<r>&nbsp;</r>", 400),
    "NUL": (b"<r><text>\0</text></r>", 400),
    "bad UTF-8": (b"<r><text>\xff</text></r>", 400),
    "unknown encoding": (b'<?xml version="1.0" encoding="x-no"?><r/>', 400),
    "millions of tags": (b"<r>" + b"<a/>" * 1_500_000 + b"</r>", 400),
    "twice the same field": (b"<r><to>41790</to><text>a</text><text>b</text></r>", 400),
    "attributes": (b'<r a="1"><to b="2">41793026727</to><text c="3">x</text></r>', 200),
    "null": (
        b'<r xmlns:xsi="urn:x"><to>41793026727</to><text xsi:nil="true"/></r>',
        400,
    ),
}


@pytest.mark.parametrize("case", JSON)
async def test_json(provider: Sending, case: str) -> None:
    """Hostile JSON, at a route of v1 and at that of v3."""
    body, expected = JSON[case]

    assert await answer_to(provider, "/sms/1/text/single", body) == expected
    assert await answer_to(provider, "/sms/3/messages", body) == 400


@pytest.mark.parametrize("case", XML)
async def test_xml(provider: Sending, case: str) -> None:
    """Hostile XML, at a route of v1 and at that of v3."""
    body, expected = XML[case]

    assert await answer_to(provider, "/sms/1/text/single", body, "application/xml") == expected
    assert await answer_to(provider, "/sms/3/messages", body, "application/xml") == 400


async def test_bombs(provider: Sending) -> None:
    """A hundred megabytes in a hundred kilobytes are not inflated beyond the limit."""
    bomb = gzip.compress(b" " * 10**8)

    status = await answer_to(provider, "/sms/3/messages", bomb, Content_Encoding="gzip")

    assert status == 413


@pytest.mark.parametrize(
    "charset", ["utf-7", "utf-32", "ascii", "cp037", "rot13", "idna", "x" * 99]
)
async def test_charsets(provider: Sending, charset: str) -> None:
    """Any charset is read or refused."""
    kind = f"application/json; charset={charset}"

    assert await answer_to(provider, "/sms/3/messages", b"\xff\xfe{}", kind) in (400, 415)


@pytest.mark.parametrize(
    "query",
    ["", "to=%ED%A0%80&text=x", "to=41793026727&text=%FF", "to=1&text=%00", "text=" + "%26" * 2000],
)
async def test_queries(provider: Sending, query: str) -> None:
    """Hostile query strings, in both generations."""
    for path in ("/sms/1/text/query", "/sms/3/text/query"):
        status, answer = await provider.get(f"{path}?{query}")
        check_shape(path, status, answer)


async def test_hostile_credentials(provider: Sending) -> None:
    """Bytes in the header that are no text are refused like any others."""
    for header in ("Basic \udcff", "Basic ====", "App \udcff", "Bearer " + "x" * 7000):
        async with provider.client.post(
            "/sms/3/messages", data=b"{}", headers={"Authorization": header}
        ) as answer:
            check_shape("/sms/3/messages", answer.status, await answer.json())


names = st.sampled_from(
    sorted(
        {"to", "text", "messages", "destinations", "content", "hex", "binary", "options", "from"}
        | {"schedule", "sendAt", "deliveryTimeWindow", "days", "validityPeriod", "amount", "hour"}
        | {"webhooks", "delivery", "url", "regional", "indiaDlt", "language", "urlOptions"}
    )
) | st.text(max_size=3)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["41793026727", "MONDAY", "2026-11-22T10:00:00Z", "00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)


def grafted(good: Any, drawn: st.DataObject) -> Any:
    """`good` with any values in the place of some of its own."""
    if drawn.draw(st.integers(0, 5)) == 0:
        return drawn.draw(values)
    if isinstance(good, dict):
        kept = {name: grafted(each, drawn) for name, each in good.items()}
        return {**kept, **drawn.draw(st.dictionaries(names, values, max_size=2))}
    return [grafted(each, drawn) for each in good] if isinstance(good, list) else good


@pytest.mark.parametrize("path", POSTED)
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=st.data())
async def test_any_json(path: str, drawn: st.DataObject) -> None:
    """Any JSON value, posted to any route, is taken or refused in the documented shape."""
    body = grafted(GOOD[path], drawn)
    async with sending() as provider:
        await answer_to(provider, path, json.dumps(body).encode())
