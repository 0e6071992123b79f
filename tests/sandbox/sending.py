"""The send routes on a real socket, before a sandbox that keeps what it accepts in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import xmltodict
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dispatcher.sandbox.api.credentials import Credentials, provider_api
from dispatcher.sandbox.api.send import SendApi
from dispatcher.sandbox.messages.send import Accepted, AcceptedSms, Send, Sms
from dispatcher.sandbox.messages.statuses import PENDING_ACCEPTED
from dispatcher.settings.sandbox import CredentialSettings
from receiver.callbacks.app import new_app
from receiver.callbacks.arriving import BodyReader

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
KEY = "9243E3F4BEDC719D83C2A38A483E6CB3"  # as S3 shows it
AUTHORIZATION = {"Authorization": "App a-key"}
LIMIT = 10 * 1024**2

Client = TestClient[web.Request, web.Application]


class FakeSandbox:
    """Accepts everything that is not refused, and numbers it."""

    def __init__(self) -> None:
        self.sent: list[Send] = []
        self.error: Exception | None = None

    async def accept(self, send: Send) -> Accepted:
        if self.error is not None:
            raise self.error
        self.sent.append(send)
        bulk_id = send.bulk_id or f"bulk-{len(self.sent)}"
        return Accepted(bulk_id, [_accepted(sms, n) for n, sms in enumerate(send.messages)])

    @property
    def messages(self) -> Sequence[Sms]:
        """The messages of the only request."""
        (send,) = self.sent
        return send.messages


def _accepted(sms: Sms, number: int) -> AcceptedSms:
    key = (sms.refusal.group_id, sms.refusal.status_id) if sms.refusal else PENDING_ACCEPTED
    return AcceptedSms(sms.message_id or f"message-{number}", sms.to, *key, sms.parts)


class Sending:
    """A client of the routes, and the sandbox behind them."""

    def __init__(self, client: Client, sandbox: FakeSandbox) -> None:
        self.client = client
        self.sandbox = sandbox

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """Status and JSON of the answer. A body of bytes goes as it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {"data": body} if isinstance(body, bytes | str) else {"json": body}
        async with self.client.post(path, headers={**AUTHORIZATION, **named}, **content) as answer:
            assert answer.content_type == "application/json", await answer.text()
            return answer.status, await answer.json()

    async def post_xml(self, path: str, body: str, accept: str = "application/xml") -> Any:
        """The answer to a body of XML; XML is read with xmltodict."""
        headers = {**AUTHORIZATION, "Content-Type": "application/xml", "Accept": accept}
        async with self.client.post(path, headers=headers, data=body.encode()) as answer:
            if answer.content_type == "application/json":
                return await answer.json()
            assert answer.content_type == "application/xml"
            return xmltodict.parse(await answer.read())

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.get(path, headers={**AUTHORIZATION, **named}) as answer:
            if answer.content_type == "application/xml":
                return answer.status, xmltodict.parse(await answer.read())
            return answer.status, await answer.json()


@asynccontextmanager
async def sending(
    *credentials: CredentialSettings, limit: int = LIMIT, **options: Any
) -> AsyncIterator[Sending]:
    """The routes behind a server that inflates nothing, as `receiver.server` is."""
    sandbox = FakeSandbox()
    app = new_app(body_limit=limit)
    app.middlewares.append(provider_api(Credentials(credentials)))
    bodies = BodyReader(limit=limit, timeout=timedelta(seconds=30), at_once=64 * 1024**2)
    SendApi(
        sandbox.accept,
        now=lambda: NOW,
        bodies=bodies,
        body_limit=limit,
        **{"new_key": lambda: KEY, **options},
    ).add_routes(app)
    server = TestServer(app)
    await server.start_server(auto_decompress=False)
    async with TestClient(server) as client:
        yield Sending(client, sandbox)


def a_text(**fields: Any) -> dict[str, Any]:
    """A message of v2 to one number."""
    return {
        "from": "InfoSMS",
        "destinations": [{"to": "41793026727"}],
        "text": "This is a sample message",
        **fields,
    }


def a_v3(**fields: Any) -> dict[str, Any]:
    """A message of v3 to one number."""
    return {
        "sender": "InfoSMS",
        "destinations": [{"to": "41793026727"}],
        "content": {"text": "This is a sample message"},
        **fields,
    }


async def v2(provider: Sending, message: dict[str, Any], **more: Any) -> Send:
    """The request that /sms/2/text/advanced makes of one message."""
    status, answer = await provider.post("/sms/2/text/advanced", {"messages": [message], **more})
    assert status == 200, answer
    return provider.sandbox.sent[-1]


async def v3(provider: Sending, message: dict[str, Any], **options: Any) -> Send:
    """The request that /sms/3/messages makes of one message."""
    body = {"messages": [message], "options": options}
    status, answer = await provider.post("/sms/3/messages", body)
    assert status == 200, answer
    return provider.sandbox.sent[-1]


async def octets(provider: Sending, path: str, **binary: Any) -> Sms:
    """The message that a route makes of one binary content."""
    message = {"destinations": [{"to": "41793026727"}], "binary": binary}
    status, answer = await provider.post(path, {"messages": [message]})
    assert status == 200, answer
    return provider.sandbox.sent[-1].messages[0]
