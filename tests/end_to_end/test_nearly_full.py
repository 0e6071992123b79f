"""A disk that is nearly full: /readyz and callbacks say the same, and recover together."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import aiohttp

from tests.end_to_end.processes import Running, eventually, running
from tests.end_to_end.test_serve import a_body_of


def _may_not_grow(pid: int, folder: Path) -> None:
    """No file of the process grows any more: the system refuses, as a quota does."""
    size = (folder / "dlr.db-wal").stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _may_grow(pid: int) -> None:
    both = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, both)


async def test_questions_write_nothing(tmp_path: Path) -> None:
    """150 questions to /readyz and /metrics cost at most a page a second, whoever asks."""
    log = tmp_path / "dlr.db-wal"
    async with running(tmp_path, "receive") as server, aiohttp.ClientSession(server.url) as session:
        before, started = _size(log), time.monotonic()
        for number in range(150):
            async with session.get("/metrics" if number % 2 else "/readyz") as response:
                assert response.status == 200
        probes = 2 + time.monotonic() - started
        assert _size(log) - before <= probes * 3 * 4_200


def _size(file: Path) -> int:
    return file.stat().st_size


async def test_readyz_and_callbacks_agree(tmp_path: Path) -> None:
    """As soon as a callback is refused /readyz says why, and not before both work again that all
    is well."""

    async def ready(server: Running, status: int) -> bool | None:
        return (await server.get("/readyz"))[0] == status or None

    async with running(tmp_path, "receive") as server:
        assert (await server.post(a_body_of("before")))[0] == 200
        assert (await server.get("/readyz"))[0] == 200

        _may_not_grow(server.pid, tmp_path)
        status, said = await server.post(a_body_of("refused"))
        assert (status, said["error"]["code"]) == (503, "store_unavailable")
        for _ in range(3):
            status, said = await server.get("/readyz")
            assert (status, said["error"]["code"]) == (503, "not_ready")
            assert (await server.post(a_body_of("refused")))[0] == 503

        _may_grow(server.pid)
        await eventually(lambda: ready(server, 200), "it is ready again")
        assert (await server.post(a_body_of("refused")))[0] == 200
        assert len(await server.all("reports")) == 2
