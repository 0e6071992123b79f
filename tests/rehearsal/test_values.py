"""An app is rehearsed with its own kind of values; when a plain report is not taken, the value that
it minds is found."""

# ruff: noqa: ARG002 – a hook is handed what it may not need

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from msgspec.structs import replace

from dispatcher.rehearsal import Rehearsal, select
from dispatcher.rehearsal.bodies import Values
from tests.data.webhooks.right_aiohttp import Item, Webhook
from tests.end_to_end.processes import dlr
from tests.rehearsal.served import a_target, listening, result, results, verdicts


class Minds(Webhook):
    """Refuses reports that are not of its kind."""

    def take_one(self, item: Item) -> None:
        if "status" in item and not self.likes(item):
            raise web.HTTPUnprocessableEntity(text="not of mine")
        super().take_one(item)

    def likes(self, item: Item) -> bool:
        return True


class Numbers(Minds):
    """Has a number as the key of its table, as the platform's own ids are."""

    def likes(self, item: Item) -> bool:
        return str(item.get("messageId", "1")).isdigit()


class Uuids(Minds):
    """Has UUIDs as keys."""

    def likes(self, item: Item) -> bool:
        try:
            return bool(UUID(item.get("messageId", "")))
        except ValueError:
            return False


class CallbackJson(Minds):
    """Reads its own JSON in callbackData."""

    def likes(self, item: Item) -> bool:
        try:
            return item.get("callbackData") is None or isinstance(
                json.loads(item["callbackData"]), dict
            )
        except ValueError:
            return False


class NoCallback(Minds):
    """Sends no callbackData, and has no place for it."""

    def likes(self, item: Item) -> bool:
        return item.get("callbackData") is None


class ShortIds(Minds):
    """Has a column of twenty signs."""

    def likes(self, item: Item) -> bool:
        return len(item.get("messageId", "")) <= 20


class TwoMinds(Minds):
    """Minds two fields."""

    def likes(self, item: Item) -> bool:
        return "price" not in item and str(item.get("messageId", "1")).isdigit()


class XmlOnly(Webhook):
    """Takes XML alone."""

    def from_json(self, body: bytes) -> list[Item]:
        raise web.HTTPUnsupportedMediaType


class NoZones(Minds):
    """Knows instants with Z alone."""

    def likes(self, item: Item) -> bool:
        return str(item.get("doneAt", "Z")).endswith("Z")


class RefusesAll(Minds):
    """Refuses whatever comes."""

    def likes(self, item: Item) -> bool:
        return False


@pytest.mark.parametrize(
    ("webhook", "told"),
    [
        (Numbers, "the same report is accepted with numeric ids (--ids numeric)"),
        (Uuids, "the same report is accepted with UUIDs as ids (--ids uuid)"),
        (ShortIds, "with numeric ids (--ids numeric) or with short ids"),
        (CallbackJson, "accepted without callbackData or with callbackData of JSON"),
        (NoCallback, "the same report is accepted without callbackData"),
        (TwoMinds, "accepted with numeric ids (--ids numeric) and without price"),
        (XmlOnly, "the same report is accepted as v2 XML or as v3 XML"),
        (NoZones, "the same report is accepted with Z in its instants or without doneAt"),
        (RefusesAll, "no other format, and no other value of ids, callbackData"),
    ],
)
async def test_a_plain_report_that_is_not_taken(webhook: type[Webhook], told: str) -> None:
    """The value that the webhook minds is named, with the option that rehearses with another."""
    async with listening(webhook()) as base:
        target = a_target(base, verified=False)
        async with Rehearsal(target) as rehearsal:
            (found,) = [each async for each in rehearsal.run(select(["json-v2"]))]

    assert rehearsal.fault is not None
    assert told in rehearsal.fault
    assert told in found.text


class OnlyItsOwn(Minds):
    """Answers 200 to whatever it did not send, and stores nothing of it: its ids are numbers."""

    def take_one(self, item: Item) -> None:
        if str(item.get("messageId", "")).isdigit():
            super().take_one(item)


async def test_a_plain_report_that_is_answered_and_not_stored() -> None:
    """What is answered 200 and not in the app is narrowed down by what the app tells."""
    async with listening(OnlyItsOwn()) as base:
        found = await result(a_target(base), "processed")

    assert found.verdict == "failed"
    assert found.text.endswith("the same report is accepted with numeric ids (--ids numeric)")


@pytest.mark.parametrize(
    ("webhook", "values"),
    [
        (Numbers, Values(ids="numeric")),
        (Uuids, Values(ids="uuid")),
        (CallbackJson, Values(callback_data='{"order":"{messageId}"}')),
    ],
)
async def test_its_own_kind_of_values(webhook: type[Webhook], values: Values) -> None:
    """With its own kind of values such an app passes the checks that it would fail for them."""
    checks = [each for each in select(["semantics", "formats"]) if each.name not in ("bad-items",)]
    async with listening(webhook()) as base:
        found = await results(replace(a_target(base), values=values), checks)

    wrong = {name: verdict for name, verdict in verdicts(found).items() if verdict != "passed"}
    assert wrong == {}, [str(each) for each in found if each.check in wrong]


async def test_by_the_command(tmp_path: Path) -> None:
    """The options of the command make the values."""
    seen: list[Item] = []

    class Sees(Webhook):
        def take(self, items: list[Item]) -> None:
            seen.extend(items)
            super().take(items)

    words = ("--ids", "numeric", "--callback-data", "id={messageId}", "--to", "4915112", "--sender")
    async with listening(Sees()) as base:
        done = await dlr(tmp_path, "rehearse", base + "/dlr", *words, "Shop", "--only", "json-v2")

    assert done.code == 0, done.out
    first = seen[0]
    assert re.fullmatch(r"2\d{18}", first["messageId"])
    assert first["callbackData"] == f"id={first['messageId']}"
    assert (first["to"], first["from"]) == ("4915112", "Shop")


class RefusesWhatItKnows(Webhook):
    """Answers 409 to a message that it knows."""

    def take(self, items: list[Item]) -> None:
        if any(item.get("messageId") in self.messages for item in items):
            raise web.HTTPConflict
        super().take(items)


@pytest.mark.parametrize("verified", [True, False])
async def test_a_seed_that_was_used_before(verified: bool) -> None:
    """A seed that the app has seen gets fresh ids, and the run says so: what is there from before
    would answer in place of what this run pushes."""
    webhook = RefusesWhatItKnows() if not verified else Webhook()
    async with listening(webhook) as base:
        target = a_target(base, verified=verified, seed=7)
        notes = []
        for _ in range(3 if verified else 2):
            async with Rehearsal(target) as rehearsal:
                found = await rehearsal.perform(select(["bucket-100"])[0])
            assert found.verdict == "passed", found
            notes.append(rehearsal.note)

    assert notes[0] is None
    assert notes[1] == (
        "the app has seen seed 7 before, so this run uses ids made of rehearsal-7.2-…"
    )
    assert not verified or "rehearsal-7.3-…" in str(notes[2])
