"""`GET /api/reports` and `dlr reports` by what became of the reports: `endpoint`, `state`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import get_args

import aiohttp
import pytest
from click.testing import CliRunner

from dispatcher.api import placed
from dispatcher.api.placed import PlacedReports
from dispatcher.api.unrouted import Unrouted
from dispatcher.cli import cli
from dispatcher.endpoints.registry import Registry, registry_of
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.service import Parts, service
from dispatcher.settings.settings import read_settings
from receiver.api.filters import PLACE_FILTERS, Place
from receiver.store.base import ReportQuery
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import a_bench, an_endpoint

FILE = """
[[endpoint]]
name = "acme"
url = "http://acme.example/dlr"
reports = "final"
[[endpoint]]
name = "beta"
url = "http://beta.example/dlr"
reports = "final"
"""

ASKED: list[tuple[dict[str, str], list[int]]] = [
    ({"endpoint": "acme"}, [4, 2, 1]),
    ({"endpoint": "acme", "state": "acknowledged"}, [4, 2]),
    ({"state": "waiting"}, [1]),
    ({"state": "acknowledged"}, [4, 2, 1]),
    ({"state": "acknowledged", "statusGroup": "EXPIRED"}, [4]),
    ({"state": "acknowledged", "messageId": "b"}, [2]),
    ({"endpoint": "acme", "final": "false"}, []),
    ({"endpoint": "nobody"}, []),
    ({"state": "exhausted"}, []),
    ({"state": "unrouted"}, [6, 5, 3]),
    ({"state": "unrouted", "statusGroup": "PENDING", "to": "+41 79 302 67 27"}, [6, 5, 3]),
    ({"state": "unrouted", "messageId": "f"}, [6]),
]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Three reports that both endpoints took, one of which waits at Acme; three that none took."""
    (tmp_path / "dlr.toml").write_text(FILE)
    endpoints = [an_endpoint(name, bucket_size=1) for name in ("acme", "beta")]
    async with a_bench(*endpoints, path=tmp_path / "dlr.db") as bench:
        settings = read_settings(tmp_path / "dlr.toml", {})
        bench.worker.use(await registry_of(bench.storage.endpoints, settings).endpoints())
        bench.sender.answers(503)
        await bench.receive(an_sms("a"))
        await bench.work()
        await bench.receive(an_sms("b"), an_sms("c", "PENDING_ENROUTE"))
        await bench.receive(an_sms("d", "EXPIRED_EXPIRED"))
        await bench.receive(*(an_sms(name, "PENDING_ENROUTE") for name in "ef"))
        await bench.work()
    return tmp_path


async def test_over_http(folder: Path) -> None:
    """Alone and with the other filters, page by page to the end."""
    environment = {"DLR_SERVER_PORT": "0", "DLR_STORE_DATABASE": str(folder / "dlr.db")}
    settings = read_settings(folder / "dlr.toml", environment)
    async with (
        service(settings, parts=Parts(dispatches=False)) as running,
        aiohttp.ClientSession(running.url) as client,
    ):

        async def pages(**asked: str) -> list[int]:
            found: list[int] = []
            cursor: dict[str, str] = {}
            while True:
                query = {**asked, **cursor, "limit": "2"}
                async with client.get("/api/reports", params=query) as response:
                    page = await response.json()
                    assert response.status == 200, page
                assert len(page["reports"]) <= 2
                found += [each["id"] for each in page["reports"]]
                if page["next"] is None:
                    return found
                cursor = {"cursor": page["next"]}

        for asked, ids in ASKED:
            assert await pages(**asked) == ids, asked
        for wrong in ({"state": "gone"}, {"state": "unrouted", "endpoint": "acme"}):
            async with client.get("/api/reports", params=wrong) as response:
                assert response.status == 400, wrong


async def test_on_the_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and --limit."""
    monkeypatch.chdir(folder)

    def ids(*words: str) -> list[int]:
        done = CliRunner().invoke(cli, ["reports", *words, "--format", "json"])
        assert done.exit_code == 0, done.output
        return [each["id"] for each in json.loads(done.stdout)]

    def all_of() -> None:
        for asked, found in ASKED:
            unsaid = {"statusGroup", "messageId", "final"} & asked.keys()
            if not unsaid and asked.get("endpoint") != "nobody":  # which the command refuses
                words = [word for name, value in asked.items() for word in (f"--{name}", value)]
                assert ids(*words) == found, asked
        assert ids("--state", "acknowledged", "--limit", "2") == [4, 2]
        assert ids("--state", "unrouted", "--message-id", "f") == [6]
        done = CliRunner().invoke(cli, ["reports", "--unrouted", "--state", "waiting"])
        assert done.exit_code == 2

    await asyncio.to_thread(all_of)


def test_the_states_are_those_of_dispatches() -> None:
    """The receiver names them without knowing anything else of dispatches."""
    (_, state) = PLACE_FILTERS
    assert isinstance(state.kind.shape, dict)
    assert state.kind.shape["enum"] == [*get_args(DispatchState), "unrouted"]


async def test_a_step_reads_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page can be empty and have a `next`: what else is asked for may be rare."""
    monkeypatch.setattr(placed, "LOOK", 2)
    async with a_bench() as bench:
        await bench.receive(*(an_sms(f"m{n}") for n in range(5)))
        await bench.work()
        registry = Registry(bench.storage.endpoints, ())
        finder = PlacedReports(bench.store, bench.queue, Unrouted(bench.storage.unrouted, registry))
        step = await finder.find(ReportQuery(message_id="m0"), Place("acme"))
        assert (step.reports, step.next) == ([], 4)
        step = await finder.find(ReportQuery(message_id="m0", before=2), Place("acme"))
        assert [each.id for each in step.reports] == [1]
        step = await finder.find(ReportQuery(after=4), Place("acme"))
        assert [each.id for each in step.reports] == [5]
