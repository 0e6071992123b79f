"""Schemathesis reads GET /api/openapi.json and asks what it allows, and what it does not.

It asks a real `dlr receive` on a database that `dlr serve` has filled. So every route is there and
has something to tell, but nobody dispatches: of the endpoints and replays that it makes up nothing
is pushed to anywhere.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.end_to_end.processes import Running, an_endpoint, configure, customer, running
from tests.receiver.payloads import a_json_body, an_item

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)

LIMIT = 240
LIMIT_LONG = 3600


async def fill(server: Running) -> None:
    """Reports, messages, dispatches with attempts, a replay, and an entry in quarantine."""
    for number in range(3):
        await server.post(a_json_body(*(an_item(messageId=f"m{number}{n}") for n in range(3))))
    await server.post(b"{")
    await server.post(b'{"endpoint": "acme", "rate": "1/h"}', path="/api/replays")


async def schemathesis(
    folder: Path, url: str, *options: str, checks: Sequence[str] = CHECKS
) -> tuple[int, str]:
    """How it ended, and what it printed. It is run as a command: its findings come with the curl
    that shows them, and its warnings are not those of our tests."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{url}/api/openapi.json",
        "--checks",
        ",".join(checks),
        # A stream that never ends; tests/docs/test_openapi.py holds it against its description.
        "--exclude-path",
        "/api/events",
        "--continue-on-failure",
        "--request-timeout",
        "30",
        "--warnings",
        "off",
        "--no-color",
        *options,
        cwd=folder,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def find_nothing(folder: Path, *options: str) -> None:
    async with customer(lambda push: 503 if push.attempt % 2 else 200) as acme:
        configure(folder, an_endpoint(acme.url))
        async with running(folder, "serve") as server:
            await fill(server)
            await acme.came.reach(1)
            await server.stop()
    async with running(folder, "receive") as server:
        pushed = len(acme.pushes)
        code, printed = await schemathesis(folder, server.url, *options)

        assert code == 0, printed
        assert (await server.get("/readyz"))[0] == 200
        assert len(acme.pushes) == pushed


async def test_the_api_keeps_its_word(tmp_path: Path) -> None:
    """No request gets an answer that is not described: no 5xx, no other status, type, header or
    shape. The same requests each time."""
    async with asyncio.timeout(LIMIT):
        await find_nothing(tmp_path, "--max-examples", "8", "--generation-deterministic")


@pytest.mark.long
async def test_the_api_keeps_its_word_for_long(tmp_path: Path) -> None:
    """The same with many more requests, others each time; a failure prints its seed."""
    async with asyncio.timeout(LIMIT_LONG):
        await find_nothing(tmp_path, "--max-examples", "500")


SANDBOX = """
[[sandbox.credential]]
name = "app"
secret = "key"
"""


async def find_nothing_in_the_sandbox(folder: Path, *options: str) -> None:
    """Of its routes alone, and with nothing pushed to the URLs that are made up: the endpoint of
    these is paused. Credentials are demanded, so those that are wrong must be refused."""
    configure(folder, SANDBOX)
    async with running(folder, "sandbox") as server:
        await server.post(b"", path="/api/endpoints/notify-url/pause")
        code, printed = await schemathesis(
            folder,
            server.url,
            "--include-path-regex",
            "^/(sms|ct|sandbox)/",
            # Trouble that is made up would meet the requests after it: tests/sandbox/test_faults.py
            "--exclude-path",
            "/sandbox/faults",
            "--header",
            "Authorization: App key",
            *options,
            checks=(*CHECKS, "ignored_auth"),
        )

        assert code == 0, printed
        assert (await server.get("/readyz"))[0] == 200
        assert (await server.get("/api/endpoints/notify-url"))[1]["paused"]


async def test_the_sandbox_keeps_its_word(tmp_path: Path) -> None:
    """The same of the provider's routes and of /sandbox, in a real `dlr sandbox`."""
    async with asyncio.timeout(LIMIT):
        await find_nothing_in_the_sandbox(
            tmp_path, "--max-examples", "3", "--generation-deterministic"
        )


@pytest.mark.long
async def test_the_sandbox_keeps_its_word_for_long(tmp_path: Path) -> None:
    """The same with many more requests, others each time; a failure prints its seed."""
    async with asyncio.timeout(LIMIT_LONG):
        await find_nothing_in_the_sandbox(tmp_path, "--max-examples", "200")
