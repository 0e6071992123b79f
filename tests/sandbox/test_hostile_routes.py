"""Requests made to break the routes beside those that send: never a 5xx, always their own shape."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.playing import Played, playing
from tests.sandbox.test_hostile_requests import JSON, XML

TOMORROW = "2026-03-03T12:00:00.000+0000"
QUESTIONS = (
    "/sms/1/reports",
    "/sms/3/reports",
    "/sms/1/logs",
    "/sms/3/logs",
    "/sms/1/bulks",
    "/sms/1/bulks/status",
    "/sandbox/messages",
)
NAMES = (
    "bulkId",
    "messageId",
    "limit",
    "cursor",
    "useCursor",
    "sentSince",
    "generalStatus",
    "campaignReferenceId",
    "to",
    "mcc",
)
VALUES = (
    "",
    "%00",
    "%FF",
    "%ED%A0%80",
    "%F0%9F%92%A9",
    "%D9%A3",  # a digit, and none of ASCII
    "-1",
    "0",
    "1e3",
    "9223372036854775808",
    "9" * 2000,
    "," * 2000,
    "'%20OR%201=1--",
    "0001-01-01T00:00:00.000-2359",
    "9999-12-31T23:59:59.999%2B0000",
)


async def ask(sandbox: Played, method: str, path: str, **options: Any) -> int:
    """The status of an answer whose shape was looked at."""
    status, answer = await sandbox.ask(method, path, **options)
    assert status < 500, (method, path, answer)
    if status >= 400:
        assert _is_told(path, answer), (method, path, answer)
    return status


def _is_told(path: str, answer: dict[str, Any]) -> bool:
    if path.startswith("/sandbox"):
        return {"code", "message"} <= set(answer["error"])
    if path.startswith("/sms/3"):
        return list(answer) == ["errorCode", "description", "action", "violations", "resources"]
    return {"messageId", "text"} <= set(answer["requestError"]["serviceException"])


@pytest.mark.parametrize("path", QUESTIONS)
async def test_questions(tmp_path: Path, path: str) -> None:
    """Any value of any parameter, alone and twice, is answered or refused."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send()
        for name in NAMES:
            for value in VALUES:
                await ask(sandbox, "GET", f"{path}?{name}={value}&{name}={value}")
            await sandbox.advance("1m")  # the logs may be asked 120 times in it


@pytest.mark.parametrize("route", ["/sms/1/bulks", "/sms/1/bulks/status"])
async def test_bodies_about_bulks(tmp_path: Path, route: str) -> None:
    """No hostile body changes a bulk, nor one that names a good field with a bad value."""
    path = f"{route}?bulkId=B"
    values: list[Any] = [None, True, 1, -1.5, "", "x", [], ["PAUSED"], {}, "\0", "PENDING" * 10**4]
    async with playing(tmp_path) as sandbox:
        await sandbox.send(bulk={"bulkId": "B"}, sendAt=TOMORROW)
        before = [await sandbox.get(each, bulkId="B") for each in QUESTIONS[4:6]]
        for table, kind in ((JSON, "json"), (XML, "xml")):
            for body, _ in table.values():
                headers = {"Content-Type": f"application/{kind}", "Accept": "application/json"}
                assert await ask(sandbox, "PUT", path, data=BytesIO(body), headers=headers) >= 400
        for value in values:
            assert await ask(sandbox, "PUT", path, json={"sendAt": value, "status": value}) == 400

        assert before == [await sandbox.get(each, bulkId="B") for each in QUESTIONS[4:6]]


RULES: tuple[dict[str, Any], ...] = (
    {"text": "(" * 5000},
    {"text": "(" * 5000 + ")" * 5000},
    {"callbackData": "a{99999999999999999999}"},
    {"text": "(?P<a>a)(?P=a)"},
    {"text": "\ud800"},
    {"share": 1e308},
    {"share": -0.1},
    {"price": 10**30},
    {"after": "9" * 5000 + "d"},
    {"after": -1},
    {"to": "٣*"},
    {"to": "*" * 10**5},
    {"status": ["DELIVERED_TO_HANDSET"]},
    {"error": {}},
    {"told": "thrice"},
    {"nobody": "knows"},
)


async def test_rules(tmp_path: Path) -> None:
    """A rule that cannot be used is refused, and messages still fare as they did."""
    async with playing(tmp_path) as sandbox:
        for body, _ in JSON.values():
            await ask(sandbox, "POST", "/sandbox/outcomes", data=BytesIO(body))
        for rule in RULES:
            assert await ask(sandbox, "POST", "/sandbox/outcomes", json=rule) == 400, rule

        await sandbox.send()
        await sandbox.advance("2s")
        assert await sandbox.pulled() == ["DELIVERED_TO_HANDSET"]


@pytest.mark.parametrize("by", [*VALUES, "9" * 5000 + "h", "1h1h", "0.0000001s", "1h&by=2h&x=1"])
async def test_advances(tmp_path: Path, by: str) -> None:
    """What is no duration moves nothing."""
    async with playing(tmp_path) as sandbox:
        before = (await sandbox.advance("0s"))["now"]

        assert await ask(sandbox, "POST", f"/sandbox/advance?by={by}") == 400
        assert (await sandbox.advance("0s"))["now"] == before


@pytest.mark.parametrize("message_id", ["%00", "%FF", "%ED%A0%80", "..", "%2F", "x" * 7000])
async def test_conversions(tmp_path: Path, message_id: str) -> None:
    """A messageId that was never given is not found."""
    async with playing(tmp_path) as sandbox:
        assert await ask(sandbox, "POST", f"/ct/1/log/end/{message_id}") in (400, 404)
