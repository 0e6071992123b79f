"""The right webhooks of tests/data/webhooks in processes of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.end_to_end.processes import LIMIT
from tests.sdk.driven import missing

WEBHOOKS = Path(__file__).parents[1] / "data" / "webhooks"
EXPRESS = ("express@5.2.1", "fast-xml-parser@5.2.5")

NGINX = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 10m;
        location / {{ proxy_pass {upstream}; }}
    }}
}}
"""


def tool(name: str, package: str) -> str:
    """The path of a program. In CI a missing one is a failure."""
    return shutil.which(name) or missing(f"{name} is missing: apt-get install {package}")


def free_port() -> int:
    """For programs that cannot tell which port they took."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def printing(*command: str, **environment: str) -> AsyncIterator[str]:
    """The URL that a command prints when it listens."""
    async with running(*command, **environment) as process:
        assert process.stdout is not None
        async with asyncio.timeout(LIMIT):
            first = (await process.stdout.readline()).decode()
        assert first.startswith("listening on "), first
        yield first.split()[-1]


@asynccontextmanager
async def at_port(port: int, *command: str, **environment: str) -> AsyncIterator[str]:
    """The URL of a command that was told its port and says nothing."""
    async with running(*command, **environment), asyncio.timeout(LIMIT):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
