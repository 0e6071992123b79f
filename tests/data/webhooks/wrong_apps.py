"""Twenty more webhooks that do it wrong, written by somebody who had not written the checks.

Each differs from the right one in one mistake that app teams make. What `dlr rehearse` says of each
stands in tests/rehearsal/test_wrong_apps.py.
"""

from __future__ import annotations

import asyncio
import html
import re
import sqlite3
import time
from collections import deque
from contextlib import suppress
from copy import deepcopy
from typing import Any

from aiohttp import web

from tests.data.webhooks.right_aiohttp import Item, Webhook, word

# --- what happens behind the answer ------------------------------------------------------------


class StoresBehindTheAnswer(Webhook):
    """Answers 200 and stores in a task. A failure there is a line in a log, and the rest of the
    bucket is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: set[asyncio.Task[None]] = set()

    async def store(self, items: list[Item]) -> None:
        task = asyncio.create_task(self.later(items))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def later(self, items: list[Item]) -> None:
        with suppress(Exception):
            self.take(items)

    def take_one(self, item: Item) -> None:
        _ = item["price"]["pricePerMessage"]
        super().take_one(item)


class WorkerDies(Webhook):
    """Answers 200 and puts the bucket into a queue. Its worker ends at the first item that it
    cannot read, and nobody looks."""

    def __init__(self) -> None:
        super().__init__()
        self.dead = False

    async def store(self, items: list[Item]) -> None:
        try:
            for item in () if self.dead else items:
                if "status" in item:
                    _ = item["status"]["groupName"]
                self.take_one(item)
        except (KeyError, TypeError):
            self.dead = True


class RollsBack(Webhook):
    """One transaction for a bucket, rolled back for one bad item, and then 200: "so that it does
    not come again"."""

    def take(self, items: list[Item]) -> None:
        before = deepcopy(self.messages)
        try:
            for item in items:
                _ = item["status"]["groupName"]
                self.take_one(item)
        except (KeyError, TypeError):
            self.messages = before


class ErrorsWith200(Webhook):
    """Reports an error in the body of an answer with 200."""

    NAMES = frozenset({"PENDING", "UNDELIVERABLE", "DELIVERED", "EXPIRED", "REJECTED"})

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def take_one(self, item: Item) -> None:
        group = (item.get("status") or {}).get("groupName", "PENDING")
        if group not in self.NAMES:
            self.errors.append(f"unknown status {group}")
        if not self.errors:
            super().take_one(item)

    def answer(self, items: list[Item]) -> web.StreamResponse:
        errors, self.errors = self.errors, []
        if errors:
            return web.json_response({"success": False, "error": errors[0]})
        return super().answer(items)


# --- what of a bucket is stored ----------------------------------------------------------------


class LastOnly(Webhook):
    """Stores behind the loop what should be stored within it."""

    def items(self, content_type: str, body: bytes) -> list[Item]:
        return super().items(content_type, body)[-1:]


class TensOnly(Webhook):
    """Hands a bucket on in batches of ten, the most that its queue takes, and forgets the rest."""

    def take(self, items: list[Item]) -> None:
        whole = len(items) // 10 * 10
        super().take(items if len(items) <= 10 else items[:whole])


class UpdatesOnly(Webhook):
    """`UPDATE … WHERE message_id = …`, and never looks how many rows that changed: it knows only
    the messages that it has sent itself."""

    def take_one(self, item: Item) -> None:
        if item.get("messageId") in self.messages:
            super().take_one(item)


# --- how a body is read ------------------------------------------------------------------------


class JsonByRegex(Webhook):
    """Looks for a message id and the group name behind it in the text of the body."""

    PATTERN = re.compile(
        r'"messageId"\s*:\s*"([^"]+)".*?"status"\s*:\s*\{.*?"groupName"\s*:\s*"([^"]+)"'
        r'.*?"id"\s*:\s*(\d+)'
    )

    def from_json(self, body: bytes) -> list[Item]:
        known = {str(item.get("messageId")): item for item in super().from_json(body)}
        found = self.PATTERN.findall(body.decode("utf-8-sig"))
        return [known[name] for name, _, _ in found if name in known]


class Latin1(Webhook):
    """Decodes the body as ISO-8859-1, which never fails."""

    def from_json(self, body: bytes) -> list[Item]:
        found = super().from_json(body)
        for item in found:
            if isinstance(item, dict) and item.get("callbackData"):
                data = str(item["callbackData"]).encode("utf-8", "replace")
                item["callbackData"] = data.decode("latin-1")
        return found


class UnescapesTwice(Webhook):
    """Unescapes what its XML reader has unescaped already."""

    def from_xml(self, body: bytes) -> list[Item]:
        found = super().from_xml(body)
        for item in found:
            if isinstance(item, dict) and item.get("callbackData"):
                item["callbackData"] = html.unescape(item["callbackData"])
        return found


class NumbersOfJson(Webhook):
    """Compares groupId with numbers, and XML has texts."""

    def take_one(self, item: Item) -> None:
        status = item.get("status")
        if isinstance(status, dict) and isinstance(status.get("groupId"), str):
            item = {**item, "status": {**status, "groupName": "UNKNOWN"}}
        super().take_one(item)

    def key(self, item: Item) -> object:
        return str(item["status"].get("id"))


class LowerCasesIds(Webhook):
    """Writes ids in small letters before it stores them."""

    def take_one(self, item: Item) -> None:
        if "messageId" in item:
            item = {**item, "messageId": item["messageId"].lower()}
        super().take_one(item)


class TrimsTexts(Webhook):
    """Takes the blanks off both ends of each text, as some frameworks do unasked."""

    def take_one(self, item: Item) -> None:
        super().take_one({**item, "callbackData": (item.get("callbackData") or "").strip()})


class QuotesInSql(Webhook):
    """Puts texts into SQL by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.database = sqlite3.connect(":memory:")
        self.database.execute("CREATE TABLE report (callback_data TEXT)")

    def take_one(self, item: Item) -> None:
        text = item.get("callbackData") or ""
        self.database.execute(f"INSERT INTO report VALUES ('{text}')")
        super().take_one(item)


# --- what a report is taken for ----------------------------------------------------------------


class KeyIsRecipient(Webhook):
    """Takes a second report for one number and status for a repetition."""

    field = "to"

    def __init__(self) -> None:
        super().__init__()
        self.rows: set[object] = set()

    def take_one(self, item: Item) -> None:
        row = item.get(self.field), str((item.get("status") or {}).get("id"))
        if row[0] is None or row not in self.rows:
            self.rows.add(row)
            super().take_one(item)


class KeyIsBulk(KeyIsRecipient):
    """Takes a second report of one bulk and status for a repetition."""

    field = "bulkId"


class ForgetsKeys(Webhook):
    """Remembers the last hundred reports, and counts an older one again."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: deque[object] = deque(maxlen=100)

    def take_one(self, item: Item) -> None:
        if "status" in item:
            row = item.get("messageId"), self.key({**item, "status": item["status"] or {}})
            message = self.messages.get(item.get("messageId", ""))
            if message is not None and row not in self.seen:
                message["again"] = message.get("again", 0) + (row[1] in message["keys"])
            self.seen.append(row)
        super().take_one(item)

    def told(self, message: Item) -> Item:
        told = super().told(message)
        return {**told, "reports": told["reports"] + message.get("again", 0)}


class NoErrorIsDelivered(Webhook):
    """Reads `error`, and takes NO_ERROR for delivered: every intermediate report has that."""

    def take_one(self, item: Item) -> None:
        super().take_one(item)
        message = self.messages.get(item.get("messageId", ""))
        error: Any = item.get("error") or {}
        if message is not None and message["state"] == word(item.get("status") or {}):
            message["told"] = "delivered" if error.get("name") == "NO_ERROR" else None

    def told(self, message: Item) -> Item:
        told = super().told(message)
        return {**told, "state": message.get("told") or told["state"]}


# --- load --------------------------------------------------------------------------------------


class OneLock(Webhook):
    """Has one lock in the process, and holds it while its database works."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = asyncio.Lock()

    async def store(self, items: list[Item]) -> None:
        async with self.lock:
            await asyncio.sleep(0.03)  # its database works
            await super().store(items)


class LimitsRate(Webhook):
    """Has the rate limiter of its public pages in front of it."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: deque[float] = deque(maxlen=40)

    def refused(self, request: web.Request) -> web.Response | None:
        now = time.monotonic()
        if len(self.taken) == 40 and now - self.taken[0] < 60:
            return web.Response(status=429, headers={"Retry-After": "1"})
        self.taken.append(now)
        return super().refused(request)
