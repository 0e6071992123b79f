"""/sandbox/…: what test suites ask and say, and what operators see."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.expressions import WORDS
from tests.end_to_end.processes import customer
from tests.sandbox.playing import playing


async def test_rules_of_the_settings_and_of_the_api(tmp_path: Path) -> None:
    """Rules of the settings decide, those that came by the API before them, until a reset."""
    text = '[[sandbox.outcome]]\nto = "49*"\nstatus = "REJECTED_DND"\n'
    async with playing(tmp_path, text) as sandbox:
        await sandbox.send("491701234567")
        rule = {"to": "49*", "status": "UNDELIVERABLE_NOT_DELIVERED", "error": "EC_CALL_BARRED"}
        status, _ = await sandbox.ask("POST", "/sandbox/outcomes", json=rule)
        await sandbox.send("491701234567")
        await sandbox.advance("1m")

        assert status == 201
        found = await sandbox.messages()
        assert [each["status"]["name"] for each in found] == [
            "REJECTED_DND",
            "UNDELIVERABLE_NOT_DELIVERED",
        ]
        assert [each["error"]["name"] for each in found] == ["NO_ERROR", "EC_CALL_BARRED"]
        await sandbox.ask("POST", "/sandbox/reset")
        await sandbox.send("491701234567")
        await sandbox.advance("1m")
        assert await sandbox.statuses() == ["REJECTED_DND"]


async def test_a_rule_that_cannot_be_used(tmp_path: Path) -> None:
    """A rule's faults are all told, by the names of the API."""
    async with playing(tmp_path) as sandbox:
        status, fields = await sandbox.ask(
            "POST", "/sandbox/outcomes", json={"status": "LOST", "callbackData": "("}
        )

        assert status == 400
        assert fields["error"]["details"]["faults"] == [
            f'callbackData: expected {WORDS}, got "("',
            'status: expected the name of an SMS status, got "LOST"',
        ]


async def test_reset(tmp_path: Path) -> None:
    """After a reset nothing is left of what was sent: no message, no report, no push to come. The
    clock stays where it is."""
    async with customer(lambda _: 503) as app, playing(tmp_path) as sandbox:
        await sandbox.send(notifyUrl=app.url)
        await sandbox.send()
        await sandbox.send(bulk={"bulkId": "B"}, sendAt="2026-03-03T12:00:00.000+0000")
        moved = await sandbox.advance("1m")
        status, fields = await sandbox.ask("POST", "/sandbox/reset")
        pushes = len(app.pushes)
        quiet = await sandbox.advance("3d")

        assert (status, fields["now"]) == (200, moved["now"])
        assert (quiet["steps"], quiet["attempts"], len(app.pushes)) == (0, 0, pushes)
        assert await sandbox.messages() == []
        assert await sandbox.pull() == []
        assert (await sandbox.ask("GET", "/sms/1/bulks?bulkId=B"))[0] == 404


async def test_a_reset_has_no_parameters(tmp_path: Path) -> None:
    """A parameter that is not there is told so. It said "expected" and no more."""
    async with playing(tmp_path) as sandbox:
        _, fields = await sandbox.ask("POST", "/sandbox/reset?messages=true")

        said = "messages: unknown parameter; there are no parameters here"
        assert fields["error"]["message"] == said


@pytest.mark.parametrize("by", ["", "1", "-1h", "tomorrow", "400d"])
async def test_how_far(tmp_path: Path, by: str) -> None:
    """The clock is moved by a duration, a year at most and never back."""
    async with playing(tmp_path) as sandbox:
        status, fields = await sandbox.ask("POST", "/sandbox/advance", params={"by": by})

        assert status == 400
        assert fields["error"]["message"].startswith("by: expected ")


async def test_what_was_sent(tmp_path: Path) -> None:
    """A test suite sees what was sent in its order, with the text as it goes over the air, and no
    password of a URL."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000001", text="Ελλάδα", transliteration="GREEK")
        await sandbox.send("41790000002", notifyUrl="http://me:secret@app.example/hook?token=t")

        first, second = await sandbox.messages()
        assert (first["to"], first["text"], first["sent"]) == ("41790000001", "Ελλάδα", "EΛΛAΔA")
        assert first["state"] == "enroute"
        assert second["notifyUrl"] == "http://app.example/hook?…"
        await sandbox.advance("1m")
        assert [each["url"] for each in await sandbox.dispatches()] == [second["notifyUrl"]]
        (_, second) = await sandbox.messages()
        (one,) = await sandbox.messages(to="41790000002")
        assert one == second
        page = await sandbox.get("/sandbox/messages", limit="1")
        (rest,) = await sandbox.messages(cursor=page["next"])
        assert rest == second


async def test_tokens_guard_it(tmp_path: Path) -> None:
    """With an [[api.token]] /sandbox asks for it as /api does; the provider's routes do not."""
    text = '[[api.token]]\nname = "ops"\nscope = "read"\nsecret = "token-0123456789abcdef"\n'
    async with playing(tmp_path, text) as sandbox:
        bearer = {"Authorization": "Bearer token-0123456789abcdef"}

        assert (await sandbox.ask("GET", "/sandbox/messages"))[0] == 401
        assert (await sandbox.ask("GET", "/sandbox/messages", headers=bearer))[0] == 200
        assert (await sandbox.ask("POST", "/sandbox/reset", headers=bearer))[0] == 403
        assert (await sandbox.ask("GET", "/sms/1/reports"))[0] == 200


async def test_metrics_and_readiness(tmp_path: Path) -> None:
    """The sandbox counts what it took and made, and says when it is ready."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000001", "41790000002")
        await sandbox.advance("1m")

        async with sandbox.client.get("/metrics") as response:
            text = await response.text()
        assert 'dlr_sandbox_messages_total{api="v2"} 2.0' in text
        assert "dlr_sandbox_reports_total 2.0" in text
        async with sandbox.client.get("/readyz") as response:
            assert response.status == 200
