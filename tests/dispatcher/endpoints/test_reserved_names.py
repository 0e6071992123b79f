"""Names that an endpoint cannot have, because something else is shown where it would be.

An endpoint called `new` could not be shown: /endpoints/new is the page that adds one. So the
settings file, the API and the command line refuse such a name. A database from before may have
such an endpoint: it goes on, and the log says what to do.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from dispatcher.cli import cli
from dispatcher.endpoints.base import StoredEndpoint
from dispatcher.endpoints.registry import Registry
from dispatcher.service import Parts, service
from dispatcher.settings.settings import (
    PATHS_TAKEN,
    EndpointSettings,
    Settings,
    fault_of_name,
    read_settings,
)
from dispatcher.storage import storage
from receiver.routes import routes_of
from receiver.settings.configuration import ConfigurationError
from receiver.settings.settings import ServerSettings, StoreSettings
from tests.dispatcher.support import a_bench

RESERVED = [*PATHS_TAKEN, "notify-url", "replay-7"]
URL = "http://127.0.0.1:9/"


def settings_in(folder: Path) -> Settings:
    return Settings(server=ServerSettings(port=0), store=StoreSettings(str(folder / "dlr.db")))


@pytest.mark.parametrize("name", RESERVED)
async def test_file_and_api_refuse_it(tmp_path: Path, name: str) -> None:
    """With the same words, and at the place of the name."""
    fault = fault_of_name(name)
    assert fault is not None
    file = tmp_path / "dlr.toml"
    file.write_text(f'[[endpoint]]\nname = "{name}"\nurl = "{URL}"\n')

    with pytest.raises(ConfigurationError) as of_file:
        read_settings(file, {})
    async with service(settings_in(tmp_path)) as running, ClientSession(running.url) as session:
        new = {"name": name, "url": URL}
        async with session.post("/api/endpoints", json=new) as response:
            answer = await response.json()

    assert of_file.value.faults == (f"{file}: endpoint[0].name: {fault}",)
    assert (response.status, answer["error"]["details"]["faults"]) == (400, [f"name: {fault}"])


@pytest.mark.parametrize("name", RESERVED)
async def test_the_command_refuses_it(tmp_path: Path, name: str) -> None:
    settings = settings_in(tmp_path)
    line = ["endpoints", "add", name, "--url", URL, "--database", settings.store.database]
    async with storage(settings.store.database):
        ran = await asyncio.to_thread(CliRunner().invoke, cli, line)

    assert isinstance(ran.exception, ConfigurationError)
    assert ran.exception.faults == (f"name: {fault_of_name(name)}",)


async def test_each_path_beside_an_endpoint_is_reserved(tmp_path: Path) -> None:
    """Whatever is answered at /api/endpoints/WORD, where the same method of an endpoint called WORD
    would be answered, is a reserved name."""
    async with service(settings_in(tmp_path), parts=Parts(sandbox=True)) as running:
        routes = routes_of(running.app)
    of_one = {each.method for each in routes if each.path == "/api/endpoints/{name}"}
    words = {
        each.path.removeprefix("/api/endpoints/")
        for each in routes
        if each.path.startswith("/api/endpoints/") and each.method in of_one
    }

    assert "GET" in of_one
    assert {word for word in words if word.isalpha()} <= PATHS_TAKEN.keys()


@pytest.mark.parametrize("name", ["new"])
async def test_one_from_before_goes_on(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An endpoint that was added under such a name is listed, changed and removed as before. The
    log says once what to do."""
    settings = settings_in(tmp_path)
    said = f'{{"name":"{name}","url":"{URL}"}}'
    async with storage(settings.store.database) as opened:
        await opened.endpoints.put(name, lambda _: StoredEndpoint(said), known=[])
    with caplog.at_level(logging.WARNING, "dlr.dispatcher"):
        async with service(settings) as running, ClientSession(running.url) as session:
            async with session.get("/api/endpoints") as response:
                (found,) = (await response.json())["endpoints"]
            path = f"/api/endpoints/{name}"
            async with session.patch(path, json={"window": 3}) as changed:
                assert (await changed.json())["window"] == 3
            async with session.get(f"{path}/health") as health:
                (how,) = (await health.json())["endpoints"]
            async with session.delete(path) as removed:
                assert removed.status == 200

    assert (found["name"], how["name"]) == (name, name)
    (told,) = [each for each in caplog.messages if "is now reserved" in each]
    assert told.startswith(f"endpoint {name} has a name")
    assert PATHS_TAKEN[name] in told


async def test_one_of_the_file_from_before_gets_another_name() -> None:
    """The way that the fault names: another name in the file, and `resume --as`."""
    async with a_bench() as bench:
        before, after = EndpointSettings("new", URL), EndpointSettings("acme", URL)
        old = await Registry(bench.storage.endpoints, [before]).endpoints()
        await bench.queue.adopt(old)
        registry = Registry(bench.storage.endpoints, [after])
        await bench.queue.adopt(await registry.endpoints())

        assert list(await registry.gone()) == ["new"]
        await registry.resume_as("new", "acme")

        assert list(await registry.listed()) == ["acme"]
