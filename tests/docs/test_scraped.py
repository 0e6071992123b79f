"""A real Prometheus scrapes a real `dlr`, and each panel of the dashboard has something to show.

That an expression is PromQL, and that its metric exists, says nothing of its labels: a panel that
asks for one that is not there stays empty.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.docs.test_deploy import DEPLOY, tool
from tests.end_to_end.processes import (
    Push,
    an_endpoint,
    configure,
    customer,
    eventually,
    running,
)
from tests.receiver.payloads import V2_JSON

SECONDS = 60.0
"""For Prometheus to start and to scrape twice, on a busy machine."""

SETTINGS = """
[[source]]
name = "default"
[[source]]
name = "closed"
[source.header]
name = "X-Secret"
secrets = ["s"]
"""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[str]:
    """The URL of a Prometheus that scrapes `target` each second and has our rules."""
    program = tool("prometheus", "apt-get install prometheus")
    file = folder / "prometheus.json"  # JSON is YAML
    scrape = {"job_name": "dlr", "static_configs": [{"targets": [target]}]}
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "alerts.yml")],
        "scrape_configs": [scrape],
    }
    file.write_text(json.dumps(settings))
    address = f"127.0.0.1:{_free_port()}"
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        yield f"http://{address}"
    finally:
        process.kill()
        await process.wait()


async def test_each_panel_shows_something(tmp_path: Path) -> None:
    """With callbacks of all kinds, an endpoint that takes its pushes, one that is down and one that
    is gone, no panel stays empty, each legend has its labels, and Prometheus evaluates all alerts
    without an error."""

    def answer(push: Push) -> int:
        return {"/gone": 410, "/down": 503}.get(push.path, 200)

    async with customer(answer) as acme:
        gone = an_endpoint(f"{acme.url}/gone", "gone") + '[endpoint.outcome]\nstop_on = ["410"]\n'
        down = an_endpoint(f"{acme.url}/down", "down")
        configure(tmp_path, an_endpoint(acme.url) + gone + down + SETTINGS)
        async with (
            running(tmp_path, "serve") as server,
            prometheus(tmp_path, server.url.removeprefix("http://")) as url,
            aiohttp.ClientSession() as session,
        ):
            for path, body in (
                ("/notify", V2_JSON),
                ("/notify", b"{"),
                ("/notfy", V2_JSON),
                ("/notify/closed", V2_JSON),
            ):
                await server.post(body, path=path)
            await server.err.find("state=exhausted")

            async def ask(path: str, **query: str) -> Any:
                try:
                    async with session.get(url + path, params=query) as response:
                        return (await response.json())["data"]
                except (aiohttp.ClientError, KeyError):
                    return None

            nameless = []
            dashboard = json.loads((DEPLOY / "dashboard.json").read_text())
            for panel in dashboard["panels"]:
                for target in panel["targets"]:
                    query = target["expr"].replace("$__rate_interval", "1m")

                    async def shows(query: str = query) -> Any:
                        found = await ask("/api/v1/query", query=query)
                        return found and found["result"]

                    shown = await eventually(shows, f"{panel['title']}: {query}", SECONDS)
                    labels = re.findall(r"{{(\w+)}}", target["legendFormat"])
                    if not set(labels) <= set(shown[0]["metric"]):
                        nameless.append(target)
            groups = (await ask("/api/v1/rules"))["groups"]

    assert nameless == []
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
