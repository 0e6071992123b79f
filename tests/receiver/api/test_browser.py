"""Whom a `Host` names, for servers bound in each way. The attacks are in tests/security."""

from __future__ import annotations

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from receiver.api.browser import Asked, PageGuard, Rules, hosts_of, judged
from receiver.settings.settings import ServerSettings

BOUND = "127.0.0.1"


@pytest.mark.parametrize(
    ("bind", "host", "ours"),
    [
        (BOUND, "127.0.0.1:8080", True),
        (BOUND, "127.8.8.8", True),
        (BOUND, "[::1]", True),
        (BOUND, "LocalHost:1", True),
        (BOUND, "a.localhost", True),
        (BOUND, "dlr.lan", True),
        (BOUND, "dlr.lan.:443", True),
        (BOUND, "a.dlr.lan", False),
        (BOUND, "192.168.1.5", False),
        (BOUND, "127.1", False),
        (BOUND, "2130706433", False),
        (BOUND, "localhost:80:80", False),
        (BOUND, "[::1", False),
        (BOUND, "localhöst", False),
        (BOUND, None, False),
        ("192.168.1.5", "192.168.1.5:8080", True),
        ("192.168.1.5", "192.168.1.6:8080", False),
        ("fd00::1", "[fd00::1]:8080", True),
        ("box", "BOX:8080", True),
        ("box", "box.lan", False),
        ("0.0.0.0", "192.168.1.5:8080", True),
        ("0.0.0.0", "[fd00::1]", True),
        ("::", "192.168.1.5", True),
        ("0.0.0.0", "box.lan", False),
    ],
)
def test_a_host_is_ours_or_not(bind: str, host: str | None, ours: bool) -> None:
    """Loopback, what is bound, what is listed. Who listens everywhere has each address, and no
    name: only a name can be made to lead here by others."""
    rules = Rules(hosts_of(ServerSettings(bind=bind, hosts=("dlr.lan",))))

    assert (judged(Asked("GET", host), rules) is None) is ours


@pytest.mark.parametrize(
    ("host", "origin", "ours"),
    [
        ("dlr.lan", "http://dlr.lan", True),
        ("dlr.lan", "https://dlr.lan", True),
        ("dlr.lan:443", "https://dlr.lan", True),
        ("dlr.lan:80", "https://dlr.lan", False),
        ("dlr.lan:8080", "http://dlr.lan:8080", True),
        ("dlr.lan:8080", "http://dlr.lan:8081", False),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("dlr.lan", "ftp://dlr.lan", False),
        ("dlr.lan", "http://dlr.lan/", False),
        ("dlr.lan", "null", False),
        ("dlr.lan", "", False),
        ("", "http://", False),
    ],
)
def test_an_origin_is_ours_or_not(host: str, origin: str, ours: bool) -> None:
    """The origin's host and port are those of `Host`; its scheme is the proxy's in front."""
    assert (judged(Asked("POST", host, origin), Rules(None)) is None) is ours


BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/", BROWSER, "text/html"),
        ("/", "*/*", "application/json"),
        ("/api/reports", BROWSER, "application/json"),
    ],
)
async def test_whoever_opens_a_page_is_refused_with_a_page(
    aiohttp_client: AiohttpClient, path: str, accept: str, kind: str
) -> None:
    """Somebody who opened the pages by a name that server.hosts lacks saw JSON. The page says the
    same, and nothing of the request is markup in it. Programs and the API get JSON."""
    app = web.Application()
    PageGuard({"operator": Rules(hosts_of(ServerSettings()))}, demanding=()).add_to(app)
    client = await aiohttp_client(app)

    headers = {"Host": "<b>evil.example", "Accept": accept}
    async with client.get(path, headers=headers) as response:
        text = await response.text()

    assert (response.status, response.content_type) == (421, kind)
    assert "server.hosts" in text
    if kind == "text/html":
        assert "<h1>Misdirected Request</h1>" in text
        assert "<b>" not in text
        assert response.headers["Content-Security-Policy"] == "default-src 'none'"
