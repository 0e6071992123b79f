"""Every route of a process whose database cannot be reached: an answer in words, never a 500.

The database is PostgreSQL, each of whose transactions fails from some moment on.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from dispatcher.service import Service, service
from dispatcher.settings.settings import read_settings
from dispatcher.web.pages import add_pages
from receiver.store.base import StoreUnavailable
from receiver.store.postgres.database import Database
from tests.end_to_end.processes import an_endpoint, configure
from tests.postgres import a_database

ENDLESS = {"/api/events"}
"""Answers that are a stream, whose head is sent before anything is looked for."""

VALUES = {"id": "1", "name": "acme", "source": "default", "version": "x"}


@pytest.fixture
async def stranded(
    tmp_path: Path, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    """A process that has begun well and has lost its database."""
    with a_database(postgres_server) as url:
        text = f'[store]\ndatabase = "{url}"\n' + an_endpoint("http://127.0.0.1:9/")
        configure(tmp_path, text)
        settings = read_settings(tmp_path / "dlr.toml", {"DLR_SERVER_PORT": "0"})
        async with service(settings, pages=add_pages) as running:
            run = Database._run

            async def lost(*_: Any, **__: Any) -> Any:
                raise StoreUnavailable("the database cannot be used: it is gone for this test")

            monkeypatch.setattr(Database, "_run", lost)
            yield running
            monkeypatch.setattr(Database, "_run", run)


def routes_of(app: web.Application) -> list[tuple[str, str]]:
    """Method and path of each route, with a value for each of its parameters."""
    found = set()
    for route in app.router.routes():
        if route.resource is None or route.method in ("HEAD", "OPTIONS"):
            continue
        path = re.sub(r"{(\w+)[^}]*}", lambda m: VALUES.get(m[1], "1"), route.resource.canonical)
        if path not in ENDLESS:
            found.add((route.method, path))
    return sorted(found)


async def test_every_route_says_so(stranded: Service, caplog: pytest.LogCaptureFixture) -> None:
    unavailable = 0
    async with aiohttp.ClientSession(stranded.url) as client:
        for method, path in routes_of(stranded.app):
            body: dict[str, str] | None = None if method == "GET" else {}
            async with client.request(method, path, json=body) as response:
                text = await response.text()
            assert response.status != 500, (method, path, text)
            if response.status != 503:
                continue
            unavailable += 1
            assert response.headers["Retry-After"] == "10", (method, path)
            assert "he database cannot be used: it is gone for this test" in text, (method, path)
            if path.startswith("/api/"):
                assert json.loads(text)["error"]["code"] == "store_unavailable"
    assert unavailable > 40
    defects = [each for each in caplog.records if each.exc_info]
    assert [each.getMessage() for each in defects] == []
