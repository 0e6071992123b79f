"""Webhooks that do it wrong, each in one way that has been seen in the field.

Each differs from the right one in a method. Which checks it fails stands in
tests/rehearsal/test_reference_webhooks.py.
"""

# ruff: noqa: ARG002 – a hook is handed what it may not need

from __future__ import annotations

import asyncio
import json
import re
import traceback
from collections import Counter
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import Any

import xmltodict
from aiohttp import web

from tests.data.webhooks.right_aiohttp import Item, NotReadable, Webhook, is_final

SMALL = 10_000
"""Bytes. Some are wrong with small bodies only, so that large ones do not confuse the picture."""

SECRET = "Bearer a-Secret-of-the-Test"


# --- formats -----------------------------------------------------------------------------------


class XmlOnly(Webhook):
    """Takes no JSON."""

    def items(self, content_type: str, body: bytes) -> list[Item]:
        if not content_type.endswith("xml"):
            raise NotReadable("expected XML")
        return super().items(content_type, body)


class NoXml(Webhook):
    """Reads everything as JSON and answers 500 to XML."""

    def items(self, content_type: str, body: bytes) -> list[Item]:
        return (
            json.loads(body)["results"]
            if content_type.endswith("xml")
            else super().items(content_type, body)
        )


class V2NamesOnly(Webhook):
    """Its model of JSON has the names of v2 alone."""

    def from_json(self, body: bytes) -> list[Item]:
        found = super().from_json(body)
        if any("messageCount" in item for item in found if isinstance(item, dict)):
            raise NotReadable("messageCount: not a field")
        return found


class V3RootOnly(Webhook):
    """Asks for the root element of v3."""

    def from_xml(self, body: bytes) -> list[Item]:
        if b"<reportResponse" in body:
            raise NotReadable("expected DeliveryReports")
        return super().from_xml(body)


class V2RootOnly(Webhook):
    """Asks for the root element of v2."""

    def from_xml(self, body: bytes) -> list[Item]:
        if b"<DeliveryReports" in body:
            raise NotReadable("expected reportResponse")
        return super().from_xml(body)


class FirstOnly(Webhook):
    """Reads results[0], as two public integrations do."""

    def items(self, content_type: str, body: bytes) -> list[Item]:
        return super().items(content_type, body)[:1]


class OneElement(Webhook):
    """Takes one child for an object, and of several the first."""

    def from_xml(self, body: bytes) -> list[Item]:
        return super().from_xml(body)[:1]


class FirstThousand(Webhook):
    """Has a page size of 1,000 somewhere, and says nothing."""

    def items(self, content_type: str, body: bytes) -> list[Item]:
        return super().items(content_type, body)[:1000]


class MegabyteLimit(Webhook):
    """Takes a megabyte, the default of many frameworks."""

    body_limit = 1024 * 1024


class NeedsMccMnc(Webhook):
    """Reads a field as if it were always there."""

    def take_one(self, item: Item) -> None:
        if "status" in item:
            _ = item["mccMnc"]
        super().take_one(item)


class NoCampaign(Webhook):
    """Its model ends with the fields that its author had seen."""

    def take_one(self, item: Item) -> None:
        if "campaignReferenceId" in item:
            raise TypeError("unexpected keyword argument 'campaignReferenceId'")
        super().take_one(item)


class Strict(Webhook):
    """Refuses fields that it does not know."""

    def take_one(self, item: Item) -> None:
        if any(name.startswith("new") for name in item):
            raise web.HTTPUnprocessableEntity(text="extra fields not permitted")
        super().take_one(item)


class KnowsTheOrder(Webhook):
    """Goes by the position of a field."""

    def take_one(self, item: Item) -> None:
        first = next(iter(item))
        if "status" in item and first not in ("bulkId", "messageId"):
            raise web.HTTPBadRequest(text=f"expected bulkId first, got {first}")
        super().take_one(item)


class ClosedIds(Webhook):
    """Crashes on a status that is new to it."""

    IDS = frozenset({2, 5, 7, 9})

    def take_one(self, item: Item) -> None:
        if int(item.get("status", {}).get("id", 5)) not in self.IDS:
            raise KeyError(item["status"]["id"])
        super().take_one(item)


class ClosedGroups(Webhook):
    """Answers 400 at the first unknown group, when a part of the bucket is stored."""

    GROUPS = frozenset({"ACCEPTED", "PENDING", "UNDELIVERABLE", "DELIVERED", "EXPIRED", "REJECTED"})

    def take_one(self, item: Item) -> None:
        if item.get("status", {}).get("groupName", "PENDING") not in self.GROUPS:
            raise web.HTTPBadRequest(text="unknown status")
        super().take_one(item)


class GuessesNumbers(Webhook):
    """Makes numbers of what looks like one."""

    def take_one(self, item: Item) -> None:
        message_id = item.get("messageId", "")
        if message_id.isdigit():
            item = {**item, "messageId": str(int(float(message_id)))}
        super().take_one(item)


class NoNumbersAsText(Webhook):
    """Insists on the documented types."""

    def from_json(self, body: bytes) -> list[Item]:
        found = super().from_json(body)
        if any(isinstance(item.get("smsCount"), str) for item in found if isinstance(item, dict)):
            raise NotReadable("smsCount: expected an integer")
        return found


class ShortColumn(Webhook):
    """Cuts callbackData at the 200 signs of an old document."""

    def take_one(self, item: Item) -> None:
        super().take_one({**item, "callbackData": (item.get("callbackData") or "")[:200]})


class CallbackDataIsJson(Webhook):
    """Decodes callbackData as JSON when it begins like it, and its own was never cut."""

    def take_one(self, item: Item) -> None:
        text = item.get("callbackData") or ""
        if text.startswith(" <b>"):
            json.loads(text)
        super().take_one(item)


class NaiveDates(Webhook):
    """Knows one form of a date."""

    def take_one(self, item: Item) -> None:
        if "doneAt" in item:
            datetime.strptime(item["doneAt"], "%Y-%m-%dT%H:%M:%S.000+0000")  # noqa: DTZ007
        super().take_one(item)


class NeedsAPrice(Webhook):
    """Takes a price of 0 for none."""

    def take_one(self, item: Item) -> None:
        if not (item.get("price", {"pricePerMessage": 1}) or {}).get("pricePerMessage"):
            raise web.HTTPBadRequest(text="price: required")
        super().take_one(item)


class BareTypes(Webhook):
    """Compares the whole Content-Type."""

    def refused(self, request: web.Request) -> web.Response | None:
        if request.headers["Content-Type"] not in ("application/json", "application/xml"):
            return web.Response(status=415)
        return super().refused(request)


class LosesWithAMark(Webhook):
    """Takes what begins with a byte order mark for nothing, and says nothing."""

    def from_json(self, body: bytes) -> list[Item]:
        return [] if body.startswith(b"\xef\xbb\xbf") else super().from_json(body)


class HangsOnGzip(Webhook):
    """Waits for more when it cannot read a packed body."""

    async def callback(self, request: web.Request) -> web.StreamResponse:
        if "Content-Encoding" in request.headers:
            await asyncio.Event().wait()
        return await super().callback(request)


class ClaimsGzip(Webhook):
    """Says that it takes gzip, and does not."""

    def answer(self, items: list[Item]) -> web.StreamResponse:
        return web.json_response({}, headers={"Accept-Encoding": "gzip"})


# --- semantics ---------------------------------------------------------------------------------


class Forgets(Webhook):
    """Answers 200 and stores nothing."""

    def take(self, items: list[Item]) -> None:
        pass


class CountsWithinBucket(Webhook):
    """Knows what was stored before this bucket, and not what stands in it twice."""

    def take(self, items: list[Item]) -> None:
        before = {name: set(each["keys"]) for name, each in self.messages.items()}
        numbers = count()
        for item in items:
            known = before.get(item.get("messageId", ""), set())
            self.take_one(item)
            if "status" in item and self.key(item) not in known:
                self.messages[item["messageId"]].setdefault("rows", set()).add(next(numbers))

    def told(self, message: Item) -> Item:
        return {**super().told(message), "reports": len(message.get("rows", ()))}


class ConflictOnDuplicate(Webhook):
    """Answers 409 to a bucket with a report that it knows."""

    def take(self, items: list[Item]) -> None:
        if any(self.knows(item) for item in items if "status" in item):
            raise web.HTTPConflict
        super().take(items)

    def knows(self, item: Item) -> bool:
        message = self.messages.get(item["messageId"])
        return message is not None and self.key(item) in message["keys"]


class LosesOnDuplicate(ConflictOnDuplicate):
    """Answers 200 to a bucket with a report that it knows, and drops the rest."""

    def take(self, items: list[Item]) -> None:
        with suppress(web.HTTPConflict):
            super().take(items)


class LooksThenInserts(Webhook):
    """Looks whether a report is there, and inserts it a moment later."""

    async def store(self, items: list[Item]) -> None:
        reports = [item for item in items if "status" in item]
        known = {self.row(item) for item in reports} & self.rows
        if len(items) == 1:
            await asyncio.sleep(0.02)  # its database takes a moment
        for item in reports:
            if self.row(item) not in known:
                known.add(self.row(item))
                self.inserts[item["messageId"]] += 1
            self.rows.add(self.row(item))
            self.take_one(item)

    def __init__(self) -> None:
        super().__init__()
        self.rows: set[object] = set()
        self.inserts: Counter[str] = Counter()

    def row(self, item: Item) -> object:
        return item.get("messageId"), self.key(item)

    def told(self, message: Item) -> Item:
        (name,) = (name for name, each in self.messages.items() if each is message)
        return {**super().told(message), "reports": self.inserts[name]}


class KeyIsMessageId(Webhook):
    """Knows one report of each message."""

    def key(self, item: Item) -> object:
        return "the only one"


class KeyIsGroup(Webhook):
    """Tells reports apart by message and group: DELIVERED_TO_OPERATOR is of group DELIVERED."""

    def key(self, item: Item) -> object:
        return item["status"].get("groupName")


class KeyIsDoneAt(Webhook):
    """Tells reports apart by message and instant."""

    def key(self, item: Item) -> object:
        return item.get("doneAt")


class KeyIsBody(Webhook):
    """Knows bodies by their hash, and counts a report again in each other body."""

    def items(self, content_type: str, body: bytes) -> list[Item]:
        return [{**item, "body": hash(body)} for item in super().items(content_type, body)]

    def key(self, item: Item) -> object:
        return item["body"]


class KeyIsCallbackData(Webhook):
    """Tells reports apart by what it sent along itself, which a campaign shares."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: set[object] = set()

    def take_one(self, item: Item) -> None:
        status = item.get("status") or {}
        row = item.get("callbackData"), status.get("id")
        if row[0] is None or row not in self.rows:
            self.rows.add(row)
            super().take_one(item)


class ComparesTexts(Webhook):
    """Drops what is older than the newest report, and compares instants as texts."""

    def take_one(self, item: Item) -> None:
        message = self.messages.get(item.get("messageId", ""), {})
        done_at = item.get("doneAt") or ""
        if done_at >= message.get("doneAt", ""):
            super().take_one(item)
            self.messages.get(item.get("messageId", ""), {})["doneAt"] = done_at


class LastWins(Webhook):
    """The report that comes last is the state."""

    def counts(self, message: Item, status: Item) -> bool:
        return True


class GroupIsFinal(Webhook):
    """Goes by the group alone, and the first final one stays."""

    def counts(self, message: Item, status: Item) -> bool:
        by_group = status.get("groupName") == "DELIVERED"
        if message["final"]:
            return False
        message["settled"] = by_group or is_final(status)
        return True

    def take_one(self, item: Item) -> None:
        super().take_one(item)
        message = self.messages.get(item.get("messageId", ""))
        if message is not None:
            message["final"] = message.get("settled", False)


class TellsDeliveredEarly(Webhook):
    """Shows DELIVERED_TO_OPERATOR as delivered until it knows better."""

    def told(self, message: Item) -> Item:
        told = super().told(message)
        if told["state"] == "DELIVERED_TO_OPERATOR":
            told["state"] = "delivered"
        return told


class WaitsForPending(Webhook):
    """Believes in no failure before it has heard of the message."""

    def counts(self, message: Item, status: Item) -> bool:
        failed = is_final(status) and status.get("groupName") != "DELIVERED"
        return super().counts(message, status) and not (failed and message["state"] is None)


class KnowsItsRecipients(Webhook):
    """Answers 404 to what it did not send."""

    def take_one(self, item: Item) -> None:
        if "status" in item and not item.get("to", "41").startswith("41"):
            raise web.HTTPNotFound
        super().take_one(item)


class NeedsAStatus(Webhook):
    """Takes whatever comes for a report."""

    def take_one(self, item: Item) -> None:
        _ = item["status"]
        super().take_one(item)


# --- answers -----------------------------------------------------------------------------------


class Slow(Webhook):
    """Does its work before it answers: a quarter of the time there is, in the test."""

    seconds = 0.5

    async def callback(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(self.seconds)
        return await super().callback(request)


class TooSlow(Slow):
    """Does much work before it answers, but for the first."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    async def callback(self, request: web.Request) -> web.StreamResponse:
        self.seen += 1
        self.seconds = 60 if self.seen > 1 else 0
        return await super().callback(request)


class JsonErrors(Webhook):
    """Has no answer for JSON that is broken."""

    def from_json(self, body: bytes) -> list[Item]:
        json.loads(body.decode("utf-8-sig", "replace"))
        return super().from_json(body)


class XmlErrors(Webhook):
    """Has no answer for XML that is broken."""

    def from_xml(self, body: bytes) -> list[Item]:
        if b"ENTITY" not in body:
            xmltodict.parse(body)
        return super().from_xml(body)


class BytesErrors(Webhook):
    """Has no answer for what is not UTF-8."""

    def from_json(self, body: bytes) -> list[Item]:
        body.decode()
        return super().from_json(body)


class ShapeErrors(Webhook):
    """Takes what is JSON for what it expects."""

    def from_json(self, body: bytes) -> list[Item]:
        with suppress(ValueError, RecursionError):
            document = json.loads(body.decode("utf-8-sig"))
            _ = document.get("notificationType") or document["results"]
        return super().from_json(body)


class SwallowsAll(Webhook):
    """Answers 200 to whatever it cannot read, so that it never comes again."""

    def items(self, content_type: str, body: bytes) -> list[Item]:
        try:
            return super().items(content_type, body)
        except NotReadable:
            return []


class Redirects(Webhook):
    """Wants a slash at the end."""

    def refused(self, request: web.Request) -> web.Response | None:
        raise web.HTTPMovedPermanently("/dlr/")


class Talks(Webhook):
    """Answers with a whole page."""

    def answer(self, items: list[Item]) -> web.StreamResponse:
        return web.Response(text="<p>Thank you!</p>\n" * 6000, content_type="text/html")


class TalksABit(Webhook):
    """Answers with more than anybody reads."""

    def answer(self, items: list[Item]) -> web.StreamResponse:
        return web.Response(text="<p>Thank you!</p>\n" * 100, content_type="text/html")


class HangsUp(Webhook):
    """Closes the connection after each answer, and does not say so."""

    async def callback(self, request: web.Request) -> web.StreamResponse:
        answer = await super().callback(request)
        await answer.prepare(request)
        await answer.write_eof()
        assert request.transport is not None
        request.transport.close()
        return answer


class OnlyContentLength(Webhook):
    """Reads as many bytes as Content-Length says, and answers 200 to none."""

    def items(self, content_type: str, body: bytes) -> list[Item]:
        return super().items(content_type, body) if body else []

    async def body(self, request: web.Request) -> bytes:
        body = await super().body(request)
        return body if request.content_length or not body else b""


class DiesOfDepth(Webhook):
    """Is gone after a body that its reader cannot follow."""

    dead = False

    async def body(self, request: web.Request) -> bytes:
        body = await super().body(request)
        if self.dead or body.startswith(b"[[["):
            self.dead = True
            assert request.transport is not None
            request.transport.abort()
        return body


class RefusesExpect(Webhook):
    """Takes no expectations."""

    async def expect(self, request: web.Request) -> None:
        raise web.HTTPExpectationFailed


class ReadsThrice(Webhook):
    """Reads three times, and takes that for the whole."""

    async def body(self, request: web.Request) -> bytes:
        if (request.content_length or SMALL) >= SMALL:
            return await super().body(request)
        pieces = [await request.content.readany() for _ in range(3)]
        return b"".join(pieces)


class AnswersFirst(Webhook):
    """Answers, then reads. (Bodies of a usual size, that is.)"""

    async def callback(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or SMALL) >= SMALL or self.refused(request):
            return await super().callback(request)
        answer = web.Response()
        await answer.prepare(request)
        await answer.write_eof()
        with suppress(NotReadable):
            self.take(self.items(request.content_type, await request.read()))
        return answer


# --- security ----------------------------------------------------------------------------------


class Guarded(Webhook):
    """Not wrong: wants a secret."""

    def refused(self, request: web.Request) -> web.Response | None:
        if not self.lets_in(request.headers.get("Authorization")):
            return web.Response(status=401)
        return super().refused(request)

    def lets_in(self, given: str | None) -> bool:
        return given == SECRET


class MissingIsFine(Guarded):
    """Looks at the secret when there is one."""

    def lets_in(self, given: str | None) -> bool:
        return given is None or given == SECRET


class AnySecret(Guarded):
    """Looks whether there is a secret."""

    def lets_in(self, given: str | None) -> bool:
        return given is not None


class NoLimit(Webhook):
    """Reads until memory ends."""

    body_limit = 0


class Expands(Webhook):
    """Its parser knows entities, and runs out of memory."""

    def from_xml(self, body: bytes) -> list[Item]:
        if b"<!ENTITY" in body:
            raise MemoryError
        return super().from_xml(body)


class LeaksTraceback(Webhook):
    """Runs with debugging on."""

    async def callback(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self.refused(request)) is not None:
            return refusal
        try:
            items = self.items(request.content_type, await self.body(request))
        except NotReadable:
            return web.Response(status=400, text=traceback.format_exc())
        self.take(items)
        return self.answer(items)


# --- retries and load --------------------------------------------------------------------------


class TakesHalves(Webhook):
    """Stores what was there when the connection broke."""

    async def body(self, request: web.Request) -> bytes:
        read = bytearray()
        try:
            while piece := await request.content.readany():
                read += piece
                if len(read) > 10 * 1024 * 1024:
                    raise web.HTTPRequestEntityTooLarge(10 * 1024 * 1024, len(read))
        except OSError:
            for found in re.findall(rb'"messageId":"([^"]+)"', read):
                empty: dict[str, Any] = {"state": None, "final": False, "keys": set()}
                self.messages.setdefault(found.decode(), empty)["keys"].add("half")
            raise
        return bytes(read)


class SameBodyIsAnError(Webhook):
    """Remembers bodies, and answers 409 to one that it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: set[bytes] = set()

    async def body(self, request: web.Request) -> bytes:
        body = await super().body(request)
        if len(body) > 500 and body in self.bodies:
            raise web.HTTPConflict
        self.bodies.add(body)
        return body


class SmallPool(Webhook):
    """Has fifteen places for work and none to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.running = 0

    async def callback(self, request: web.Request) -> web.StreamResponse:
        if self.running >= 15:
            return web.Response(status=503)
        self.running += 1
        try:
            await asyncio.sleep(0.02)  # so that others come meanwhile
            return await super().callback(request)
        finally:
            self.running -= 1


class NoIndex(Webhook):
    """Looks through all it has for each report."""

    async def store(self, items: list[Item]) -> None:
        await asyncio.sleep(len(self.messages) * 0.0002)
        await super().store(items)


class Leaks(Webhook):
    """Keeps a buffer of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.buffers: list[bytes] = []

    async def store(self, items: list[Item]) -> None:
        self.buffers.append(b"x" * 1024 * 1024)
        await super().store(items)


class DropsUnderLoad(Webhook):
    """Answers 200, and loses each tenth report of a lone push."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def take_one(self, item: Item) -> None:
        self.seen += "-sustained-" in item.get("messageId", "")
        if self.seen % 10 != 9:
            super().take_one(item)
