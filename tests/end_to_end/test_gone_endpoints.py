"""An endpoint is renamed in the settings file: what an operator is told, and can do."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp

from tests.end_to_end.processes import (
    an_endpoint,
    configure,
    customer,
    dlr,
    eventually,
    running,
)
from tests.end_to_end.test_serve import a_body_of


async def test_it_is_said_and_goes_on_under_its_new_name(tmp_path: Path) -> None:
    """`dlr serve` and `dlr check` say in one line what waits for the old name; `dlr endpoints`
    lists it; resumed under its new name, what waited is pushed."""
    async with customer(lambda push: 503 if push.path == "/old" else 200) as acme:
        configure(tmp_path, an_endpoint(f"{acme.url}/old", "old"))
        async with running(tmp_path, "serve") as server:
            await server.post(a_body_of("waits"))
            await server.err.find(r" attempt=1 .* state=waiting")
            assert not re.search("^  gone", server.out.text, re.MULTILINE)
            await server.stop()

        configure(tmp_path, an_endpoint(f"{acme.url}/new", "acme"))
        checked = await dlr(tmp_path, "check")
        (line,) = (each for each in checked.out.splitlines() if "no longer in the settings" in each)
        assert "old: no longer in the settings; 1 waiting dispatch, 0 unread reports" in line
        assert "dlr endpoints resume old --as NAME" in line
        assert checked.code == 0
        async with running(tmp_path, "serve", "--speed", "60") as server:
            said = await server.out.find("no longer in the settings")
            assert said.string.strip() == line
            listed = await dlr(tmp_path, "endpoints", "--format", "csv")
            assert re.search(r"^old,.*,gone,0,1,", listed.out, re.MULTILINE), listed.out

            resumed = await dlr(tmp_path, "endpoints", "resume", "old", "--as", "acme")
            assert resumed.out == (
                "old: continues as acme, which takes over 1 dispatch and 0 unread reports\n"
            )
            await server.err.find(r" attempt=2 .* state=acknowledged")

    assert [push.path for push in acme.pushes] == ["/old", "/new"]
    assert {tuple(push.message_ids) for push in acme.pushes} == {("waits",)}


async def test_who_holds_back_what_is_told(tmp_path: Path) -> None:
    """`dlr purge --dry-run` names whom reports stay for, and the metric too."""
    configure(
        tmp_path,
        an_endpoint("http://127.0.0.1:1/", "acme", reports="final")
        + "[retention]\nreports_max = 1\n",
    )
    async with running(tmp_path, "serve") as server:
        assert (await dlr(tmp_path, "endpoints", "pause", "acme")).code == 0
        for number in range(3):
            await server.post(a_body_of(f"m{number}"))

        async def told() -> str | None:
            dry = await dlr(tmp_path, "purge", "--dry-run")
            last = " ".join(dry.out.splitlines()[-1].split())
            return last if last.startswith("held back 2 ") else None

        last = await eventually(told, "what is held back, as soon as all is added up")
        await server.stop()
    assert last == "held back 2 reports for acme"

    async with running(tmp_path, "serve") as server, aiohttp.ClientSession(server.url) as session:

        async def metric() -> str | None:
            async with session.get("/metrics") as response:
                text = await response.text()
            found = re.search(r'^dlr_retention_held_reports\{holder="acme"\} (\S+)$', text, re.M)
            return found and found[1]

        assert await eventually(metric, "the metric of what is held back") == "2.0"
