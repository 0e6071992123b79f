"""Expressions that take `re` for ever, at each place that takes one, and after a restart.

With Python's `re` one `body_matches` of "^(a+)+$" and an answer of 32 letters and a "!" held the
event loop: no callback, no push, no answer to /healthz, and the same again after each restart.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from itertools import count
from pathlib import Path

import pytest

from tests.end_to_end.processes import Running, an_endpoint, dlr, eventually
from tests.receiver.payloads import V2_JSON, a_json_body, an_item
from tests.security.attacked import Answer, ask, ask_json, attacked
from tests.security.served import answering

SLOW = "^(a+)+$"
TEXT = "a" * 32 + "!"
KEY = ("Authorization", "App key")

PROMPT = 5.0
"""Seconds in which everything here is answered, on a busy machine too. `re` took minutes."""

IN_THE_SETTINGS = f"""
[[sandbox.outcome]]
text = "{SLOW}"
callback_data = "{SLOW}"
[[endpoint]]
name = "acme"
url = "http://127.0.0.1:9/"
[endpoint.outcome]
body_matches = "{SLOW}"
"""


async def judged(server: Running) -> None:
    """An answer has been judged by the expression. Only some looks later a dispatcher goes by
    changed settings, so reports are posted until it does."""
    numbers = count()

    async def once_more() -> bool:
        await server.post(a_json_body(an_item(messageId=f"{server.pid}-{next(numbers)}")))
        return "outcome=wrong_answer" in server.err.text

    await eventually(once_more, "an answer is judged")


async def send(server: Running) -> Answer:
    """An SMS whose text and callbackData the rules of outcomes look at."""
    message = {
        "from": "InfoSMS",
        "text": TEXT,
        "callbackData": TEXT,
        "destinations": [{"to": "41793026727"}],
    }
    body = json.dumps({"messages": [message]}).encode()
    headers = [("Content-Type", "application/json"), KEY]
    return await ask(server, "POST", "/sms/2/text/advanced", headers, body)


async def test_in_rules_of_the_sandbox(tmp_path: Path) -> None:
    """In the settings, over the API, and after a restart an SMS is accepted at once."""
    rule = {"text": SLOW, "callbackData": SLOW, "status": "EXPIRED_EXPIRED"}
    async with asyncio.timeout(4 * PROMPT):
        async with attacked(tmp_path, "sandbox", config=IN_THE_SETTINGS) as server:
            assert (await send(server)).status == 200
            assert (await ask_json(server, "POST", "/sandbox/outcomes", rule)).status == 201
            assert (await send(server)).status == 200
        async with attacked(tmp_path, "sandbox") as server:
            assert (await send(server)).status == 200
            assert (await ask(server, "GET", "/readyz")).status == 200


@pytest.mark.parametrize("way", ["file", "api", "command"])
async def test_in_what_an_answer_must_hold(tmp_path: Path, way: str) -> None:
    """The answer is judged at once, by whichever way the expression came, and after a restart."""
    async with answering(TEXT) as url:
        endpoint = an_endpoint(url)
        if way == "file":
            endpoint += f'[endpoint.outcome]\nbody_matches = "{SLOW}"\n'
        async with asyncio.timeout(6 * PROMPT):
            async with attacked(tmp_path, "serve", config=endpoint) as server:
                if way == "api":
                    changed = await ask_json(
                        server, "PATCH", "/api/endpoints/acme", {"outcome": {"bodyMatches": SLOW}}
                    )
                    assert changed.status == 200, changed.body
                if way == "command":
                    words = ("endpoints", "change", "acme", "--set")
                    ended = await dlr(tmp_path, *words, f"outcome.body_matches={SLOW}")
                    assert ended.code == 0, ended.err
                await judged(server)
            async with attacked(tmp_path, "serve") as server:
                await judged(server)
                assert (await ask(server, "GET", "/healthz")).status == 200


@pytest.mark.parametrize("expression", [r"(a)\1", "(?=a)", "(?<!a)a", "a++", "(" * 400])
async def test_what_does_not_run_in_linear_time_is_refused(tmp_path: Path, expression: str) -> None:
    """Each place that takes an expression refuses it when it is set, and says why."""
    outcome = {"outcome": {"bodyMatches": expression}}
    new = {"name": "added", "url": "https://acme.example/", **outcome}
    async with attacked(tmp_path, "sandbox", config=an_endpoint("http://127.0.0.1:9/")) as server:
        answers = [
            await ask_json(server, "PATCH", "/api/endpoints/acme", outcome),
            await ask_json(server, "POST", "/api/endpoints", new),
            await ask_json(server, "POST", "/sandbox/outcomes", {"text": expression}),
            await ask_json(server, "POST", "/sandbox/outcomes", {"callbackData": expression}),
        ]
    assert [each.status for each in answers] == [400] * 4
    assert all(b"no lookaround, no backreferences" in each.body for each in answers)
    for table in ("[[sandbox.outcome]]\ntext", "[[sandbox.outcome]]\ncallback_data"):
        (tmp_path / "other.toml").write_text(f"{table} = '{expression}'\n")
        ended = await dlr(tmp_path, "check", "--config", "other.toml")
        assert ended.code == 2
        assert "no lookaround, no backreferences" in ended.err


async def test_what_an_older_version_stored_does_not_stop_the_start(tmp_path: Path) -> None:
    """A database has an endpoint and a rule whose expressions only `re` took. The process starts;
    the endpoint is held with its reports and says why, and the rule is left out with a line."""
    async with attacked(tmp_path, "sandbox", config=an_endpoint("http://127.0.0.1:9/")) as server:
        changed = await ask_json(
            server, "PATCH", "/api/endpoints/acme", {"outcome": {"bodyMatches": "OLD"}}
        )
        assert changed.status == 200
        await ask_json(server, "POST", "/sandbox/outcomes", {"text": "OLD"})
    with sqlite3.connect(tmp_path / "dlr.db") as database:
        for table, column in (("endpoint", "settings"), ("sandbox", "rules")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, 'OLD', '(?=OK)')")
    database.close()

    async with attacked(tmp_path, "sandbox") as server:
        await server.err.find("endpoint acme gets no pushes.*no lookaround")
        await server.err.find("an outcome rule is ignored.*no lookaround")
        assert (await send(server)).status == 200
        assert (await server.post(V2_JSON))[0] == 200
        shown = (await ask(server, "GET", "/api/endpoints/acme")).json
        assert (shown["paused"], len(shown["faults"])) == (True, 1)
        mended = {"outcome": {"bodyMatches": "OK"}}
        assert (await ask_json(server, "PATCH", "/api/endpoints/acme", mended)).status == 200
