"""A webhook that does it right, in aiohttp. It knows nothing of this project.

Each step is a method of its own, so that a wrong webhook differs in one of them.
"""

from __future__ import annotations

import json
from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict
from aiohttp import web

BODY_LIMIT = 10 * 1024 * 1024
Item = dict[str, Any]


class NotReadable(Exception):
    """The body holds no reports."""


def is_final(status: Item) -> bool:
    """DELIVERED_TO_OPERATOR is of group DELIVERED and not final. What is unknown is not either."""
    group = str(status.get("groupName", "")).upper()
    if group == "DELIVERED":
        return str(status.get("id")) != "2" and status.get("name") != "DELIVERED_TO_OPERATOR"
    return group in ("UNDELIVERABLE", "EXPIRED", "REJECTED")


def word(status: Item) -> str:
    """What the app calls a status."""
    if is_final(status):
        return "delivered" if status["groupName"].upper() == "DELIVERED" else "failed"
    return str(status.get("name") or status.get("groupName") or "?")


class Webhook:
    """Takes callbacks at /dlr, tells states at /messages/{id}."""

    body_limit = BODY_LIMIT

    def __init__(self) -> None:
        self.messages: dict[str, Item] = {}

    def app(self) -> web.Application:
        app = web.Application(client_max_size=self.body_limit)
        app.router.add_post("/dlr", self.callback, expect_handler=self.expect)
        app.router.add_get("/messages/{id}", self.message)
        return app

    async def callback(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self.refused(request)) is not None:
            return refusal
        body = await self.body(request)
        try:
            items = self.items(request.content_type, body)
        except NotReadable as error:
            return web.json_response({"error": str(error)}, status=400)
        await self.store(items)
        return self.answer(items)

    async def expect(self, request: web.Request) -> None:
        """`Expect: 100-continue`."""
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def refused(self, request: web.Request) -> web.Response | None:
        """An answer for what is refused by its head alone."""
        if request.headers.get("Content-Encoding", "identity") != "identity":
            return web.Response(status=415)
        return None

    async def body(self, request: web.Request) -> bytes:
        return await request.read()

    def items(self, content_type: str, body: bytes) -> list[Item]:
        found = self.from_xml(body) if content_type.endswith("xml") else self.from_json(body)
        if not all(isinstance(item, dict) for item in found):
            raise NotReadable("results: expected objects")
        return found

    def from_json(self, body: bytes) -> list[Item]:
        try:
            document = json.loads(body.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise NotReadable("not JSON") from error
        if isinstance(document, dict) and "notificationType" in document:
            return []
        if not isinstance(document, dict) or not isinstance(document.get("results"), list):
            raise NotReadable("results: expected a list")
        found: list[Item] = document["results"]
        return found

    def from_xml(self, body: bytes) -> list[Item]:
        try:
            (document,) = xmltodict.parse(
                body, force_list=("result",), strip_whitespace=False
            ).values()
            found: list[Item] = document["results"]["result"]
        except (ExpatError, ValueError, KeyError, TypeError, LookupError) as error:
            raise NotReadable("expected results/result") from error
        return found

    async def store(self, items: list[Item]) -> None:
        self.take(items)

    def take(self, items: list[Item]) -> None:
        for item in items:
            self.take_one(item)

    def take_one(self, item: Item) -> None:
        status = item.get("status")
        if not isinstance(status, dict) or "messageId" not in item:
            return  # an inbound message, or nothing that we could place
        message = self.messages.setdefault(
            item["messageId"], {"state": None, "final": False, "keys": set()}
        )
        key = self.key(item)
        if key in message["keys"]:
            return
        message["keys"].add(key)
        message["callbackData"] = item.get("callbackData")
        if self.counts(message, status):
            message["final"] = is_final(status)
            message["state"] = word(status)

    def key(self, item: Item) -> object:
        """What two reports of a message have in common when they are the same."""
        return str(item["status"].get("id")), item["status"].get("groupName")

    def counts(self, message: Item, status: Item) -> bool:
        return not message["final"] or is_final(status)

    def answer(self, items: list[Item]) -> web.StreamResponse:
        return web.json_response({"taken": len(items)})

    async def message(self, request: web.Request) -> web.Response:
        message = self.messages.get(request.match_info["id"])
        if message is None or message["state"] is None:
            raise web.HTTPNotFound
        return web.json_response(self.told(message))

    def told(self, message: Item) -> Item:
        return {
            "state": message["state"],
            "reports": len(message["keys"]),
            "callbackData": message["callbackData"],
        }
