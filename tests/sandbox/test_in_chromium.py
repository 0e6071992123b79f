"""A front end in a real browser: by `cors_origins` its page may send, and read what it is told."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest
from aiohttp import web

from tests.end_to_end.processes import LIMIT
from tests.rehearsal.test_report_in_chromium import chromium
from tests.sandbox.playing import playing

PAGE = """<!doctype html><pre id=told>waiting</pre><script>
const url = "{url}", told = [];
async function ask(method, path, headers, body) {{
  try {{
    const sent = {{ method, headers, body: body && JSON.stringify(body) }};
    const answer = await fetch(url + path, sent);
    told.push(answer.status + " " + (answer.headers.get("Retry-After") || "-"));
  }} catch (error) {{ told.push("blocked"); }}
}}
(async () => {{
  const json = {{ "Content-Type": "application/json" }};
  const key = {{ ...json, Authorization: "App any-key" }};
  const sms = {{ messages: [{{ text: "x", destinations: [{{ to: "41790000001" }}] }}] }};
  await ask("POST", "/sms/2/text/advanced", key, sms);
  await ask("POST", "/sms/2/text/advanced", json, sms);
  await ask("POST", "/sandbox/faults", json, {{ status: 503, next: 1 }});
  await ask("POST", "/sms/2/text/advanced", key, sms);
  await ask("POST", "/sandbox/advance?by=10s", {{}});
  document.getElementById("told").textContent = "told: " + told.join(", ");
}})();
</script>"""


@pytest.mark.parametrize(
    ("listed", "told"),
    [(True, "200 -, 401 -, 201 -, 503 1, 200 -"), (False, ", ".join(["blocked"] * 5))],
)
async def test_a_page_of_a_front_end(tmp_path: Path, listed: bool, told: str) -> None:
    """One that is listed sends, is told of its missing key and of trouble on order with its
    Retry-After, and moves the clock. Any other page is kept out by the browser."""
    text = ""
    shown = web.Application()

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    shown.router.add_get("/", show)
    runner = web.AppRunner(shown)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        page = f"http://127.0.0.1:{runner.addresses[0][1]}"
        origins = f'[sandbox]\ncors_origins = ["{page}"]' if listed else ""
        async with playing(tmp_path, origins) as sandbox:
            text = PAGE.format(url=sandbox.running.url)
            assert f"told: {told}" in await _dom(tmp_path, page)
            assert len(await sandbox.messages()) == (1 if listed else 0)
    finally:
        await runner.cleanup()


async def _dom(folder: Path, url: str) -> str:
    """The document as Chromium has it when its script has asked everything."""
    process = await asyncio.create_subprocess_exec(
        chromium(),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"),
        *("--virtual-time-budget=10000", f"--user-data-dir={folder / 'profile'}", url),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        async with asyncio.timeout(LIMIT):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode()
