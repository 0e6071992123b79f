"""`dlr check --live`: what the running process says of itself, and what it has not taken.

`dlr open` asks whether it is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import aiohttp
import msgspec

from receiver.api.not_taken import NotTakenAnswers
from receiver.settings.settings import ApiSettings, ServerSettings

_TIMEOUT = aiohttp.ClientTimeout(total=10)

_NO_TOKEN = (
    "it asks for a token, and the settings have none as text; for this command set"
    " DLR_API_TOKEN_NAME_SECRET, with the name of an [[api.token]]"
)


class NotAsked(Exception):
    """The process cannot be asked; the text says why."""


def url_of(server: ServerSettings) -> str:
    """Where `dlr serve` or `dlr receive` of these settings can be asked on this machine."""
    return _url(server.bind, server.port)


def url_of_dispatch(server: ServerSettings) -> str:
    """Where `dlr dispatch` of these settings can be asked."""
    return _url(server.bind, server.port_of_dispatch)


def _url(bind: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def headers_of(api: ApiSettings) -> dict[str, str]:
    """The first token of the settings whose secret they have; a digest alone opens nothing."""
    secret = next((token.secret for token in api.token if token.secret is not None), None)
    return {} if secret is None else {"Authorization": f"Bearer {secret.reveal()}"}


async def looked_at(url: str, headers: dict[str, str]) -> tuple[bool, list[str]]:
    """Whether the process is ready, and lines for a person. Raises NotAsked."""
    async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
        status, said = await _get(session, f"{url}/readyz")
        lines = [f"{url}: {'ready' if status == 200 else _message(said)}"]
        told, found = await _get(session, f"{url}/api/callbacks/not-taken")
        if told == 404:
            lines.append("callbacks: this process takes none")
            return status == 200, [*lines, *await _size(session, url)]
        if told == 401:
            raise NotAsked(f"{url}: {_NO_TOKEN}")
        if told != 200:
            raise NotAsked(f"{url}/api/callbacks/not-taken: {told}: {_message(found)}")
        answers = msgspec.convert(found, NotTakenAnswers)
        return status == 200, [*lines, *_lines(answers), *await _size(session, url)]


async def dispatcher_at(url: str) -> tuple[bool, str] | None:
    """Whether a `dlr dispatch` that runs beside is ready, and a line for a person; `None` if none
    answers. No token is sent: the port after ours may be any other program's."""
    try:
        await ask_alive(url)
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            status, said = await _get(session, f"{url}/readyz")
    except NotAsked:
        return None
    return status == 200, f"{url} (dlr dispatch): {'ready' if status == 200 else _message(said)}"


async def pages_of(server: ServerSettings) -> str:
    """Where a process of these settings shows the pages. Raises NotAsked."""
    url, other = url_of(server), url_of_dispatch(server)
    try:
        await ask_alive(url)
    except NotAsked:
        if await dispatcher_at(other) is None:
            raise
        return other
    return url


async def ask_alive(url: str) -> None:
    """Raises NotAsked unless a dlr answers there. Nothing secret is sent, so that any certificate
    will do: that of a sandbox is its own."""
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session:
        status, said = await _get(session, f"{url}/healthz")
    if (status, said) != (200, {"alive": True}):
        raise NotAsked(f"{url}: no answer of dlr")


async def _size(session: aiohttp.ClientSession, url: str) -> list[str]:
    """How large the database is, where that can be told."""
    try:
        async with session.get(f"{url}/metrics", allow_redirects=False) as response:
            text = await response.text() if response.status == 200 else ""
    except (aiohttp.ClientError, TimeoutError):
        return []
    found = re.search(r"^dlr_database_bytes (\S+)$", text, re.MULTILINE)
    return [f"database: {float(found[1]) / 1e6:,.1f} MB"] if found else []


async def _get(session: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    try:
        async with session.get(url, allow_redirects=False) as response:
            return response.status, msgspec.json.decode(await response.read())
    except aiohttp.ClientConnectorError as error:
        raise NotAsked(f"{url}: nothing answers there; start `dlr serve`, or give --url") from error
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
        raise NotAsked(f"{url}: {error or 'no answer within 10 s'}") from error


def _message(said: Any) -> str:
    try:
        return str(said["error"]["message"])
    except (KeyError, TypeError):
        return "no answer of dlr"


def _lines(answers: NotTakenAnswers) -> Iterable[str]:
    if not answers.not_taken:
        yield "callbacks: none with a wrong path, source, method, size or type since the start"
        return
    yield "callbacks that were not taken since the start, the newest first:"
    for kind in answers.not_taken:
        times = f"{kind.callbacks} ×, last {kind.last_at}"
        source = "" if kind.source is None else f" source {kind.source}"
        yield f"  {kind.status} {kind.reason}{source}: {kind.what} ({times})"
