"""How the app is asked what it holds, and what its answers mean."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from dispatcher.rehearsal import CannotVerify, Rehearsal, Verify, select, verify_of
from dispatcher.rehearsal.truth import (
    DELIVERED,
    PENDING,
    UNKNOWN,
    Expected,
    Held,
    Words,
    differences,
    untold,
)
from dispatcher.rehearsal.verify import read
from tests.data.webhooks.right_aiohttp import Item, Webhook
from tests.data.webhooks.wrong import LastWins, LosesOnDuplicate
from tests.rehearsal.served import SMALL, a_target, listening, result, verify_at

URL = "http://app/messages/{messageId}"


@pytest.mark.parametrize(
    ("told", "paths", "expected"),
    [
        ("", (), UNKNOWN),
        ("delivered\n", (), Held("delivered")),
        ('"delivered"', (), Held('"delivered"')),
        ('{"status":{"name":"A","groupName":"B"}}', (), Held("A")),
        ('{"status":{"groupName":"B"}}', (), Held("B")),
        ('{"state":"C"}', (), Held("C")),
        ('{"status":"D"}', (), Held("D")),
        ('{"status":null}', (), UNKNOWN),
        ('{"a":[{"b":7}]}', ("a[0].b",), Held("7")),
        ('{"a":{"b":"x"}}', ("state=$.a.b",), Held("x")),
        ('{"state":"x","rows":[1,2]}', ("count=length(rows)",), Held("x", 2)),
        ('{"state":"x","data":" y "}', ("callbackData=data",), Held("x", None, " y ")),
    ],
)
def test_answers(told: str, paths: tuple[str, ...], expected: Held) -> None:
    """A plain text is the state; of JSON the paths say where things stand."""
    assert read(told, verify_of(URL, paths)) == expected


@pytest.mark.parametrize(
    ("told", "path", "fault"),
    [
        ('{"state":{"a":1}}', "state=state", 'state=state: expected a text, got {"a": 1}'),
        ('{"n":"x"}', "count=n", 'count=n: expected a whole number, got "x"'),
        ('{"n":7}', "count=length(n)", "count=length(n): In function length(), invalid type"),
    ],
)
def test_answers_that_do_not_fit(told: str, path: str, fault: str) -> None:
    """A path that leads elsewhere is named, with what was found there."""
    with pytest.raises(CannotVerify) as caught:
        read(told, verify_of(URL, [path]))
    assert f"--verify-path {fault}" in str(caught.value)


@pytest.mark.parametrize(
    ("template", "paths", "fault"),
    [
        ("http://app/", (), "expected {messageId} in 'http://app/'"),
        ("app/{messageId}", (), "expected an http or https URL, or cmd: …"),
        ("cmd:{messageId}", ("count=length(",), "count: expected a JMESPath"),
    ],
)
def test_templates_that_are_wrong(template: str, paths: tuple[str, ...], fault: str) -> None:
    """A wrong template or path is told before anything is sent."""
    with pytest.raises(ValueError, match="expected") as caught:
        verify_of(template, paths)
    assert fault in str(caught.value)


WORDS = Words({DELIVERED: Held("ok", 1), PENDING: Held("wait")}, Held("none"))


@pytest.mark.parametrize(
    ("expected", "held", "found"),
    [
        (Expected("m"), Held("ok"), []),
        (Expected("m"), Held("wait"), ["m is 'wait' in the app, expected 'ok' as after"]),
        (Expected("m"), UNKNOWN, ["1 of 1 messages are not in the app: m"]),
        (Expected("m"), Held("none"), ["1 of 1 messages are not in the app: m"]),
        (Expected("m", None), Held("anything"), []),
        (Expected("m", "NEVER_LEARNT"), Held("anything"), []),
        (Expected("m", once=True), Held("ok", 1), []),
        (Expected("m", once=True), Held("ok", 2), ["m is counted 2 times in the app, expected 1"]),
        (Expected("m", callback_data=" x"), Held("ok", None, " x"), []),
        (Expected("m", callback_data=" x"), Held("ok", None, "x"), ["callbackData is 'x'"]),
    ],
)
def test_differences(expected: Expected, held: Held, found: list[str]) -> None:
    """States are compared by the app's own words, counts by what it counts after one report."""
    told = differences([expected], {"m": held}, WORDS)

    assert len(told) == len(found)
    assert all(text.startswith(start) for text, start in zip(told, found, strict=True))


def test_what_is_not_told() -> None:
    """Asked for a count or callbackData that the app does not tell, the path to give is named."""
    expected = [Expected("m", once=True, callback_data="x")]

    assert untold(expected, {"m": Held("ok")}) == ["count", "callbackData"]
    assert untold(expected, {"m": Held("ok", 1, "x")}) == []


class Queue(Webhook):
    """Answers at once, and works behind a queue that is looked into now and then."""

    base: type[Webhook] = Webhook

    def __init__(self) -> None:
        super().__init__()
        self.waiting: deque[list[Item]] = deque()
        self.task: asyncio.Task[None] | None = None

    def take(self, items: list[Item]) -> None:
        self.waiting.append(items)
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self.work())

    async def work(self) -> None:
        while self.waiting:
            await asyncio.sleep(0.03)
            super().take(self.waiting.popleft())


class QueueWhereTheLastWins(Queue):
    def counts(self, message: Item, status: Item) -> bool:  # noqa: ARG002
        return True


@pytest.mark.parametrize(
    ("webhook", "verdict"), [(Queue, "passed"), (QueueWhereTheLastWins, "failed")]
)
async def test_an_app_that_works_behind_a_queue(webhook: type[Webhook], verdict: str) -> None:
    """A state that comes later is waited for; one that is right first and wrong later is found."""
    plan = replace(SMALL, patience=timedelta(seconds=2))
    async with listening(webhook()) as base:
        found = await result(a_target(base, plan=plan), "late-intermediate")

    assert found.verdict == verdict, found


async def test_a_command_is_asked(tmp_path: Path) -> None:
    """A command gets the message id as a word of its own, and its output is the state."""
    seen = tmp_path / "seen"
    script = tmp_path / "state.py"
    script.write_text(
        "import sys, urllib.request as u, urllib.error as e\n"
        f"open({str(seen)!r}, 'a').write(sys.argv[2] + '\\n')\n"
        "try: print(u.urlopen(sys.argv[1] + sys.argv[2]).read().decode())\n"
        "except e.HTTPError: pass\n"
    )
    async with listening(LastWins()) as base:
        command = f"cmd: {sys.executable} {script} {base}/messages/ {{messageId}}"
        plan = replace(SMALL, timeout=timedelta(seconds=20))
        target = a_target(base, seed=7, plan=plan)
        verify = verify_of(command, ["count=reports"])
        found = await result(replace(target, verify=verify), "late-intermediate")

    assert found.verdict == "failed"
    assert "is 'PENDING_ENROUTE' in the app, expected 'delivered'" in found.text
    assert "rehearsal-7-late-intermediate-1" in seen.read_text().split()


async def test_without_verify() -> None:
    """Without --verify a check of the state says that only the answer was seen."""
    async with listening(LosesOnDuplicate()) as base:
        found = await result(a_target(base, verified=False), "duplicate-other-bucket")

    assert found.verdict == "answered only"
    assert (
        found.text
        == "answered 200; without --verify, it cannot be seen what the app did with the reports"
    )


async def test_a_count_that_is_not_told() -> None:
    """An app that tells a state and no count is not said to count once."""
    async with listening(Webhook()) as base:
        verify = Verify(base + "/messages/{messageId}")
        found = await result(replace(a_target(base), verify=verify), "duplicate-same-bucket")

    assert found.verdict == "answered only"
    assert "--verify-path count=" in found.text


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("http://127.0.0.1:1/{messageId}", "connection refused"),
        ("cmd: /nowhere/state {messageId}", "No such file or directory"),
        ("cmd: false {messageId}", "expected exit code 0"),
    ],
)
async def test_an_app_that_cannot_be_asked(template: str, fault: str) -> None:
    """When the state cannot be had at all, the run ends before it begins."""
    async with listening(Webhook()) as base:
        target = replace(a_target(base), verify=verify_of(template))
        with pytest.raises(CannotVerify, match=fault):
            async with Rehearsal(target):
                pass


async def test_an_app_that_falls_silent() -> None:
    """When the state cannot be had any more, the check is not judged, and says why."""

    class Breaks(Webhook):
        async def message(self, request: web.Request) -> web.Response:
            if "-json-v3-" in request.path:
                raise web.HTTPServiceUnavailable
            return await super().message(request)

    async with listening(Breaks()) as base:
        found = await result(replace(a_target(base), verify=verify_at(base)), "json-v3")

    assert found.verdict == "not judged"
    assert "expected 200, or 404 for a message that is not known, got 503" in found.text


async def test_ids_tell_the_runs_apart() -> None:
    """Message ids name the seed: another run's are others, and those of one seed are the same."""

    async def ids(seed: int | None) -> set[str]:
        webhook = Webhook()
        async with listening(webhook) as base:
            target = replace(a_target(base, verified=False), seed=seed)
            async with Rehearsal(target) as rehearsal:
                for check in select(["json-v2", "duplicate-same-bucket"]):
                    await rehearsal.perform(check)
        return set(webhook.messages)

    first, again, other, unnamed = [await ids(seed) for seed in (7, 7, 8, None)]
    assert first == again
    assert not first & (other | unnamed)
    assert all(name.startswith("rehearsal-7-") for name in first)


class TellsInstants(Webhook):
    """Tells the instant of the newest report, as it came."""

    def take_one(self, item: Item) -> None:
        super().take_one(item)
        self.messages.get(item.get("messageId", ""), {})["doneAt"] = self.instant(item)

    def instant(self, item: Item) -> Any:
        return item.get("doneAt")

    def told(self, message: Item) -> Item:
        return {**super().told(message), "doneAt": message["doneAt"]}


class InMilliseconds(TellsInstants):
    """Tells instants as JavaScript does."""

    def instant(self, item: Item) -> Any:
        if "doneAt" not in item:
            return None
        return int(datetime.fromisoformat(item["doneAt"]).timestamp() * 1000)


class DropsTheZone(TellsInstants):
    """Keeps the clock's hands and drops the zone."""

    def instant(self, item: Item) -> Any:
        return str(item.get("doneAt", ""))[:23] or None


@pytest.mark.parametrize(
    ("webhook", "verdict"),
    [(TellsInstants, "passed"), (InMilliseconds, "passed"), (DropsTheZone, "failed")],
)
async def test_instants_in_other_zones(webhook: type[Webhook], verdict: str) -> None:
    """An app that tells doneAt must tell the same instant, in whatever zone and form."""
    async with listening(webhook()) as base:
        verify = verify_of(base + "/messages/{messageId}", ["doneAt=doneAt"])
        found = await result(a_target(base, verify=verify), "dates")

    assert found.verdict == verdict, found
    assert ("doneAt (+0100) is '2026-01-01T13:00:00.000', expected" in found.text) == (
        verdict == "failed"
    )
