"""A messageId is chosen by others, and stands in paths: any text must work there.

A message whose id has a line break was in the list and was 404 at its own address, because the
path's `.+` matches no line break; and a link in a sandbox message with a brace in its id could not
be clicked on, nor its conversion ended. Each id here is stored, and then asked for at its path,
percent-encoded as a client does it, in the path that the API's description has. The requests are
written byte by byte: an HTTP client would mend `..`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes

import pytest

from tests.receiver.payloads import a_json_body, an_item
from tests.security.attacked import Answer, ask, ask_json, attacked

ODD = (
    "a\nb",
    "\n",
    "a\r\nb\n",
    "a/b",
    "/",
    "//a//",
    "a/why",
    "a%b",
    "a%2Fb",
    "%",
    "a?b=c",
    "a#b",
    "..",
    ".",
    "../../x",
    "a{b}",
    "{messageId}",
    "😀",
    "é\u2028\x1b[31m\x00",
    " a b ",
    "a+b",
    "a;b,c:d@e",
    "\\",
)

KEY = ("Authorization", "App key")


def encoded(path: str, text: str) -> str:
    """The path of the description with this text in its place."""
    return re.sub("{[^}]*}", lambda _: quote(text, safe=""), path)


async def test_each_message_has_its_path(tmp_path: Path) -> None:
    """GET /api/messages/{messageId} finds each of them, and no other."""
    async with attacked(tmp_path, "serve", config="") as server:
        await server.post(a_json_body(*(an_item(messageId=text) for text in ODD)))
        for text in ODD:
            found = await ask(server, "GET", encoded("/api/messages/{messageId}", text))
            assert found.status == 200, (text, found.body)
            assert found.json["messageId"] == text
            assert len(found.json["reports"]) == 1
            named = f"{encoded('/api/messages/{messageId}', text)}?source=default"
            assert (await ask(server, "GET", named)).json["messageId"] == text
            missing = await ask(server, "GET", encoded("/api/messages/{messageId}", f"{text}-"))
            assert (missing.status, missing.code) == (404, "not_found")
            assert "there is no report of a message" in missing.json["error"]["message"]


async def test_each_message_of_a_sandbox_has_its_paths(tmp_path: Path) -> None:
    """A link of it can be clicked on, and its conversion ended."""
    async with attacked(tmp_path, "sandbox", config="") as server:
        for text in ODD:
            to = [{"to": "447700900001", "messageId": text}]
            one = {"from": "InfoSMS", "text": "See https://shop.example/", "destinations": to}
            tracking = {"track": "URL", "type": "OFFER", "processKey": "KEY"}
            body = {"messages": [one], "tracking": tracking}
            headers = [KEY, ("Content-Type", "application/json")]
            raw = json.dumps(body).encode()
            sent = await ask(server, "POST", "/sms/2/text/advanced", headers, raw)
            assert sent.status == 200, sent.body
            assert sent.json["messages"][0]["messageId"] == text

            clicked = await _click(server, text)
            assert clicked.status == 201, (text, clicked.body)
            assert clicked.json["messageId"] == text
            assert (await _click(server, f"{text}-")).status == 404
            path = encoded("/ct/1/log/end/{messageId}", text)
            assert (await ask(server, "POST", path, [KEY])).status == 200, text


async def _click(server: Any, text: str) -> Answer:
    return await ask_json(server, "POST", encoded("/sandbox/messages/{messageId}/click", text), {})


@pytest.mark.parametrize("part", ["serve", "sandbox"])
async def test_every_path_of_the_description_takes_any_text(tmp_path: Path, part: str) -> None:
    """Each path that has a name or an id in it, with each odd text and with bytes that are no
    UTF-8: the answer is one that the description has, never a defect of ours."""
    texts = [*(quote(text, safe="") for text in ODD), quote_from_bytes(b"\xff\xc3("), "%zz"]
    async with attacked(tmp_path, part, config="") as server:
        document = (await ask(server, "GET", "/api/openapi.json")).json
        asked = 0
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if "{" not in path:
                    continue
                for text in texts:
                    target = re.sub("{[^}]*}", text.replace("\\", r"\\"), path)
                    headers = [KEY, ("Content-Type", "application/json")]
                    found = await ask(server, method.upper(), target, headers, b"{}")
                    assert str(found.status) in operation["responses"], (method, target, found)
                    assert found.status < 500
                    asked += 1
        assert asked > 100
