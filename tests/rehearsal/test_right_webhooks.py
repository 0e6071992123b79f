"""Right webhooks in other frameworks, languages and servers pass every check.

They are plain: what an app team writes that has read the documents, and nothing for a check's sake.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.rehearsal.right import EXPRESS, NGINX, WEBHOOKS, at_port, free_port, printing, tool
from tests.rehearsal.served import NOT_HERE, SMALL, a_target, results, verdicts
from tests.sdk.driven import node_modules_with

PLAN = replace(
    SMALL,
    timeout=timedelta(seconds=10),
    patience=timedelta(seconds=5),
    stall=timedelta(seconds=0.5),
    burst=40,
    at_once=25,
    rate=40,
)
"""In a process of its own a webhook may be kept waiting by whatever else the machine does."""

Serving = Callable[[Path, pytest.Config], AbstractAsyncContextManager[str]]
"""A webhook that listens; it is given a folder of its own and the configuration of the test run."""


def python(name: str) -> Serving:
    """A webhook in Python."""
    return lambda _folder, _config: printing(sys.executable, "-m", f"tests.data.webhooks.{name}")


def node(name: str, *packages: str) -> Serving:
    """A webhook in Node, with packages of npm."""

    def serving(_: Path, config: pytest.Config) -> AbstractAsyncContextManager[str]:
        program = tool("node", "nodejs npm")
        environment = {}
        if packages:
            folder = config.cache.mkdir(name.partition(".")[0])
            environment["NODE_PATH"] = str(node_modules_with(" ".join(packages), folder))
        return printing(program, str(WEBHOOKS / name), **environment)

    return serving


def php(folder: Path, _: pytest.Config) -> AbstractAsyncContextManager[str]:
    """PHP's built-in server."""
    program = tool("php", "php-cli php-sqlite3 php-xml")
    port = free_port()
    command = (program, "-q", "-S", f"127.0.0.1:{port}", str(WEBHOOKS / "php_app.php"))
    return at_port(port, *command, DLR_DATABASE=str(folder / "webhook.db"))


@asynccontextmanager
async def behind_nginx(folder: Path, config: pytest.Config) -> AsyncIterator[str]:
    """Flask behind nginx, with nginx's own settings but for the size of a body."""
    program = tool("nginx", "nginx-light")
    async with python("flask_app")(folder, config) as upstream:
        port = free_port()
        settings = folder / "nginx.conf"
        user = getpass.getuser()
        text = NGINX.format(folder=folder, port=port, upstream=upstream, user=user)
        settings.write_text(text)
        command = (program, "-p", str(folder), "-e", "stderr", "-c", str(settings))
        async with at_port(port, *command) as base:
            yield base


RIGHT: dict[str, Serving] = {
    "flask": python("flask_app"),
    "flask-dev": python("flask_dev_app"),
    "fastapi": python("fastapi_app"),
    "django": python("django_app"),
    "one-thread": python("one_thread_app"),
    "queue": python("queue_app"),
    "node": node("node_app.js"),
    "express": node("express_app.js", *EXPRESS),
    "php": php,
    "nginx": behind_nginx,
}


@pytest.mark.parametrize("name", RIGHT)
async def test_passes_all(name: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """The right webhook passes every check, with its own state looked at."""
    async with RIGHT[name](tmp_path, pytestconfig) as base:
        found = await results(a_target(base, plan=PLAN))

    wrong = [str(each) for each in found if each.verdict in ("failed", "weak")]
    assert verdicts(found) == NOT_HERE, wrong
