"""The HTML report in a real browser: whatever a webhook said, nothing of it runs."""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from dispatcher.rehearsal.reports import html
from tests.end_to_end.processes import LIMIT
from tests.rehearsal.test_reports import a_result, a_run

RUNS = "document.title='owned';document.body.id='owned'"
HOSTILE = (
    f'</code></details><script>{RUNS}</script><img src=x onerror="{RUNS}">'
    f'<a href="javascript:{RUNS}">x</a><style>body{{display:none}}</style>'
)


def chromium() -> str:
    """The path of Chromium. In CI a missing one is a failure."""
    if found := shutil.which("chromium") or shutil.which("google-chrome"):
        return found
    missing = "chromium is missing: apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


async def dom(folder: Path, page: str) -> str:
    """The document as Chromium has it, after all scripts that run have run."""
    file = folder / "page.html"
    file.write_text(page, "utf-8")
    process = await asyncio.create_subprocess_exec(
        chromium(),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"),
        f"--user-data-dir={folder / 'profile'}",
        file.as_uri(),
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


async def test_nothing_that_a_webhook_says_runs(tmp_path: Path) -> None:
    """It stands there as text: no element of it, and no script has run."""
    shown = await dom(tmp_path, html.render(a_run(a_result(said=HOSTILE), url=HOSTILE)))

    assert "<title>dlr rehearse: failed</title>" in shown
    assert "&lt;script&gt;document.title" in shown
    for element in ("<script", "<img", "<a ", 'id="owned"'):
        assert element not in shown


async def test_it_would_run(tmp_path: Path) -> None:
    """The same words as a page of their own do run: the test above can fail."""
    shown = await dom(tmp_path, f"<body>{HOSTILE}</body>")

    assert "<title>owned</title>" in shown


async def test_even_unescaped_it_would_not_run(tmp_path: Path) -> None:
    """The policy of the page is a second lock: a script that got into it is not run."""
    page = html.render(a_run(a_result())).replace("</body>", f"{HOSTILE}</body>")
    shown = await dom(tmp_path, page)

    assert "<title>dlr rehearse: failed</title>" in shown
    assert "<script>" in shown
