"""A capsule from a stranger: whoever plays it, replays it or drills with it obeys nothing in it.

A heading with `security`, `headers` or `token_url` made `dlr replays start --capsule` send them,
`tls` had it read files of this machine, an expression froze it, and none of that was said.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dispatcher.capsule.capsule import (
    SHARED,
    Heading,
    SharedAttempt,
    SharedDispatch,
    SharedReport,
    Writer,
)
from dispatcher.settings.settings import EndpointSettings
from receiver.settings.configuration import hints_of
from tests.end_to_end.processes import dlr
from tests.receiver.payloads import an_item
from tests.security.attacked import troubles

AT = datetime(2026, 3, 2, 14, tzinfo=UTC)

HARMLESS = {"bucket_size": 1, "content_type": "application/xml", "generation": "v3"}

HOSTILE: Mapping[str, Any] = {
    "name": "acme",
    "url": "http://evil.example/",
    "headers": {"Authorization": "Bearer stranger", "X-Evil": "1"},
    "security": {
        "type": "oauth",
        "token_url": "TOKENS",
        "client_id": "me",
        "client_secret": "stranger",
    },
    "tls": {"ca_file": "/etc/hostname", "certificate_file": "/etc/passwd"},
    "sources": ["nobody"],
    "reports": "none",
    "callback_data_fields": {"a": "b"},
    "\x1b[31m": 1,
}
"""Every one of these has an authority, or is no setting."""


def a_capsule(file: Path, endpoint: Mapping[str, Any], schedule: Mapping[str, Any]) -> Path:
    with file.open("wb") as opened:
        heading = Heading(
            since=AT, until=AT + timedelta(minutes=5), endpoint={**endpoint}, schedule={**schedule}
        )
        writer = Writer(opened, heading)
        for number in range(3):
            writer.report(SharedReport(AT, "json", an_item(messageId=f"m{number}")))
        attempts = [SharedAttempt(AT, 5.0, "acknowledged", 200)]
        writer.dispatch(SharedDispatch(AT, 3, "acknowledged", attempts))
        writer.close()
    return file


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, list[web.BaseRequest]]]:
    """A URL, and what came there."""
    came: list[web.BaseRequest] = []

    async def take(request: web.BaseRequest) -> web.Response:
        await request.read()
        came.append(request)
        return web.json_response({"access_token": "t", "expires_in": 60})

    server = web.ServerRunner(web.Server(take))
    await server.setup()
    try:
        await web.TCPSite(server, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{server.addresses[0][1]}/", came
    finally:
        await server.cleanup()


async def test_a_replay_takes_the_form_of_the_bodies_alone(tmp_path: Path) -> None:
    """It goes where the command says, without a header, a token or a file of the capsule; what is
    left out is said."""
    async with listening() as (tokens, asked), listening() as (url, came):
        told = json.loads(json.dumps(HOSTILE).replace("TOKENS", tokens))
        hard = {"window": 10_000, "rate_limit": 0, "schedule": "strike"}
        outcome = {"outcome": {"acknowledge": ["5xx"], "body_matches": "^(a+)+$"}}
        heading = {**told, **HARMLESS, **hard, **outcome}
        file = a_capsule(tmp_path / "some.capsule", heading, {"preset": "strike"})

        ended = await dlr(tmp_path, "replays", "start", "--capsule", str(file), "--to", url)

    assert ended.code == 0, ended.err
    assert asked == []
    assert len(came) == 3  # bucket_size
    for request in came:
        assert request.headers["Content-Type"] == "application/xml"
        assert not {"Authorization", "X-Evil"} & set(request.headers)
    for name in (*HOSTILE, *hard, "outcome"):
        if name.isidentifier():
            assert f"endpoint.{name}" in ended.err, ended.err
    assert "left out of the capsule: " in ended.err
    assert not troubles(ended.err + ended.out)


@pytest.mark.parametrize("command", ["simulate", "rehearse"])
async def test_a_simulation_takes_its_numbers_alone(tmp_path: Path, command: str) -> None:
    """Nothing of it is called, no file is read, and no expression is run."""
    async with listening() as (tokens, asked), listening() as (url, came):
        told = json.loads(json.dumps(HOSTILE).replace("TOKENS", tokens))
        outcome = {"outcome": {"acknowledge": ["2xx"], "body_matches": "(?=a)"}}
        heading = {**told, **HARMLESS, "window": 3, **outcome}
        file = a_capsule(tmp_path / "some.capsule", heading, {})
        words: tuple[str, ...] = ("simulate", str(file))
        if command == "rehearse":
            words = ("rehearse", url, "--scenario", str(file), "--speed", "1000")

        ended = await dlr(tmp_path, *words, limit=60)

    assert ended.code == 0, ended.err + ended.out
    assert asked == []
    assert not any({"Authorization", "X-Evil"} & set(each.headers) for each in came)
    said = next(line for line in ended.err.split("\n") if "left out of the capsule" in line)
    assert "endpoint.security" in said
    assert "endpoint.outcome.body_matches" in said
    assert "endpoint.window" not in said
    assert not troubles(ended.err)


def test_a_new_setting_has_no_authority_by_itself() -> None:
    """Of all settings of an endpoint those may come from a capsule that are numbers and words; a
    new one is added by hand."""
    kinds = hints_of(EndpointSettings)

    assert set(SHARED) < set(kinds)
    assert not [name for name in SHARED if kinds[name].secret]


ODD: Mapping[str, dict[str, Any]] = {
    "a duration beyond all time": {"durationMs": 1e300},
    "a duration below none": {"durationMs": -1e300},
    "a status that is none": {"status": 2**62},
    "an outcome that is none": {"outcome": "\x1b[31m[/zz]"},
    "the first instant": {"startedAt": "0001-01-01T00:00:00Z"},
    "the last instant": {"startedAt": "9999-12-31T23:59:59.999999Z"},
}


@pytest.mark.parametrize("what", ODD)
async def test_odd_values_are_no_defect(tmp_path: Path, what: str) -> None:
    """A capsule that was made by hand is played or refused in words."""
    attempt: dict[str, Any] = {"startedAt": "2026-03-02T14:00:01Z", "durationMs": 5}
    attempt = {**attempt, "outcome": "failed", **ODD[what]}
    lines = [
        {"capsule": 1, "from": "2026-03-02T14:00:00Z", "to": "2026-03-02T14:05:00Z"},
        {"receivedAt": "2026-03-02T14:00:00Z", "format": "json", "report": {"messageId": "a"}},
        {
            "createdAt": "2026-03-02T14:00:00Z",
            "reports": 1,
            "state": "exhausted",
            "attempts": [attempt],
        },
        {"end": True, "reports": 1, "dispatches": 1},
    ]
    file = tmp_path / "odd.capsule"
    file.write_bytes(gzip.compress("".join(f"{json.dumps(each)}\n" for each in lines).encode()))

    ended = await dlr(tmp_path, "simulate", str(file))

    assert ended.code in (0, 2), ended.err
    assert "unexpected " not in ended.err, ended.err
    assert not troubles(ended.out + ended.err)
