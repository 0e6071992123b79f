"""Customers that never answer take neither the platform's connections nor other customers'.

190 of them, at the usual limit of 1,024 open files, reset 93 of 276 callbacks while /readyz said
that all is well.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp

from tests.end_to_end.processes import LIMIT, customer, eventually, running

STALLING = 60
CALLBACKS = 120


def settings(stalling: str, healthy: str) -> str:
    ends = [f'[[endpoint]]\nname = "dead{n}"\nurl = "{stalling}/{n}"\n' for n in range(STALLING)]
    mine = f'[[endpoint]]\nname = "healthy"\nurl = "{healthy}/dlr"\nbucket_size = 1\n'
    return "".join([*ends, mine])


def a_callback(number: int) -> bytes:
    report = {"messageId": f"m{number}", "status": {"groupId": 3, "id": 5}}
    return json.dumps({"results": [report]}).encode()


async def test_stalling_customers(tmp_path: Path) -> None:
    """With 256 open files and 60 customers that would take 1,200: each callback is stored, the
    healthy customer gets each report while the others hold what they have, and it is told."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    stalling = await asyncio.start_server(stall, "127.0.0.1", 0)
    port = stalling.sockets[0].getsockname()[1]
    async with stalling, customer() as healthy:
        (tmp_path / "dlr.toml").write_text(settings(f"http://127.0.0.1:{port}", healthy.url))
        async with running(tmp_path, "serve", descriptors=256) as server:
            assert await server.post(a_callback(0)) == (
                200,
                {"stored": 1, "duplicates": 0, "quarantined": 0},
            )
            for first in range(1, CALLBACKS, 20):
                ids = range(first, min(first + 20, CALLBACKS))
                told = await asyncio.gather(*(server.post(a_callback(n)) for n in ids))
                assert [status for status, _ in told] == [200] * len(ids)
            await healthy.came.reach(CALLBACKS)

            async def short() -> list[str] | None:
                status, said = await server.get("/readyz")
                assert status == 200
                return said.get("short")

            (text,) = await eventually(short, "that pushes run short")
            assert text.startswith("pushes: ")
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session,
                session.get(f"{server.url}/metrics") as response,
            ):
                metrics = await response.text()
            assert 'dlr_places_short{kind="pushes"} 1.0' in metrics
            await server.err.find("pushes run short: 48 may be under way at once")
            await server.kill()
        assert server.err.text.count("run short") == 1
        assert "Too many open files" not in server.err.text
        assert {push.message_ids[0] for push in healthy.pushes} == {
            f"m{n}" for n in range(CALLBACKS)
        }
