"""The harness itself: it sees what it is there to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.attacked import Case, ask, attacked, exchange, got, troubles

PLAIN = (
    Case("none", "GET", "/healthz", "200"),
    Case("a limit that is no number", "GET", "/api/reports?limit=x", "400 bad_query"),
    Case("two Hosts", "GET", "/healthz", "400 bad_request", [("Host", "a"), ("Host", "b")]),
)


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "2026-01-01T00:00:00.000Z error   Error handling request from 127.0.0.1",
        "dlr: unexpected ValueError: no (--debug shows where)",
        "request=\x1b[31mred",
        "request=\x9b31mred",
        "to=\u202egnp.exe",
        "to=\u2066gnp.exe",
        "over\rwritten",
    ],
)
def test_what_must_not_be_written_is_seen(line: str) -> None:
    """Each of these lines fails the test in which a process writes it."""
    assert len(troubles(f"before\n{line}\nafter")) == 1


async def test_a_request_goes_out_as_it_is_written(tmp_path: Path) -> None:
    """A plain one is answered, the header given replaces ours, and no HTTP gets 400 or nothing."""
    async with attacked(tmp_path, "serve") as server:
        for case in PLAIN:
            assert await got(server, case) == case.gets, case.attack
        listed = await ask(server, "GET", "/api/reports?limit=x")
        assert listed.header("content-type") == "application/json"
        assert (await exchange(server, b"\x16\x03\x01\x00\xa5\x01\r\n\r\n")).status in (0, 400)
