"""A small provider in this process, in the shapes of the reference, part 6.6: logs that can be
asked again, and a pull endpoint that hands out each report once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from dispatcher.reconcile.provider import Provider
from dispatcher.settings.reconcile import ReconcileSettings
from receiver.dlr.instants import format_instant, parse_instant
from receiver.settings.configuration import Secret

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SENT = NOW - timedelta(hours=2)

STATUSES: dict[str, tuple[int, str, int]] = {
    "DELIVERED_TO_HANDSET": (3, "DELIVERED", 5),
    "DELIVERED_TO_OPERATOR": (3, "DELIVERED", 2),
    "PENDING_ENROUTE": (1, "PENDING", 7),
    "EXPIRED_EXPIRED": (4, "EXPIRED", 15),
    "UNDELIVERABLE_NOT_DELIVERED": (2, "UNDELIVERABLE", 9),
    "REJECTED_NETWORK": (5, "REJECTED", 6),
    "REJECTED_DUPLICATE_MESSAGE_ID": (5, "REJECTED", 23),
}

Item = dict[str, Any]
Api = Literal["v1", "v3"]


@dataclass(frozen=True)
class Sms:
    """One message as the provider knows it now."""

    message_id: str
    status: str = "DELIVERED_TO_HANDSET"
    sent_at: datetime = SENT
    done_at: datetime | None = SENT + timedelta(seconds=3)
    callback_data: str | None = "order 7"
    error: Item = field(
        default_factory=lambda: {
            "groupId": 0,
            "groupName": "OK",
            "id": 0,
            "name": "NO_ERROR",
            "description": "No Error",
            "permanent": False,
        }
    )

    def _common(self) -> Item:
        group_id, group, number = STATUSES[self.status]
        common: Item = {
            "bulkId": "bulk-1",
            "messageId": self.message_id,
            "sentAt": format_instant(self.sent_at),
            "mccMnc": "22801",
            "price": {"pricePerMessage": 0.01, "currency": "EUR"},
            "status": {
                "groupId": group_id,
                "groupName": group,
                "id": number,
                "name": self.status,
                "description": "as it says",
            },
            "error": self.error,
        }
        if self.done_at is not None:
            common["doneAt"] = format_instant(self.done_at)
        return common

    def report(self, api: Api) -> Item:
        """As it is pushed and pulled."""
        told = {"callbackData": self.callback_data} if self.callback_data else {}
        if api == "v3":
            own: Item = {"to": "41793026727", "sender": "InfoSMS", "messageCount": 1}
            return {**self._common(), **own, **told, "platform": {"applicationId": "app"}}
        own = {"to": "41793026727", "from": "InfoSMS", "smsCount": 1, "applicationId": "app"}
        return {**self._common(), **own, **told}

    def log(self, api: Api) -> Item:
        """As it stands in the logs."""
        if api == "v3":
            own: Item = {"destination": "41793026727", "sender": "InfoSMS", "messageCount": 1}
            more = {"platform": {"applicationId": "app"}, "content": {"text": "a secret"}}
            return {**self._common(), **own, **more}
        own = {"to": "41793026727", "from": "InfoSMS", "smsCount": 1, "applicationId": "app"}
        return {**self._common(), **own, "text": "a secret"}


@dataclass
class ScriptedProvider:
    """`answers` come first, each for one call: a status and headers, or a body with 200."""

    api: Api
    url: str = ""
    log: list[Sms] = field(default_factory=list)
    to_pull: deque[Item] = field(default_factory=deque)
    answers: deque[tuple[int, Mapping[str, str], str]] = field(default_factory=deque)
    calls: list[web.Request] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    pulled: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    most: int = 1000
    logs_fail: bool = False

    def settings(self, **changes: Any) -> ReconcileSettings:
        return ReconcileSettings(
            **{"base_url": self.url, "api": self.api, "api_key": Secret("KEY"), **changes}
        )

    def asked(self) -> list[str]:
        """The end of each path that was called, in order."""
        return [call.path.rpartition("/")[2] for call in self.calls]

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append(request)
        self.called.set()
        if request.headers.get("Authorization") != "App KEY":
            return web.json_response({"errorCode": "E401"}, status=401)
        if self.answers:
            status, headers, text = self.answers.popleft()
            return web.Response(status=status, headers=headers, text=text)
        if request.path.endswith("/logs"):
            await self.may_answer.wait()
            if self.logs_fail:
                return web.Response(status=500)
            return web.json_response(self._logs(request.query))
        return await self._pull(request.query)

    async def _pull(self, query: Mapping[str, str]) -> web.Response:
        limit = min(int(query.get("limit", 50)), self.most)
        taken = [self.to_pull.popleft() for _ in range(min(limit, len(self.to_pull)))]
        self.pulled.set()
        await self.may_answer.wait()
        return web.json_response({"results": taken})

    def _logs(self, query: Mapping[str, str]) -> Item:
        since, until = (parse_instant(query[name]) for name in ("sentSince", "sentUntil"))
        limit = min(int(query.get("limit", 50)), self.most)
        found = [sms for sms in self.log if since < sms.sent_at < until]
        found.sort(key=lambda sms: sms.sent_at, reverse=True)
        start = int(query.get("cursor", 0))
        items = [sms.log(self.api) for sms in found[start : start + limit]]
        if query.get("useCursor") != "true":
            return {"results": items}
        cursor: Item = {"limit": limit}
        if start + limit < len(found):
            cursor["nextCursor"] = str(start + limit)
        return {"results": items, "cursor": cursor}


@asynccontextmanager
async def a_provider(
    api: Api, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedProvider]:
    provider = ScriptedProvider(api)
    provider.may_answer.set()
    app = web.Application()
    for path in ("reports", "logs"):
        app.router.add_get(f"/sms/{api[1:]}/{path}", provider.handle)
    server = TestServer(app)
    await server.start_server(ssl=tls)
    provider.url = f"http{'s' if tls else ''}://127.0.0.1:{server.port}"
    try:
        yield provider
    finally:
        await server.close()


class Watch:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def monotonic(self) -> float:
        return self.seconds


@asynccontextmanager
async def calling(
    provider: ScriptedProvider, watch: Watch | None = None, **changes: Any
) -> AsyncIterator[Provider]:
    watch = watch or Watch()
    async with aiohttp.ClientSession() as session:
        yield Provider(
            provider.settings(**changes),
            session,
            sleep=watch.sleep,
            monotonic=watch.monotonic,
            now=lambda: NOW,
        )
