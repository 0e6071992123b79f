"""`dlr open`: asks whether a dlr answers, and opens its pages."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.end_to_end.processes import configure, dlr, running


async def opened(folder: Path, *words: str) -> tuple[int, str, str, list[str]]:
    """What it printed, and which pages a browser of the command's own was told to open."""
    log = folder / "opened"
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {log}\n')
    browser.chmod(0o755)
    ended = await dlr(folder, "open", *words, BROWSER=f"{browser} %s")
    return ended.code, ended.out, ended.err, log.read_text().split() if log.exists() else []


async def test_it_opens_the_pages(tmp_path: Path) -> None:
    """Where the settings say that it listens, or where --url does."""
    configure(tmp_path, "")
    async with running(tmp_path, "serve") as server:
        url = f"{server.url}/"
        assert await opened(tmp_path, "--url", server.url) == (0, f"{url}\n", "", [url])
        port = server.url.rpartition(":")[2]
        configure(tmp_path, f'[server]\nbind = "0.0.0.0"\nport = {port}\n')
        code, out, _, pages = await opened(tmp_path)
        assert (code, out, pages[-1]) == (0, f"http://127.0.0.1:{port}/\n", url)
        programs = tmp_path / "programs"  # of a machine without a browser
        programs.mkdir()
        (programs / "sh").symlink_to("/bin/sh")
        none = await dlr(tmp_path, "open", BROWSER="", PATH=str(programs))
        assert (none.code, none.out, none.err) == (0, f"http://127.0.0.1:{port}/\n", "")
        await server.stop()

    code, out, err, pages = await opened(tmp_path)
    assert (code, out, len(pages)) == (1, "", 2)
    assert err == (
        f"dlr: http://127.0.0.1:{port}/healthz: nothing answers there; start `dlr serve`, or give"
        " --url\n"
    )


async def test_what_is_no_dlr_is_not_opened(tmp_path: Path) -> None:
    """Another program that listens there, and what is no address at all."""

    async def other_health(_: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    app = web.Application()
    app.router.add_get("/healthz", other_health)
    async with TestServer(app) as other:
        place = str(other.make_url("")).rstrip("/")
        assert await opened(tmp_path, "--url", place) == (
            *(1, "", f"dlr: {place}: no answer of dlr\n"),
            [],
        )
    for url in ("file:///etc/passwd", "-x", "http://", "javascript:alert(1)"):
        code, out, err, pages = await opened(tmp_path, f"--url={url}")
        assert (code, out, pages) == (1, "", []), url
        assert err.startswith("dlr: "), err
